// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/unfinished_messages.h"

#include <algorithm>

namespace workpool::dispatcher {
namespace {

// How long a message must have been under way for its rate to say anything.
constexpr Duration kTellingAge = seconds(5);

}  // namespace

bool UnfinishedMessages::add(SessionId session, KeyId key, const Part& part, Time now) {
  const Sender sender{session, key};
  Unfinished& message = messages_.try_emplace(sender, Unfinished{{}, now}).first->second;
  const bool goes_forward = part.last || part.bytes.size() >= kPartBytesLeast;
  bool fits = goes_forward;
  while (fits && bytes_ + part.bytes.size() > bytes_most_) fits = make_room(sender, now);
  if (fits && message.parts.add(part)) {
    bytes_ += part.bytes.size();
    return true;
  }
  drop(sender);
  return false;
}

KeyId UnfinishedMessages::greediest() const {
  std::map<KeyId, std::size_t> bytes;
  for (const auto& [sender, message] : messages_) bytes[sender.second] += message.parts.bytes();
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? KeyId{} : most->first;
}

bool UnfinishedMessages::make_room(const Sender& sender, Time now) {
  const KeyId key = greediest();
  const Sender* slowest = nullptr;
  double least = 0;
  for (const auto& [other, message] : messages_) {
    if (other == sender || other.second != key || now < message.began + kTellingAge) continue;
    const double rate =
        static_cast<double>(message.parts.bytes()) / static_cast<double>((now - message.began).count());
    if (slowest != nullptr && rate >= least) continue;
    slowest = &other;
    least = rate;
  }
  if (slowest == nullptr) return false;
  drop(Sender(*slowest));
  return true;
}

std::optional<std::string> UnfinishedMessages::take(SessionId session, KeyId key) {
  const auto found = messages_.find({session, key});
  if (found == messages_.end()) return std::nullopt;
  const std::size_t bytes = found->second.parts.bytes();
  auto whole = found->second.parts.take();
  if (!whole) return std::nullopt;
  bytes_ -= bytes;
  messages_.erase(found);
  return whole;
}

void UnfinishedMessages::drop(const Sender& sender) {
  const auto found = messages_.find(sender);
  if (found == messages_.end()) return;
  bytes_ -= found->second.parts.bytes();
  messages_.erase(found);
}

void UnfinishedMessages::forget(SessionId session) {
  auto at = messages_.lower_bound({session, KeyId{0}});
  while (at != messages_.end() && at->first.first == session) {
    bytes_ -= at->second.parts.bytes();
    at = messages_.erase(at);
  }
}

}  // namespace workpool::dispatcher
