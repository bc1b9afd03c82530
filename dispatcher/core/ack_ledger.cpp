// SPDX-License-Identifier: MIT
#include "dispatcher/core/ack_ledger.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {

void AckLedger::received(std::uint64_t seq, std::uint64_t record, std::size_t unnumbered) {
  CHECK(seq == received_ + 1);
  received_ = seq;
  if (open_.empty() && record <= durable_ && unnumbered == 0) {
    ack_ = seq;
  } else {
    open_.push_back({seq, record, unnumbered});
  }
}

void AckLedger::settle(std::uint64_t seq, std::uint64_t record) {
  const auto at = std::lower_bound(open_.begin(), open_.end(), seq,
                                   [](const Open& open, std::uint64_t wanted) { return open.seq < wanted; });
  if (at == open_.end() || at->seq != seq || at->unnumbered == 0) return;
  at->record = std::max(at->record, record);
  --at->unnumbered;
  advance(durable_);
}

void AckLedger::advance(std::uint64_t durable) {
  durable_ = std::max(durable_, durable);
  while (!open_.empty() && open_.front().unnumbered == 0 && open_.front().record <= durable_) {
    ack_ = open_.front().seq;
    open_.pop_front();
  }
}

}  // namespace workpool::dispatcher
