// SPDX-License-Identifier: MIT
// A function of the user as a handler of the worker, and the job that it is given.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "include/workpool/worker.h"
#include "worker/handlers/handler.h"
#include "worker/library/stop_relay.h"

namespace workpool::worker {

std::unique_ptr<Handler> own_handler(std::string name, std::function<workpool::json(const Job&)> function,
                                     std::shared_ptr<StopRelay> relay);

}  // namespace workpool::worker
