// SPDX-License-Identifier: MIT
// Makes a child of a handler, by the same spawner as a command's process: in the worker's folder and
// environment, with a session of its own, no descriptor but its three streams, and the same limits.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "common/formats/handler_program.h"
#include "worker/io/process/handler_child.h"
#include "worker/io/process/spawn.h"
#include "worker/io/runner/command_start.h"

namespace workpool::worker {

// Its program cannot be run; why, for people.
struct NoSuchChild {
  std::string reason;
};

using HandlerStart = std::variant<std::unique_ptr<HandlerChild>, NoSuchChild, NoResources>;

// One per thread that starts children: the kernel kills them when that thread ends.
class HandlerStarter {
 public:
  // Throws std::system_error if the system has no room.
  explicit HandlerStarter(std::shared_ptr<const StartingPoint> from) : from_(std::move(from)) {}

  // `slot`: from 1. Takes as long as an exec does. May throw std::bad_alloc.
  HandlerStart start(const HandlerProgram& program, std::uint32_t slot);

 private:
  const std::shared_ptr<const StartingPoint> from_;
  Launcher launcher_;
};

}  // namespace workpool::worker
