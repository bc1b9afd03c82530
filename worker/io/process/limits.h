// SPDX-License-Identifier: MIT
// The limit on open descriptors. The worker raises its own at the start; its jobs get the caller's limit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace workpool::worker {

struct DescriptorLimit {
  std::uint64_t original = 0;  // the caller's soft limit: RunnerOptions::job_descriptors
  std::uint64_t raised = 0;    // what this process may open now
};

// Sets the soft limit to the hard one and returns both. Once, at the start, before the supervisor forks.
DescriptorLimit raise_descriptor_limit();

// How many slots `limit` has room for, at most `wanted`, at least 1: each may run a command, which costs four
// descriptors (pidfd, stdin, stdout, stderr), and keep a child of each of `handlers` programs, which costs as
// many.
std::uint32_t slots_within(const DescriptorLimit& limit, std::uint32_t wanted, std::size_t handlers = 0);

}  // namespace workpool::worker
