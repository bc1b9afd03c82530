// SPDX-License-Identifier: MIT
// Which keys may come in, and which number each has. A key that is taken out and comes back later has a new
// number: what belonged to the old one is over. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/keys.h"
#include "dispatcher/core/key_id.h"

namespace workpool::dispatcher {

// Seconds since 1970.
using WallSeconds = std::int64_t;

struct KnownKey {
  PublicKey key;
  std::string name;                    // of its worker, for people
  std::optional<WallSeconds> expires;  // not valid from this moment on
};

enum class KeyRefusal : std::uint8_t {
  kUnknown,
  kRevoked,  // it was valid before
  kExpired,
  kNotItsLane
};

// A peer that was not let in.
enum class TurnedAwayFor : std::uint8_t {
  kNoKey,       // it has none, or it has one and we have none
  kOtherKey,    // its key is for another dispatcher
  kUnknownKey,  // the other four are KeyRefusal's
  kRevokedKey,
  kExpiredKey,
  kOtherLane
};
struct TurnedAway {
  TurnedAwayFor why = TurnedAwayFor::kNoKey;
  std::string address;      // of the peer; empty if it is not known
  std::string fingerprint;  // of its key, if it has shown one
};

class KeyRing {
 public:
  // From now on these keys are valid, and no others. Returns the numbers of those that were and are not any
  // more.
  std::vector<KeyId> replace(const std::vector<KnownKey>& keys);
  // Takes out those whose time is over. Returns their numbers.
  std::vector<KeyId> expire(WallSeconds now);

  // `only`: whoever has another key is refused; KeyId{0}: every valid key will do.
  std::variant<KeyId, KeyRefusal> judge(const PublicKey& key, KeyId only, WallSeconds now) const;

  // Also of a key that is not valid any more: "" if there never was one.
  std::string name_of(KeyId id) const;
  // Of a valid key; "" if it is none.
  std::string fingerprint_of(KeyId id) const;

 private:
  struct Entry {
    KeyId id;
    std::string name;
    std::optional<WallSeconds> expires;
  };
  struct Past {
    KeyRefusal why = KeyRefusal::kRevoked;
    KeyId id;
    std::string name;
  };
  // So many keys that were valid once are remembered, so that a file may be edited for ever.
  static constexpr std::size_t kPastMost = 10'000;

  void take_out(const PublicKey& key, const Entry& entry, KeyRefusal why);

  std::map<PublicKey, Entry> valid_;
  std::map<PublicKey, Past> past_;
  std::deque<std::pair<PublicKey, KeyId>> past_order_;  // the oldest first
  std::uint32_t last_ = 0;
};

}  // namespace workpool::dispatcher
