// SPDX-License-Identifier: MIT
#include "worker/core/kept_results.h"

#include <algorithm>

namespace workpool::worker {
namespace {

constexpr std::size_t kMessageResults = 256;
constexpr std::uint64_t kMessageBytes = 64 * 1024;

}  // namespace

void KeptResults::add(JobResult&& result) {
  const std::uint64_t bytes = result.window_bytes();
  bytes_ += bytes;
  Kept& kept = kept_.emplace_back();
  kept.result = std::move(result);
  kept.bytes = bytes;
}

Results KeptResults::take_unsent(std::uint64_t window, std::uint64_t seq) {
  Results message;
  std::uint64_t bytes = 0;
  while (unsent_from_ < kept_.size() && message.results.size() < kMessageResults) {
    Kept& next = kept_[unsent_from_];
    if (!message.results.empty() && bytes + next.bytes > kMessageBytes) break;
    // One message is always allowed, so that a result larger than the window travels too.
    if (in_flight_ > 0 && in_flight_ + next.bytes > window) break;
    if (message.results.empty())
      message.results.reserve(std::min(kMessageResults, kept_.size() - unsent_from_));
    bytes += next.bytes;
    in_flight_ += next.bytes;
    next.seq = seq;
    message.results.push_back(next.result);
    ++unsent_from_;
  }
  return message;
}

void KeptResults::acked(std::uint64_t up_to_seq) {
  while (!kept_.empty() && kept_.front().seq != 0 && kept_.front().seq <= up_to_seq) {
    bytes_ -= kept_.front().bytes;
    in_flight_ -= kept_.front().bytes;
    kept_.pop_front();
    --unsent_from_;
  }
}

void KeptResults::session_over() {
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    kept_[i].seq = 0;
    kept_[i].result.handle = Handle{};
  }
  unsent_from_ = 0;
  in_flight_ = 0;
}

void KeptResults::clear() {
  kept_.clear();
  unsent_from_ = 0;
  bytes_ = in_flight_ = 0;
}

}  // namespace workpool::worker
