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

// The smallest quota on the way from the process's groups up to their roots, in cores; nothing if there is
// none. `root` stands before /proc and /sys ("" in earnest; tests give a folder).
std::optional<double> cpu_quota(const std::string& root);

}  // namespace workpool
