// SPDX-License-Identifier: MIT
#include "worker/io/runner/child_executor.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "common/io/threads.h"

namespace workpool::worker {

ChildExecutor::ChildExecutor(const std::shared_ptr<RunServices>& services,
                             std::function<void(HandlerStopped&&)> stopped)
    : services_(std::make_shared<ChildServices>(services, std::move(stopped))) {
  if (services->options.handlers.empty()) return;
  services_->from = std::make_shared<const StartingPoint>(environ, services->options);
  // One at once: if there is no room for it this worker is of no use, and a run would wait for it.
  add_seat();
}

ChildExecutor::~ChildExecutor() {
  services_->queue.close();
  for (std::thread& thread : threads_) thread.join();
}

// The place of its handler; that of none if it is not ours.
std::uint32_t ChildExecutor::handler_of(const StartAttempt& attempt) {
  constexpr std::string_view kBegin = "{\"type\":\"";
  const std::string_view work = attempt.order.work;
  if (work.starts_with(kBegin)) {
    const std::string_view type = work.substr(kBegin.size(), work.find('"', kBegin.size()) - kBegin.size());
    if (type.find('\\') == std::string_view::npos) return services_->queue.find(type);
  }
  const auto parsed = parser_.parse(work);  // the name may be written with escapes
  const auto* const handler = std::get_if<HandlerWork>(&parsed);
  return services_->queue.find(handler == nullptr ? "" : handler->type);
}

void ChildExecutor::start_own(std::vector<StartAttempt>& attempts) {
  const std::size_t handlers = services_->queue.programs().size();
  if (handlers == 0) return;
  std::vector<ChildJob> jobs;
  std::vector<StartAttempt> others;
  for (StartAttempt& attempt : attempts) {
    const std::uint32_t handler = handler_of(attempt);
    if (handler < handlers) {
      jobs.push_back({std::move(attempt), handler});
    } else {
      others.push_back(std::move(attempt));
    }
  }
  attempts = std::move(others);
  if (!jobs.empty()) add_seats(services_->queue.add(jobs));
  for (const ChildJob& job : jobs)
    services_->run->deliver_one({job.attempt.token, AttemptEnd::kNotStarted, {}, Duration(0)});
}

void ChildExecutor::add_seats(std::size_t wanted) {
  const std::uint32_t most = services_->run->options.slots;
  try {
    for (; wanted > 0 && seats_.size() < most; --wanted) add_seat();
  } catch (const std::system_error&) {
    // The existing seats do all the work.
  }
}

// Throws std::system_error if the system has no room.
void ChildExecutor::add_seat() {
  seats_.push_back(std::make_unique<ChildSeat>(services_, static_cast<std::uint32_t>(seats_.size())));
  try {
    threads_.push_back(start_thread([seat = seats_.back().get()] { seat->run(); }));
  } catch (const std::system_error&) {
    seats_.pop_back();
    throw;
  }
  services_->queue.add_seat(seats_.back()->in_queue());
}

void ChildExecutor::kill(std::uint64_t token, KillWhen when) {
  if (services_->queue.kill({token, when}))
    services_->run->deliver_one({token, AttemptEnd::kNotStarted, {}, Duration(0)});
}

}  // namespace workpool::worker
