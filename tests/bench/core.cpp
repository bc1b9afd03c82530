// SPDX-License-Identifier: MIT
// What the dispatcher's core alone costs per job: one thread drives it with no-ops of two workers, without
// sockets, disk or clock, as the loop does in a fast run (a quarter of a window comes back per turn). The
// entries of the journal go to a second thread, so that their memory travels between two processors as it
// does in the dispatcher.
//   bench_core [JOBS] [WORKERS]    medians of 9 runs
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/core/scheduler.h"

namespace {

using namespace workpool;
using namespace workpool::dispatcher;

Key key_of(JobNumber number) {
  return {{(number + 1) * 0x9e3779b97f4a7c15, (number + 1) * 0xc2b2ae3d27d4eb4f}};
}
Spec spec_of(JobNumber number) { return {{(number + 1) * 0xff51afd7ed558ccd, number}}; }

// Reads what it is given, and frees it.
class Writer {
 public:
  Writer() : thread_([this] { run(); }) {}
  ~Writer() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void take(std::vector<JournalEntry>&& entries) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(entries));
    changed_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return over_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const std::vector<JournalEntry> entries = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      for (const JournalEntry& entry : entries) {
        if (const auto* record = std::get_if<Record>(&entry)) lines_ += record->facts.line;
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<JournalEntry>> waiting_;
  bool over_ = false;
  std::uint64_t lines_ = 0;
  std::thread thread_;
};

class CoreBench {
 public:
  CoreBench(std::uint64_t jobs, std::uint64_t workers) : jobs_(jobs) {
    const std::uint32_t requirement = index_.requirement_number({"noop", {}, 1});
    index_.reserve(jobs);
    for (JobNumber number = 0; number < jobs; ++number)
      index_.add({key_of(number).high, spec_of(number).high, 100 * number, number + 1, 1, requirement, 0});
    index_.seal();
    index_.open_queues(false);
    SchedulerOptions options;
    options.run = run_;
    scheduler_.emplace(options, index_, now_);
    for (std::uint64_t id = 1; id <= workers; ++id) join(id);
  }

  // Returns nanoseconds of this thread's processor time per job.
  double run() {
    const double begin = processor_time();
    while (done_ < jobs_) turn();
    return (processor_time() - begin) / static_cast<double>(jobs_);
  }

 private:
  struct Worker {
    std::uint64_t seq = 0;
    std::deque<JobOrder> held;
  };

  static double processor_time() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return 1e9 * static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec);
  }

  void join(std::uint64_t id) {
    HelloReceived hello;
    hello.hello.worker = {id};
    hello.hello.engine = hello.hello.try_number = 1;
    hello.hello.name = "w" + std::to_string(id);
    hello.hello.slots = 1;
    hello.hello.handlers = {"noop"};
    hello.fresh = SessionId{id};
    workers_.resize(id + 1);
    step(std::move(hello));
    step(LaneBound{SessionId{id}});
    step(SinkReceived{{run_, SessionId{id}, ++workers_[id].seq}, Held{}});
    step(SinkReceived{{run_, SessionId{id}, ++workers_[id].seq}, Ready{}});
    step(LaneWritable{SessionId{id}});
  }

  void turn() {
    now_ += microseconds(100);
    for (std::uint64_t id = 1; id < workers_.size(); ++id) {
      Worker& worker = workers_[id];
      Results results;
      while (!worker.held.empty() && results.results.size() < 256) {
        const JobOrder& order = worker.held.front();
        JobResult& result = results.results.emplace_back();
        result.handle = order.handle;
        result.key = order.key;
        result.spec = order.spec;
        result.attempt = order.attempt;
        result.ran = microseconds(1);
        worker.held.pop_front();
      }
      if (results.results.empty()) continue;
      done_ += results.results.size();
      step(SinkReceived{{run_, SessionId{id}, ++worker.seq}, std::move(results)});
    }
    if (!loads_.empty()) step(JobsLoaded{std::exchange(loads_, {})});
    JournalState journal;
    journal.durable = entries_;
    step(std::move(journal));
    step(Drained{});
  }

  void step(Event&& event) {
    actions_.clear();
    scheduler_->step(std::move(event), now_, actions_);
    for (Action& action : actions_) {
      if (auto* load = std::get_if<Load>(&action)) {
        for (const JobNumber number : load->jobs) this->load(number);
      } else if (auto* persist = std::get_if<Persist>(&action)) {
        entries_ += persist->entries.size();
        writer_.take(std::move(persist->entries));
      } else if (auto* down = std::get_if<SendLane>(&action)) {
        auto* jobs = std::get_if<Jobs>(&down->message);
        if (jobs == nullptr) continue;
        for (JobOrder& order : jobs->jobs) workers_[down->session.value].held.push_back(std::move(order));
      }
    }
  }

  void load(JobNumber number) {
    LoadedJob& job = loads_.emplace_back();
    job.facts.number = number;
    job.facts.line = number + 1;
    job.facts.repeat = 1;
    job.facts.key = key_of(number);
    job.facts.spec = spec_of(number);
    job.work = works_.add(R"({"type":"noop","args":{"number":10000000,"file":"/data/input/part-00"}})");
  }

  const std::uint64_t jobs_;
  const RunId run_{7};
  JobIndex index_;
  std::optional<Scheduler> scheduler_;
  Time now_{seconds(1)};
  std::vector<Worker> workers_;
  std::vector<LoadedJob> loads_;
  SharedBytesPacker works_;
  Actions actions_;
  std::uint64_t entries_ = 0;
  std::uint64_t done_ = 0;
  Writer writer_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t jobs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 300'000;
  const std::uint64_t workers = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 2;
  std::vector<double> runs;
  for (int i = 0; i < 9; ++i) runs.push_back(CoreBench(jobs, workers).run());
  std::sort(runs.begin(), runs.end());
  std::printf(
      "%llu jobs, %llu workers: %.0f ns of processor time per job (9 runs, the median; the least %.0f)\n",
      static_cast<unsigned long long>(jobs), static_cast<unsigned long long>(workers), runs[4], runs[0]);
  return 0;
}
