// SPDX-License-Identifier: MIT
// What a run prints when it starts: what will be run, where results go, and how to start a worker elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/address.h"

namespace workpool::dispatcher {

struct BannerFacts {
  std::string version;
  std::string worker_program = "workpool-worker";  // what the user calls it
  std::string jobs;                                // as given, "-" for stdin
  std::string results;
  std::optional<std::uint64_t> total;  // nullopt if it is not known (a pipe)
  std::uint64_t before = 0;            // finished in an earlier start
  std::uint32_t local_slots = 0;       // of the local worker, 0 = none
  std::optional<Address> listen;       // with the port that was bound
  std::string reachable;               // reachable_host(listen->host)
  bool insecure = false;               // no keys are asked for
  std::string join_key;                // a secret; "" without keys, or if they are in key_file
  std::string key_file;                // of --key
};

// At most five lines, without the last newline, printable.
std::string banner_text(const BannerFacts& facts);

// The exact command that starts a worker elsewhere for this dispatcher, with the join key in it; "" if it
// does not listen.
std::string worker_command(const BannerFacts& facts);

}  // namespace workpool::dispatcher
