// SPDX-License-Identifier: MIT
#include "tests/simulation/setup.h"

#include <algorithm>

namespace workpool::simulation {
namespace {

void draw_requirement(JobPlan& job, Random& random, std::uint32_t most_slots, bool impossible) {
  const std::uint64_t kind = random.below(10);
  if (kind < 4) job.requirement.type = "quick";
  if (kind == 4) job.requirement.type = "rare";
  if (kind == 5) job.requirement.labels = {"big"};
  if (kind == 6 || kind == 7)
    job.requirement.slots = static_cast<std::uint32_t>(random.between(1, most_slots));
  if (impossible) {
    job.satisfiable = false;
    job.requirement = {};
    if (random.one_in(2)) {
      job.requirement.labels = {"nowhere"};
    } else {
      job.requirement.slots = most_slots + 1;
    }
  }
}

void draw_behaviour(JobPlan& job, Random& random, bool poison) {
  const bool handler = !job.requirement.type.empty();
  job.run = random.one_in(4) ? random.spread(milliseconds(500), seconds(15))
                             : random.spread(microseconds(50), milliseconds(300));
  job.facts.retries = random.one_in(3) ? static_cast<std::uint32_t>(random.below(4)) : 0;
  if (random.one_in(6)) job.fails = static_cast<std::uint32_t>(random.between(1, 4));
  if (random.one_in(8)) {
    job.facts.timeout = random.spread(milliseconds(100), seconds(5));
    job.hangs = random.one_in(2);
    job.stubborn = job.hangs && handler && random.one_in(2);
  }
  job.by_signal = !handler && random.one_in(20);
  job.poison = poison;
}

// Those behind them have draws of their own, so that seeds are otherwise as they were.
constexpr std::uint64_t kFaultsAnywhere = 21;

// Faults of a few kinds at the most, so that seeds differ in kind rather than in degree.
void draw_faults(Setup& setup, Random& random) {
  const std::uint64_t mode = random.below(10);
  if (mode == 0) return;  // a quiet day
  setup.healed = random.between(seconds(5), seconds(60));
  setup.between_faults = random.spread(milliseconds(300), seconds(8));
  const auto allow = [&](Fault fault) {
    setup.weights[static_cast<std::size_t>(fault)] = static_cast<std::uint32_t>(random.between(1, 10));
  };
  if (mode == 1) {
    allow(Fault::kPauseDispatcher);
    if (random.one_in(2)) allow(Fault::kSlowDisk);
    if (random.one_in(2)) allow(Fault::kNoSpace);
    return;
  }
  const std::uint64_t kinds = static_cast<std::uint64_t>(random.between(1, 5));
  for (std::uint64_t i = 0; i < kinds; ++i) allow(static_cast<Fault>(random.below(kFaultsAnywhere)));
  if (setup.streaming)
    setup.weights[static_cast<std::size_t>(Fault::kCrash)] = 0;  // there is no second start of a pipe
  if (setup.streaming) setup.weights[static_cast<std::size_t>(Fault::kSignal)] = 0;
  setup.lanes_reused = random.one_in(2);
}

void draw_jobs(Setup& setup, Random& random, std::uint32_t most_slots) {
  const std::uint64_t count =
      random.one_in(6) ? random.below(4) : random.between(4, random.one_in(4) ? 200 : 40);
  const bool impossible = random.one_in(8);
  const bool poison = random.one_in(6);
  const bool large = random.one_in(10);
  for (std::uint64_t number = 0; number < count; ++number) {
    JobPlan job;
    draw_requirement(job, random, most_slots, impossible && random.one_in(8));
    draw_behaviour(job, random, poison && random.one_in(20));
    dispatcher::JobFacts& facts = job.facts;
    facts.number = number;
    facts.line = number + 1;
    facts.id = "job" + std::to_string(number);
    const std::string end =
        std::to_string(number) +
        (large && random.one_in(5) ? std::string(random.between(60'000, 900'000), 'x') : "");
    job.work = job.requirement.type.empty()
                   ? R"({"cmd":[")" + end + R"("]})"
                   : R"({"type":")" + job.requirement.type + R"(","args":")" + end + R"("})";
    facts.key = key_of_id(facts.id);
    facts.spec = spec_of_work(job.work);
    facts.priority = random.one_in(3) ? static_cast<std::int32_t>(random.between(-2, 2)) : 0;
    facts.slots = job.requirement.slots;
    facts.payload_bytes = static_cast<std::uint32_t>(job.work.size());
    job.appears = setup.streaming ? random.between(Duration{0}, seconds(10)) : Duration{0};
    job.invalid = setup.streaming && random.one_in(20);
    setup.jobs.push_back(std::move(job));
  }
  if (setup.streaming) {
    std::sort(setup.jobs.begin(), setup.jobs.end(), [](const JobPlan& a, const JobPlan& b) {
      return std::pair(a.appears, a.facts.number) < std::pair(b.appears, b.facts.number);
    });
    for (std::uint64_t number = 0; number < setup.jobs.size(); ++number) {
      setup.jobs[number].facts.number = number;
      setup.jobs[number].facts.line = number + 1;
    }
  }
}

// A stream that brings one set of labels after the other, most of them for a few jobs only. Workers have the
// labels or not; the first one has them all. A draw of its own, so that seeds are otherwise as they were.
void draw_label_sets(Setup& setup) {
  constexpr std::size_t kLabels = 6;
  Random random{setup.seed ^ 0x5e75};
  if (!setup.streaming || random.one_in(2)) return;
  // Some jobs fit one worker only, and faults keep that away for more than 20 s. What a pipe brought and was
  // given up does not run again, and most streams are to be run to their end.
  setup.unsatisfiable_after = seconds(120);
  const auto label = [](std::size_t number) { return "set" + std::to_string(number); };
  for (WorkerPlan& worker : setup.workers) {
    for (std::size_t i = 0; i < kLabels; ++i) {
      if (&worker == &setup.workers.front() || random.one_in(2)) worker.labels.push_back(label(i));
    }
  }
  for (JobPlan& job : setup.jobs) {
    if (!job.satisfiable || random.one_in(4)) continue;
    std::vector<std::string>& labels = job.requirement.labels;
    for (std::size_t i = 0; i < kLabels; ++i) {
      if (random.one_in(3)) labels.push_back(label(i));
    }
    std::sort(labels.begin(), labels.end());
  }
}

// Machines on which everything fails, for good or for a while. The first one is none of them, since it must
// be able to run everything. A draw of its own, too.
void draw_bad_workers(Setup& setup) {
  Random random{setup.seed ^ 0xbad};
  if (setup.workers.size() < 2 || !random.one_in(3)) return;
  for (std::size_t i = 1; i < setup.workers.size(); ++i) {
    WorkerPlan& worker = setup.workers[i];
    worker.bad = i == 1 || random.one_in(3);
    worker.cannot_start = random.one_in(2);
    worker.mended = random.one_in(2) ? random.between(seconds(5), seconds(150)) : seconds(100'000);
  }
}

// Workers that leave by the clock, and come back. A draw of its own, too.
void draw_lifetimes(Setup& setup) {
  Random random{setup.seed ^ 0x71e};
  if (!random.one_in(4)) return;
  for (WorkerPlan& worker : setup.workers) {
    if (&worker == &setup.workers.front()) continue;  // somebody has time for everything
    // Longer than it takes to leave, or it would never work.
    if (random.one_in(2)) worker.lifetime = worker.grace + random.between(seconds(30), seconds(200));
    if (random.one_in(4)) worker.idle = random.between(seconds(5), seconds(30));
  }
}

// Handlers that do not work any more on their worker. A draw of its own, too.
void draw_stopped_handlers(Setup& setup) {
  Random random{setup.seed ^ 0x4a9d};
  if (!random.one_in(4)) return;
  const bool may_stop_jobs = setup.any_fault() && !setup.only_own_faults();
  for (WorkerPlan& worker : setup.workers) {
    const bool is_first = &worker == &setup.workers.front();  // which must be able to run everything
    if (random.one_in(2) || (is_first && !may_stop_jobs)) continue;
    worker.stops_handler = worker.handlers[random.below(worker.handlers.size())];
    worker.stops_after = random.spread(milliseconds(50), seconds(20));
    if (may_stop_jobs) worker.started_afresh = random.between(seconds(1), seconds(60));
  }
}

// What only keys keep out, or bring about. A draw of its own, too.
void draw_keys(Setup& setup) {
  Random random{setup.seed ^ 0x6e75};
  if (!setup.any_fault() || setup.only_own_faults() || !random.one_in(3)) return;
  const auto allow = [&](Fault fault) {
    setup.weights[static_cast<std::size_t>(fault)] = static_cast<std::uint32_t>(random.between(1, 10));
  };
  allow(Fault::kImpostor);
  if (random.one_in(2)) allow(Fault::kRevoke);
}

// Jobs with limits: a few keys, which allow few at once, or a rate, or both. A draw of its own, too.
void draw_limits(Setup& setup) {
  Random random{setup.seed ^ 0x11417};
  if (!random.one_in(3)) return;
  std::vector<Limit> limits;
  for (const char* key : {"", "a", "b", "c"}) {
    LimitRule rule;
    if (*key != 0 && random.one_in(2)) rule.most = static_cast<std::uint32_t>(random.between(1, 4));
    if (rule.most == 0 || random.one_in(3)) {
      rule.starts = static_cast<std::uint32_t>(random.between(2, 20));
      rule.per = random.between(milliseconds(1000), milliseconds(1500));
    }
    limits.push_back({key, rule});
  }
  const bool of_all = random.one_in(4);
  for (JobPlan& job : setup.jobs) {
    for (const Limit& limit : limits) {
      if (limit.key.empty() ? of_all : random.one_in(4)) job.requirement.limits.push_back(limit);
    }
  }
}

// When the run is to stop by itself. A draw of its own, too.
void draw_stop_rule(Setup& setup) {
  Random random{setup.seed ^ 0x5709};
  if (setup.streaming || !random.one_in(8)) return;
  const auto number = static_cast<std::uint64_t>(random.between(1, 8));
  if (random.one_in(3)) {
    setup.stop.ok = 2 * number;
  } else if (random.one_in(2)) {
    setup.stop.not_ok = number;
  } else {
    setup.stop.not_ok_percent = static_cast<std::uint32_t>(5 * number);
  }
}

}  // namespace

const char* name_of(Fault fault) {
  static const std::array<const char*, kFaults> kNames = {
      "cut",        "cut lane",    "cut sink",     "stall up",     "stall down",
      "stall both", "engine kill", "worker kill",  "pause worker", "pause dispatcher",
      "crash",      "slow disk",   "no space",     "drain",        "late lane",
      "forge",      "signal",      "no resources", "lose down",    "lose up",
      "cross lane", "impostor",    "revoke"};
  return kNames[static_cast<std::size_t>(fault)];
}

bool Setup::any_fault() const {
  return std::any_of(weights.begin(), weights.end(), [](std::uint32_t weight) { return weight > 0; });
}

bool Setup::loses_no_worker() const {
  Setup other = *this;
  other.weights[static_cast<std::size_t>(Fault::kCrash)] = 0;
  return other.only_own_faults();
}

bool Setup::only_own_faults() const {
  // A worker that leaves by the clock waits only so long for a dispatcher to hear its goodbye.
  for (const WorkerPlan& worker : workers) {
    if (worker.lifetime || worker.idle) return false;
  }
  for (std::size_t i = 0; i < kFaults; ++i) {
    const auto fault = static_cast<Fault>(i);
    const bool own =
        fault == Fault::kPauseDispatcher || fault == Fault::kSlowDisk || fault == Fault::kNoSpace;
    if (weights[i] > 0 && !own) return false;
  }
  return true;
}

Setup make_setup(std::uint64_t seed) {
  Random random{seed};
  Setup setup;
  setup.seed = seed;
  setup.streaming = random.one_in(5);
  setup.listening = random.one_in(2);
  setup.worker_timeout = random.one_in(2) ? seconds(2) : seconds(10);
  const auto clock = [&random] {
    return Clock{random.between(seconds(0), seconds(40'000'000)),
                 random.between(std::int64_t{-10'000}, std::int64_t{10'000})};
  };
  setup.clock = clock();
  const std::uint64_t workers = random.one_in(5) ? 1 : random.between(2, 5);
  for (std::uint64_t i = 0; i < workers; ++i) {
    WorkerPlan worker;
    worker.name = random.one_in(4) ? "same" : "w" + std::to_string(i);
    worker.slots = static_cast<std::uint32_t>(random.one_in(3) ? 1 : random.between(1, 8));
    worker.handlers = {"quick"};
    // The first one can run everything, so that the run can end.
    if (i == 0 || random.one_in(2)) worker.handlers.push_back("rare");
    if (i == 0 || random.one_in(2)) worker.labels.push_back("big");
    worker.clock = clock();
    worker.latency = random.spread(microseconds(50), milliseconds(120));
    worker.jitter = worker.latency / random.between(1, 10);
    worker.a_part =
        random.one_in(5) ? random.between(milliseconds(50), milliseconds(500)) : microseconds(500);
    worker.orphan_grace = random.between(seconds(5), seconds(60));
    worker.grace = random.between(seconds(0), seconds(25));
    worker.starts = random.one_in(4) ? random.between(Duration{0}, seconds(10))
                                     : random.between(Duration{0}, milliseconds(200));
    setup.workers.push_back(std::move(worker));
  }
  std::uint32_t widest = 0;
  for (const WorkerPlan& worker : setup.workers) widest = std::max(widest, worker.slots);
  setup.workers[0].slots = widest;
  draw_faults(setup, random);
  if (setup.only_own_faults()) {
    // A worker that gives up is no worker that was lost.
    for (WorkerPlan& worker : setup.workers) worker.orphan_grace = seconds(600);
  }
  draw_jobs(setup, random, widest);
  draw_label_sets(setup);
  draw_bad_workers(setup);
  draw_stop_rule(setup);
  draw_lifetimes(setup);
  draw_keys(setup);
  draw_stopped_handlers(setup);
  draw_limits(setup);
  return setup;
}

}  // namespace workpool::simulation
