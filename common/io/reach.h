// SPDX-License-Identifier: MIT
// Finds out how a dispatcher can be talked to: over the folder of a run of this user on this machine, with a
// key, or openly. Looks before any ZeroMQ socket connects, since those give no reasons, and try for ever what
// cannot work.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "common/base/address.h"
#include "common/base/keys.h"
#include "common/base/time.h"

namespace workpool {

struct Credentials {
  std::shared_ptr<const JoinKey> key;  // null: none
  // An open dispatcher will do, if there is no key: whoever answers is believed.
  bool may_be_open = false;
  bool only_looks = false;  // for a question that changes nothing: an open dispatcher will do, with a key too
};

struct Reached {
  Address where;
  bool secured = false;  // with the key
};
enum class Hindrance : std::uint8_t {
  kNoAnswer,  // nothing answers there, at this moment
  kKey,       // one side has keys, and the other has none
  kOpen       // the dispatcher is open, and that will not do
};
struct Unreached {
  Hindrance what = Hindrance::kNoAnswer;
  std::string problem;  // for people
};

// `literal`: an address, or a folder. Waits up to `connect_limit` for a connection and then up to
// `greeting_limit` for its first bytes, but not beyond `end`, and gives up early when `stop` is set.
std::variant<Reached, Unreached> reach(const std::string& literal, std::uint16_t port,
                                       const Credentials& credentials, Duration connect_limit,
                                       Duration greeting_limit, Time end, const std::atomic<bool>& stop);

}  // namespace workpool
