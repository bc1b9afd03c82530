// SPDX-License-Identifier: MIT
// The scheduler's own books must agree with themselves; and events and actions as a line of text each, for
// traces.
#pragma once

#include <string>

#include "dispatcher/core/facts.h"
#include "dispatcher/core/fleet.h"
#include "dispatcher/core/ledger.h"
#include "worker/core/facts.h"

namespace workpool::simulation {

// What is wrong, or nothing. `thorough`: every job too, not only the sessions.
std::string check_ledger(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers,
                         bool thorough);
std::string check_fleet(const dispatcher::Fleet& fleet);

// The open jobs and the sessions, for a trace's end.
std::string describe_open(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers);

std::string describe(const dispatcher::Event& event);
std::string describe(const dispatcher::Action& action);
std::string describe(const worker::Event& event);
std::string describe(const worker::Action& action);

}  // namespace workpool::simulation
