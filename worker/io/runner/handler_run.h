// SPDX-License-Identifier: MIT
// One run of a handler made into an outcome: whatever it throws or returns is the job's result and nothing
// else.
#pragma once

#include <string>

#include "common/base/outcome.h"
#include "worker/handlers/handler.h"

namespace workpool::worker {

// `outcome` is new, and is filled in its place.
void run_handler(const Handler& handler, std::string_view args, const HandlerContext& context,
                 Outcome& outcome);

// failed/handler with `message`, made fit for a result line.
Outcome handler_failure(const std::string& message);

}  // namespace workpool::worker
