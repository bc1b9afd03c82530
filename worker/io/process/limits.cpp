// SPDX-License-Identifier: MIT
#include "worker/io/process/limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace workpool::worker {
namespace {

constexpr std::uint64_t kOfAJob = 4;
constexpr std::uint64_t kOfASeat = 1;  // of children: its eventfd
// Sockets of libzmq, epolls, logs, and the pipes of jobs that are just being spawned.
constexpr std::uint64_t kReserved = 64;

}  // namespace

DescriptorLimit raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {1024, 1024};
  DescriptorLimit result{limit.rlim_cur, limit.rlim_cur};
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) result.raised = limit.rlim_cur;
  return result;
}

std::uint32_t slots_within(const DescriptorLimit& limit, std::uint32_t wanted, std::size_t handlers) {
  const std::uint64_t of_a_slot = kOfAJob * (1 + handlers) + (handlers > 0 ? kOfASeat : 0);
  const std::uint64_t room = limit.raised > kReserved ? (limit.raised - kReserved) / of_a_slot : 0;
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, std::min<std::uint64_t>(wanted, room)));
}

}  // namespace workpool::worker
