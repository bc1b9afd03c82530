// SPDX-License-Identifier: MIT
// The status of a run from its files: RESULTS, its state file and the jobs file that this names. For a run
// that is over or was stopped, or whose dispatcher cannot be asked. Takes no lock and changes nothing.
#pragma once

#include <string>

#include "dispatcher/io/status/status_client.h"

namespace workpool::dispatcher {

// JSON as from a dispatcher, but without uptime_s, and with the phase `over`, `stopped` (jobs are left),
// `ended` (whether jobs are left is not known: they came from a pipe or from `each`, or their file cannot be
// read) or `running` (another process has RESULTS locked).
StatusAnswer status_of_results(const std::string& results);

}  // namespace workpool::dispatcher
