// SPDX-License-Identifier: MIT
// What the engine says about the runner as a whole. What it hands to it, and what comes back, are the core's
// values (worker/core/facts.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/handler_start.h"
#include "common/base/time.h"
#include "common/formats/handler_program.h"
#include "worker/handlers/registry.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

struct RunnerOptions {
  std::uint32_t slots = 1;  // threads of the handler pool; spawners = min(cores, slots)
  std::uint64_t capture_bytes = 64 * 1024;
  // Between TERM and KILL; of a handler, from its stop token to a lost slot.
  Duration kill_grace = seconds(5);
  // An output file is given up if nothing comes of reading or renaming it for so long. A busy file server may
  // take seconds.
  Duration files_patience = seconds(60);
  // Soft limits for children, as our caller had them; 0 = this process's own.
  std::uint64_t job_descriptors = 0;
  std::uint64_t job_core_bytes = 0;
  std::shared_ptr<const HandlerRegistry> registry{};  // of this process; null: the built-in ones
  std::vector<HandlerProgram> handlers{};             // that programs run
  std::uint32_t handler_jobs = 0;                     // that one child of them is given; 0 = no limit
  bool new_privs = false;                             // children may gain rights that we do not have
  // How long a child of them may read nothing.
  Duration handler_start_most = kHandlerStartMost;
  SharedPage* page = nullptr;  // outlives the runner; start records go there
};

}  // namespace workpool::worker
