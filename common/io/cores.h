// SPDX-License-Identifier: MIT
// How many cores this process may use: its CPU affinity, and the CPU quotas of its control groups (versions 1
// and 2), since `nproc` in a container with two cores' worth of quota says 64.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace workpool {

// At least 1. A quota of one and a half cores counts as 2: one slot alone would leave half a core idle.
std::uint32_t usable_cores();

// The smallest quota, in cores, of the process's control groups and those above them; nullopt if there is
// none. `root` is put before /proc and /sys: "" in a program, a folder in tests.
std::optional<double> cpu_quota(const std::string& root);

}  // namespace workpool
