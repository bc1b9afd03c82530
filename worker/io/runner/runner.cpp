// SPDX-License-Identifier: MIT
#include "worker/io/runner/runner.h"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>

#include "worker/handlers/registry.h"
#include "worker/io/runner/child_executor.h"
#include "worker/io/runner/command_executor.h"
#include "worker/io/runner/handler_executor.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {
namespace {

bool is_command(const StartAttempt& attempt) { return attempt.order.kind == JobKind::kCommand; }

// What process_tree.h requires. An ignored SIGCHLD, inherited from whoever started the worker, would let the
// kernel reap children before anyone has seen their status.
void become_subreaper() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  struct sigaction action {};
  if (::sigaction(SIGCHLD, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &action, nullptr);
  }
}

}  // namespace

struct Runner::Impl {
  Impl(const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended,
       std::function<void(HandlerStopped&&)> stopped)
      : services(std::make_shared<RunServices>(options, std::move(ended))),
        handlers(options.slots, services,
                 options.registry ? options.registry
                                  : std::make_shared<const HandlerRegistry>(builtin_handlers())),
        children(services, std::move(stopped)),
        commands(services) {}

  void start_handlers(std::vector<StartAttempt>&& attempts) {
    children.start_own(attempts);
    handlers.start(std::move(attempts));
  }

  std::shared_ptr<RunServices> services;
  HandlerExecutor handlers;
  ChildExecutor children;
  CommandExecutor commands;  // last: commands are killed before handlers are waited for
};

Runner::Runner(const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended,
               std::function<void(HandlerStopped&&)> stopped) {
  become_subreaper();
  impl_ = std::make_unique<Impl>(options, std::move(ended), std::move(stopped));
}

Runner::~Runner() { impl_->services->sink.close(); }

void Runner::start(std::vector<StartAttempt>&& attempts) {
  if (std::none_of(attempts.begin(), attempts.end(), is_command)) {
    impl_->start_handlers(std::move(attempts));
    return;
  }
  const auto commands = std::stable_partition(attempts.begin(), attempts.end(),
                                              [](const auto& attempt) { return !is_command(attempt); });
  std::vector<StartAttempt> for_commands(std::make_move_iterator(commands),
                                         std::make_move_iterator(attempts.end()));
  attempts.erase(commands, attempts.end());
  impl_->commands.start(std::move(for_commands));
  impl_->start_handlers(std::move(attempts));
}

void Runner::kill(std::uint64_t token, JobKind kind, KillWhen when) {
  if (kind == JobKind::kCommand) return impl_->commands.kill(token, when);
  // One of them knows it; to the other it has just ended.
  impl_->handlers.kill(token, when);
  impl_->children.kill(token, when);
}

std::vector<JobProgressed> Runner::take_progress() { return impl_->services->progress.take(); }

void Runner::set_lease(Time until) {
  impl_->services->lease_us.store(until.time_since_epoch().count(), std::memory_order_relaxed);
}

void Runner::set_capture(std::uint64_t bytes, bool failed_only) {
  impl_->services->capture_bytes.store(std::min(bytes, kCaptureBytesMax));
  impl_->services->capture_failed_only.store(failed_only);
}

std::vector<std::string> Runner::handler_types(const std::vector<HandlerProgram>& programs,
                                               const HandlerRegistry* registry) {
  std::vector<std::string> types = registry == nullptr ? builtin_handlers().names() : registry->names();
  for (const HandlerProgram& program : programs) types.push_back(program.name);
  std::sort(types.begin(), types.end());
  return types;
}

}  // namespace workpool::worker
