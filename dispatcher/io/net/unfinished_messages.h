// SPDX-License-Identifier: MIT
// Messages of which some parts have arrived and others have not, within a budget of memory for all of them
// together. A message is of one session and one key, so nobody can add a part to another's. If the budget is
// used up, a message of the key that has most under way gives way, the one that comes most slowly: it may be
// one that is never to be finished. For one thread.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/wire/codec.h"
#include "dispatcher/core/key_id.h"

namespace workpool::dispatcher {

class UnfinishedMessages {
 public:
  // `bytes_most`: of all of them. Whose message gives way has lost it, and its session ends.
  explicit UnfinishedMessages(std::size_t bytes_most) : bytes_most_(bytes_most) {}

  // Returns whether the part was taken. It must continue its message and not be tiny, or a session could stay
  // alive on parts that bring nothing.
  bool add(SessionId session, KeyId key, const Part& part, Time now);
  // The whole message, if its last part has been added.
  std::optional<std::string> take(SessionId session, KeyId key);
  // Drops what is there of the session, whoever sent it.
  void forget(SessionId session);

 private:
  using Sender = std::pair<SessionId, KeyId>;
  struct Unfinished {
    PartAssembler parts;
    Time began;
  };
  void drop(const Sender& sender);
  // Of the key that has most: drops the slowest of those that have been under way for long enough to tell,
  // but not `sender`'s. Returns false if there is none.
  bool make_room(const Sender& sender, Time now);
  KeyId greediest() const;

  std::size_t bytes_most_;
  std::size_t bytes_ = 0;
  std::map<Sender, Unfinished> messages_;
};

}  // namespace workpool::dispatcher
