// SPDX-License-Identifier: MIT
// Why the core turns a worker away, or how its session ended, as values. The terminal words them
// (dispatcher/io/terminal/worker_words). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool::dispatcher {

// ---- the answer to a HELLO ----

struct RunComplete {};
struct OtherProtocol {
  std::uint32_t protocol = 0;  // of the worker
  std::string version;
};
struct NoText {};      // version, name, handlers or labels are not UTF-8
struct NoIdentity {};  // without a name, a slot, an id or an engine number
// The id of a worker that has registered already, with these numbers or higher ones.
struct IdUsedBefore {
  WorkerId worker;
  std::uint32_t engine = 0;
  std::uint32_t try_number = 0;
  std::uint32_t engine_now = 0;
  std::uint32_t try_now = 0;
};
// The worker's id belongs to a worker with another key.
struct IdOfAnotherKey {
  WorkerId worker;
};
struct KeyNotValid {};  // any more
struct TooManyRegister {};
struct TooManyWorkers {};
using RefusalCause = std::variant<RunComplete, OtherProtocol, NoText, NoIdentity, IdUsedBefore,
                                  IdOfAnotherKey, KeyNotValid, TooManyRegister, TooManyWorkers>;

// What the worker is to do.
inline Refusal code_of(const RefusalCause& cause) {
  struct Visitor {
    Refusal operator()(const RunComplete&) const { return Refusal::kComplete; }
    Refusal operator()(const OtherProtocol&) const { return Refusal::kWrongProtocol; }
    Refusal operator()(const NoText&) const { return Refusal::kOther; }
    Refusal operator()(const NoIdentity&) const { return Refusal::kOther; }
    Refusal operator()(const IdUsedBefore&) const { return Refusal::kOther; }
    Refusal operator()(const IdOfAnotherKey&) const { return Refusal::kOther; }
    Refusal operator()(const KeyNotValid&) const { return Refusal::kOther; }
    Refusal operator()(const TooManyRegister&) const { return Refusal::kLater; }
    Refusal operator()(const TooManyWorkers&) const { return Refusal::kLater; }
  };
  return std::visit(Visitor{}, cause);
}

// ---- the end of a session ----

struct SaidGoodbye {
  bool operator==(const SaidGoodbye&) const = default;
};
struct SilentFor {
  Duration time{0};
  bool operator==(const SilentFor&) const = default;
};
struct ConnectionLost {  // its lane has gone, or a message of it was lost or refused
  bool operator==(const ConnectionLost&) const = default;
};
struct ConnectionClosed {  // while the run ended
  bool operator==(const ConnectionClosed&) const = default;
};
struct NeverReady {
  bool operator==(const NeverReady&) const = default;
};
struct KeptWhatWasRecalled {
  bool operator==(const KeptWhatWasRecalled&) const = default;
};
struct OwesAResult {  // of a job that has ended there
  bool operator==(const OwesAResult&) const = default;
};
struct KeyRevoked {  // or expired
  bool operator==(const KeyRevoked&) const = default;
};
using LeaveCause = std::variant<SaidGoodbye, SilentFor, ConnectionLost, ConnectionClosed, NeverReady,
                                KeptWhatWasRecalled, OwesAResult, KeyRevoked>;

}  // namespace workpool::dispatcher
