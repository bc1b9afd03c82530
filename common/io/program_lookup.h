// SPDX-License-Identifier: MIT
// Whether the programs of handlers are there, before anything depends on them.
#pragma once

#include <string>
#include <vector>

#include "common/formats/handler_program.h"

namespace workpool {

// Says which program cannot be run and why, for people; "" if all can. Looks them up as an exec from here
// would. A command that a shell has to read is not looked at: only the shell knows what it runs.
std::string missing_program(const std::vector<HandlerProgram>& programs);

}  // namespace workpool
