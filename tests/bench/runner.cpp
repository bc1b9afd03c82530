// SPDX-License-Identifier: MIT
// How many jobs per second the runner of one worker gets through, without dispatcher and sockets:
//   bench_runner noop [JOBS]    no-op jobs of the thread pool
//   bench_runner true [JOBS]    ["true"] jobs of the spawners, two at a time; compare `yes x | head -n JOBS |
//   xargs -P 2 -n 1 true`
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "common/io/clock.h"
#include "worker/io/runner/runner.h"

namespace {

using namespace workpool;
using namespace workpool::worker;

constexpr std::uint32_t kSlots = 2;

// The engine's place: starts as many as slots (or batches) allow, counts endings.
class Load {
 public:
  Load(std::string work, std::uint64_t jobs, std::uint64_t at_once)
      : work_(std::move(work)), jobs_(jobs), at_once_(at_once) {}

  void ended(std::vector<AttemptEnded>&& endings) {
    const std::lock_guard lock(mutex_);
    for (const AttemptEnded& ending : endings) failed_ += ending.outcome.status == Status::kOk ? 0 : 1;
    ended_ += endings.size();
    changed_.notify_one();
  }

  void run(Runner& runner) {
    const auto begin = std::chrono::steady_clock::now();
    std::uint64_t started = 0;
    std::unique_lock lock(mutex_);
    while (ended_ < jobs_) {
      std::vector<StartAttempt> orders;
      while (started < jobs_ && started - ended_ < at_once_) {
        StartAttempt order;
        order.token = ++started;
        order.order.id = "job";
        order.order.key.low = started;
        order.order.attempt = 1;
        order.order.kind = work_.starts_with("{\"cmd\":") ? JobKind::kCommand : JobKind::kHandler;
        order.order.work = work_;
        orders.push_back(std::move(order));
      }
      const bool full = orders.empty();
      lock.unlock();
      if (!full) runner.start(std::move(orders));
      lock.lock();
      if (full) changed_.wait(lock);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%llu jobs, %llu not ok, %.3f s, %.0f jobs/s\n", static_cast<unsigned long long>(jobs_),
                static_cast<unsigned long long>(failed_), took.count(),
                static_cast<double>(jobs_) / took.count());
  }

 private:
  std::string work_;
  std::uint64_t jobs_;
  std::uint64_t at_once_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t ended_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "noop";
  const bool commands = what == "true";
  const std::uint64_t jobs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : (commands ? 5'000 : 2'000'000);
  Load load(commands ? R"({"cmd":["true"]})" : R"({"type":"noop"})", jobs, commands ? kSlots : 4096);
  SharedPage page(kSlots);
  RunnerOptions options;
  options.slots = kSlots;
  options.page = &page;
  Runner runner(options, [&load](std::vector<AttemptEnded>&& endings) { load.ended(std::move(endings)); });
  runner.set_lease(boot_time() + seconds(3600));
  load.run(runner);
  return 0;
}
