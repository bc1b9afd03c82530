// SPDX-License-Identifier: MIT
#include "worker/core/kept_results.h"

#include <algorithm>

namespace workpool::worker {
namespace {

constexpr std::size_t kMessageResults = 256;
constexpr std::uint64_t kMessageBytes = 64 * 1024;

}  // namespace

JobResult& KeptResults::add(Outcome&& outcome) {
  const std::uint64_t bytes = JobResult::window_bytes_of(outcome);
  const bool has_room = unsent_from_ < messages_.size() &&
                        messages_.back().results->results.size() < kMessageResults &&
                        messages_.back().bytes + bytes <= kMessageBytes;
  if (!has_room) {
    // As many as in the one before: they are large, and moving them to more memory costs.
    const std::size_t expected = messages_.empty() ? 0 : messages_.back().results->results.size();
    messages_.emplace_back().results = std::make_shared<Results>();
    messages_.back().results->results.reserve(std::max(kMessageResults / 4, expected));
  }
  Message& message = messages_.back();
  message.bytes += bytes;
  bytes_ += bytes;
  ++size_;
  JobResult& result = message.results->results.emplace_back();
  result.outcome = std::move(outcome);
  return result;
}

std::shared_ptr<const Results> KeptResults::take_unsent(std::uint64_t window, std::uint64_t seq) {
  if (unsent_from_ == messages_.size()) return nullptr;
  Message& next = messages_[unsent_from_];
  // One is always allowed, so that a result larger than the window travels too.
  if (in_flight_ > 0 && in_flight_ + next.bytes > window) return nullptr;
  in_flight_ += next.bytes;
  next.seq = seq;
  ++unsent_from_;
  return next.results;
}

void KeptResults::acked(std::uint64_t up_to_seq) {
  for (; unsent_from_ > 0 && messages_.front().seq <= up_to_seq; --unsent_from_) {
    bytes_ -= messages_.front().bytes;
    in_flight_ -= messages_.front().bytes;
    size_ -= messages_.front().results->results.size();
    messages_.pop_front();
  }
}

void KeptResults::session_over() {
  for (Message& message : messages_) {
    // Somebody may still be about to send it, in the session that is over.
    if (message.results.use_count() > 1) message.results = std::make_shared<Results>(*message.results);
    for (JobResult& result : message.results->results) result.handle = Handle{};
  }
  unsent_from_ = 0;
  in_flight_ = 0;
}

void KeptResults::clear() {
  messages_.clear();
  unsent_from_ = size_ = 0;
  bytes_ = in_flight_ = 0;
}

}  // namespace workpool::worker
