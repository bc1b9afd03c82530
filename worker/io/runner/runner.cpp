// SPDX-License-Identifier: MIT
#include "worker/io/runner/runner.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "common/io/cores.h"
#include "worker/handlers/registry.h"
#include "worker/io/runner/run_services.h"
#include "worker/io/runner/spawner.h"
#include "worker/io/runner/thread_pool.h"

namespace workpool::worker {
namespace {

bool is_command(const StartAttempt& start) { return start.order.kind == JobKind::kCommand; }

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
  Impl(const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended)
      : services(std::make_shared<RunServices>(options, environ, std::move(ended))),
        pool(options.slots, services, std::make_shared<const HandlerRegistry>(builtin_handlers())) {
    const std::uint32_t count = std::max(1U, std::min(usable_cores(), options.slots));
    for (std::uint32_t i = 0; i < count; ++i) spawners.push_back(std::make_unique<Spawner>(*services));
  }

  // A command that waits for a slot ends as kNotStarted.
  bool take_out(std::uint64_t token) {
    if (!services->queue.remove(token)) return false;
    std::vector<AttemptEnded> endings;
    endings.push_back({token, AttemptEnd::kNotStarted, {}, Duration(0), false});
    services->deliver(endings);
    return true;
  }

  std::shared_ptr<RunServices> services;
  ThreadPool pool;
  std::vector<std::unique_ptr<Spawner>> spawners;  // last: commands are killed before handlers are waited for
};

Runner::Runner(const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended) {
  become_subreaper();
  impl_ = std::make_unique<Impl>(options, std::move(ended));
}

Runner::~Runner() {
  impl_->services->sink.close();
  impl_->services->queue.clear();
}

void Runner::start(std::vector<StartAttempt>&& orders) {
  std::vector<StartAttempt> for_handlers;
  if (std::none_of(orders.begin(), orders.end(), is_command)) {
    for_handlers = std::move(orders);
  } else {
    for (StartAttempt& order : orders) {
      if (is_command(order)) {
        auto now = impl_->services->queue.enter(std::move(order));
        if (!now) continue;
        const auto least =
            std::min_element(impl_->spawners.begin(), impl_->spawners.end(),
                             [](auto& left, auto& right) { return left->load() < right->load(); });
        (*least)->start(std::move(*now));
      } else {
        for_handlers.push_back(std::move(order));
      }
    }
  }
  impl_->pool.start(std::move(for_handlers));
}

void Runner::kill(std::uint64_t token, bool now) {
  if (impl_->take_out(token)) return;
  for (const auto& spawner : impl_->spawners) spawner->kill(token, now);
  impl_->pool.kill(token);
}

void Runner::unstart(std::uint64_t token) {
  if (!impl_->take_out(token)) impl_->pool.unstart(token);
}

void Runner::set_lease(Time until) {
  impl_->services->lease_us.store(until.time_since_epoch().count(), std::memory_order_relaxed);
}

void Runner::set_capture(std::uint64_t bytes) { impl_->services->capture_bytes.store(bytes); }

std::vector<std::string> Runner::handler_types() { return builtin_handlers().names(); }

}  // namespace workpool::worker
