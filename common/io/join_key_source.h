// SPDX-License-Identifier: MIT
// Where a worker, or `status`, has its join key from: --key FILE, or else the variable WORKPOOL_KEY, which
// holds the key itself. Never an argument, since every user of the machine can read those.
//
// FILE is `-` for a line from stdin, a descriptor (/dev/fd/63, as `<(…)` of a shell makes it), or a regular
// file that
//   - belongs to this user, and nobody else may read or write it; or
//   - belongs to root, and nobody else may write it. Containers and orchestrators leave secrets so, as
//     /run/secrets/NAME with the mode 0444.
// A symbolic link is followed if root has made it, as Kubernetes does for its secrets; others are refused.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "common/base/exit_code.h"
#include "common/base/flags.h"
#include "common/base/keys.h"

namespace workpool {

inline constexpr const char* kJoinKeyVariable = "WORKPOOL_KEY";

struct JoinKeyFault {
  ExitCode code = ExitCode::kUsage;  // kUnsafe for a file that is missing, unsafe or damaged
  std::string message;               // for people; without a letter of the key
};

// Without a flag and a variable (or with an empty one) there is no key: monostate.
using FoundJoinKey = std::variant<std::monostate, JoinKey, JoinKeyFault>;

// Calls forget_variable(kJoinKeyVariable) at its end, so it finds the variable only once. REQUIRES: no other
// thread reads the environment. Waits for stdin if `flag_value` is `-`.
FoundJoinKey find_join_key(const std::optional<std::string>& flag_value, const Environment& environment);

// Overwrites the variable's value where the process was started with it, so that /proc/PID/environ does not
// show it, and unsets it, so that no child gets it.
void forget_variable(const std::string& name);

}  // namespace workpool
