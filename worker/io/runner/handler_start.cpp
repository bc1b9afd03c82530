// SPDX-License-Identifier: MIT
#include "worker/io/runner/handler_start.h"

#include <fcntl.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "worker/io/process/child_environment.h"
#include "worker/io/process/spawn_failure.h"

namespace workpool::worker {
namespace {

struct ChildPipes {
  Pipe input;
  Pipe output;
  Pipe errors;

  // False with errno set if there are no descriptors left. Our ends do not block; the child's do, as programs
  // expect.
  bool make() {
    if (!make_pipe(input) || !make_pipe(output) || !make_pipe(errors)) return false;
    for (const int fd : {input.write.get(), output.read.get(), errors.read.get()}) {
      if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
    }
    return true;
  }
};

}  // namespace

HandlerStart HandlerStarter::start(const HandlerProgram& program, std::uint32_t slot) {
  ChildPipes pipes;
  if (!pipes.make()) return NoResources{std::generic_category().message(errno)};
  const std::string attempt_key = from_->environment.attempt_key(random_key());
  const ChildEnvironment environment(from_->environment, program.name, slot, attempt_key);
  std::vector<std::string> arguments = arguments_of(program);
  SpawnAttempt attempt{arguments[0], environment.search_path(),
                       candidates_for(arguments[0], environment.search_path()), ""};
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> programs = pointers_to(attempt.candidates);
  SpawnRequest request;
  request.argv = argv.data();
  request.envp = environment.pointers();
  request.programs = programs.data();
  request.starting_fd = from_->directory.get();
  request.standard_input = pipes.input.read.get();
  request.standard_output = pipes.output.write.get();
  request.standard_error = pipes.errors.write.get();
  request.descriptor_limit = from_->descriptor_limit;
  request.core_limit = from_->core_limit;
  request.new_privs = from_->new_privs;
  Spawned spawned = launcher_.spawn(request);
  if (spawned.lacks_resources()) return NoResources{std::generic_category().message(spawned.error)};
  if (!spawned.is_running()) return NoSuchChild{explain(spawned, attempt)};
  HandlerChild::Channels channels{std::move(spawned.pidfd), std::move(pipes.input.write),
                                  std::move(pipes.output.read), std::move(pipes.errors.read)};
  return std::make_unique<HandlerChild>(spawned.pid, std::move(channels), attempt_key);
}

}  // namespace workpool::worker
