// SPDX-License-Identifier: MIT
// What the core decided about a worker (dispatcher/core/causes.h), in words: for people, and for the REFUSED
// that the worker prints.
#pragma once

#include <string>

#include "common/wire/messages.h"
#include "dispatcher/core/causes.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/core/key_ring.h"

namespace workpool::dispatcher {

Refused refused_for(const RefusalCause& cause);
std::string leave_text(const LeaveCause& cause);  // "silent for 10s"
std::string untruth_text(const WorkerUntrue& worker);
std::string over_timeout_text(const OverItsTimeout& job);
std::string taken_away_text(const JobsTakenAway& taken);
// `key_name`: of the peer's key.
std::string spoke_text(const SpokeForAnother& peer, const std::string& key_name);
// `has_keys`: whether this run has any.
std::string turned_away_text(const TurnedAway& peer, bool has_keys);

// "node3 is benched: its last 10 jobs failed (exit status 1), elsewhere 0 of 12 did; retried in 1m".
std::string benched_text(const WorkerBenched& worker);
std::string unbenched_text(const WorkerUnbenched& worker);

}  // namespace workpool::dispatcher
