// SPDX-License-Identifier: MIT
#include "dispatcher/core/ack_ledger.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {

void AckLedger::received(std::uint64_t seq, const Needs& needs) {
  CHECK(seq == received_ + 1);
  received_ = seq;
  open_.push_back({seq, needs});
  advance(durable_);
}

void AckLedger::settle(std::uint64_t seq, std::uint64_t record) {
  const auto at = std::lower_bound(open_.begin(), open_.end(), seq,
                                   [](const Open& open, std::uint64_t wanted) { return open.seq < wanted; });
  if (at == open_.end() || at->seq != seq || at->needs.unnumbered == 0) return;
  at->needs.record = std::max(at->needs.record, record);
  --at->needs.unnumbered;
  advance(durable_);
}

void AckLedger::advance(std::uint64_t durable) {
  durable_ = std::max(durable_, durable);
  while (!open_.empty() && open_.front().needs.unnumbered == 0 && open_.front().needs.record <= durable_) {
    ack_ = open_.front().seq;
    done_bytes_ += open_.front().needs.bytes;
    untold_ |= open_.front().needs.soon;
    open_.pop_front();
  }
}

AckLedger::Told AckLedger::tell() {
  untold_ = false;
  told_bytes_ = done_bytes_;
  return {ack_, received_};
}

}  // namespace workpool::dispatcher
