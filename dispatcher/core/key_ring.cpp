// SPDX-License-Identifier: MIT
#include "dispatcher/core/key_ring.h"

#include <algorithm>

namespace workpool::dispatcher {

std::vector<KeyId> KeyRing::replace(const std::vector<KnownKey>& keys) {
  std::map<PublicKey, Entry> next;
  for (const KnownKey& known : keys) {
    const auto before = valid_.find(known.key);
    const KeyId id = before != valid_.end() ? before->second.id : KeyId{++last_};
    next.emplace(known.key, Entry{id, known.name, known.expires});
    past_.erase(known.key);
  }
  std::vector<KeyId> gone;
  for (const auto& [key, entry] : valid_) {
    if (next.contains(key)) continue;
    gone.push_back(entry.id);
    take_out(key, entry, KeyRefusal::kRevoked);
  }
  valid_ = std::move(next);
  return gone;
}

std::vector<KeyId> KeyRing::expire(WallSeconds now) {
  std::vector<KeyId> gone;
  std::erase_if(valid_, [&](const auto& entry) {
    if (!entry.second.expires || now < *entry.second.expires) return false;
    gone.push_back(entry.second.id);
    take_out(entry.first, entry.second, KeyRefusal::kExpired);
    return true;
  });
  return gone;
}

std::variant<KeyId, KeyRefusal> KeyRing::judge(const PublicKey& key, KeyId only, WallSeconds now) const {
  const auto found = valid_.find(key);
  if (found == valid_.end()) {
    const auto before = past_.find(key);
    return before != past_.end() ? before->second.why : KeyRefusal::kUnknown;
  }
  if (found->second.expires && now >= *found->second.expires) return KeyRefusal::kExpired;
  if (only != KeyId{} && found->second.id != only) return KeyRefusal::kNotItsLane;
  return found->second.id;
}

std::string KeyRing::name_of(KeyId id) const {
  for (const auto& [key, entry] : valid_) {
    if (entry.id == id) return entry.name;
  }
  for (const auto& [key, past] : past_) {
    if (past.id == id) return past.name;
  }
  return "";
}

std::string KeyRing::fingerprint_of(KeyId id) const {
  for (const auto& [key, entry] : valid_) {
    if (entry.id == id) return fingerprint(key);
  }
  return "";
}

void KeyRing::take_out(const PublicKey& key, const Entry& entry, KeyRefusal why) {
  past_[key] = {why, entry.id, entry.name};
  past_order_.emplace_back(key, entry.id);
  if (past_order_.size() <= kPastMost) return;
  const auto& [oldest, id] = past_order_.front();
  // Unless it has been valid again since then.
  const auto found = past_.find(oldest);
  if (found != past_.end() && found->second.id == id) past_.erase(found);
  past_order_.pop_front();
}

}  // namespace workpool::dispatcher
