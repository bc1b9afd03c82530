// SPDX-License-Identifier: MIT
// What the session has to say to people, as values. The engine words them (worker/io/session_words). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool::worker {

// ---- why there is no dispatcher ----

// It refused: for now, or because its run is complete and this worker waits for the next one.
struct TurnedAway {
  std::string reason;  // of its REFUSED
  bool operator==(const TurnedAway&) const = default;
};
struct NoAnswer {
  std::string reason;  // what failed, as the registrar found it
  bool operator==(const NoAnswer&) const = default;
};
// The dispatcher answered, but the session did not work both ways.
struct PortsOutOfReach {
  std::optional<std::uint16_t> jobs;  // nullopt: something came through it
  std::uint16_t results = 0;
  bool operator==(const PortsOutOfReach&) const = default;
};
struct SessionOver {  // after it had worked
  bool operator==(const SessionOver&) const = default;
};
using AloneCause = std::variant<TurnedAway, NoAnswer, PortsOutOfReach, SessionOver>;

// ---- registration and its loss ----

struct Joined {  // both ways work
  std::string name;
};
struct RefusedForGood {
  Refusal code = Refusal::kOther;
  std::string reason;  // of its REFUSED
};
struct NotAllowed {    // every address takes --insecure
  std::string reason;  // as the registrar found it
};
struct DispatcherSilent {
  Duration time{0};
  std::optional<PortsOutOfReach> out_of_reach;  // if the session never worked both ways
};
struct WaitingForDispatcher {
  AloneCause cause;
};
struct Orphaned {
  Duration time{0};
  AloneCause cause;
  bool kills = false;  // what runs here
};

// ---- stops and the end ----

struct Finishing {  // the first stop
  std::size_t jobs = 0;
  Duration at_most{0};
};
struct HandingOver {  // the first stop, while there is no dispatcher
  std::size_t results = 0;
  Duration at_most{0};
};
struct NothingRuns {};  // at the first stop
struct Cancelling {};   // the second stop
struct RunIsOver {
  bool waits = false;  // for the next one
};
struct NothingCame {  // for so long: the worker leaves
  Duration time{0};
};
struct TimeIsUp {  // nearly: the worker leaves once what runs is over, or at the latest then
  std::size_t jobs = 0;
  Duration at_most{0};
};
struct ResultsLeft {  // no dispatcher has taken them
  std::size_t results = 0;
};

// ---- jobs ----

struct LacksResources {
  std::string reason;  // errno's text, from the runner
};
struct SlotsLost {};  // jobs that did not end after their timeout hold all of them

using Say = std::variant<Joined, RefusedForGood, NotAllowed, DispatcherSilent, WaitingForDispatcher, Orphaned,
                         Finishing, HandingOver, NothingRuns, Cancelling, RunIsOver, NothingCame, TimeIsUp,
                         ResultsLeft, LacksResources, SlotsLost>;

}  // namespace workpool::worker
