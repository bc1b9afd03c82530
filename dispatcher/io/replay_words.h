// SPDX-License-Identifier: MIT
// What people should know about the RESULTS that a run goes on with.
#pragma once

#include <string>
#include <vector>

#include "dispatcher/io/results/results_replay.h"

namespace workpool::dispatcher {

// One line each; none if RESULTS is as it should be. `results`, `jobs`: the files as the user named them.
std::vector<std::string> words_for(const ReplaySummary& summary, const std::string& results,
                                   const std::string& jobs);

}  // namespace workpool::dispatcher
