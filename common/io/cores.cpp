// SPDX-License-Identifier: MIT
#include "common/io/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace workpool {

namespace {

struct Mount {
  bool version_2 = false;
  std::string root;   // the group that is mounted
  std::string point;  // where
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

bool has(const std::vector<std::string>& parts, const std::string& part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// Lines of mountinfo: "36 35 98:0 /root /point options … - type source superoptions" (proc(5)).
std::vector<Mount> cpu_mounts(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool version_2 = right[0] == "cgroup2";
    if (version_2 || (right[0] == "cgroup" && has(split(right[2], ','), "cpu"))) {
      mounts.push_back({version_2, left[3], left[4]});
    }
  }
  return mounts;
}

// The process's group in that hierarchy: "0::/path" or "4:cpu,cpuacct:/path".
std::optional<std::string> group_of(const std::string& root, bool version_2) {
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool fits = version_2 ? line.compare(0, 3, "0::") == 0 : has(split(controllers, ','), "cpu");
    if (fits) return line.substr(second + 1);
  }
  return std::nullopt;
}

std::optional<double> quota_in(const std::string& folder, bool version_2) {
  double quota = 0;
  double period = 0;
  if (version_2) {
    // "max 100000" fails to read as a number: no quota.
    if (!(std::ifstream(folder + "/cpu.max") >> quota >> period)) return std::nullopt;
  } else {
    if (!(std::ifstream(folder + "/cpu.cfs_quota_us") >> quota)) return std::nullopt;
    if (!(std::ifstream(folder + "/cpu.cfs_period_us") >> period)) return std::nullopt;
  }
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

}  // namespace

std::optional<double> cpu_quota(const std::string& root) {
  std::optional<double> smallest;
  for (const Mount& mount : cpu_mounts(root)) {
    std::string group = group_of(root, mount.version_2).value_or("/");
    // In a container the group is named from the host's root, of which only a part is mounted.
    if (mount.root != "/" && group.compare(0, mount.root.size(), mount.root) == 0)
      group.erase(0, mount.root.size());
    if (group == "/" || group.find("..") != std::string::npos) group.clear();
    for (;;) {
      const auto quota = quota_in(root + mount.point + group, mount.version_2);
      if (quota && (!smallest || *quota < *smallest)) smallest = quota;
      if (group.empty()) break;
      group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
  }
  return smallest;
}

std::uint32_t usable_cores() {
  // A set for more cores than any kernel is built for (8192).
  constexpr int kCoresMax = 1 << 14;
  std::uint32_t cores = 1;
  cpu_set_t* set = CPU_ALLOC(kCoresMax);
  if (set != nullptr) {
    const std::size_t bytes = CPU_ALLOC_SIZE(kCoresMax);
    if (::sched_getaffinity(0, bytes, set) == 0) cores = static_cast<std::uint32_t>(CPU_COUNT_S(bytes, set));
    CPU_FREE(set);
  }
  if (const auto quota = cpu_quota("")) {
    cores = std::min(cores, static_cast<std::uint32_t>(std::ceil(*quota - 0.001)));
  }
  return std::max(cores, 1U);
}

}  // namespace workpool
