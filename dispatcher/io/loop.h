// SPDX-License-Identifier: MIT
// The dispatcher's one loop: receives, lets the scheduler step, and carries out what that decides: record,
// then send, then report. It decides nothing itself. Everything it is given outlives it. For its thread only.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/io/log.h"
#include "common/io/mailbox.h"
#include "dispatcher/core/rate_limit.h"
#include "dispatcher/core/scheduler.h"
#include "dispatcher/io/entrance.h"
#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/local_worker.h"
#include "dispatcher/io/results/journal.h"
#include "dispatcher/io/terminal/terminal.h"

namespace workpool::dispatcher {

struct LoopParts {
  Scheduler& scheduler;
  Entrance& entrance;
  Journal& journal;  // started
  Terminal& terminal;
  Log& log;
  const Wake& wake;  // raised by source and journal
  JobSource& jobs;
  LocalWorker* local = nullptr;
  bool listening = false;  // other workers may come
  int signal_fd = -1;
  RunId run;
  Duration grace = seconds(30);
  // The answer to `status`; `all`: StatusRequest::all.
  std::function<std::string(Time now, bool all)> status;
};

struct LoopEnd {
  RunEnd end;
  bool at_once = false;  // after a third signal: wait for nothing
};

class Loop {
 public:
  explicit Loop(const LoopParts& parts);
  LoopEnd run();

 private:
  // No more workers are started here.
  bool over() const { return parts_.scheduler.phase() >= RunPhase::kStopping; }
  Duration patience() const;
  void wait();
  void gather();
  void complain_of_descriptors();
  void gather_signals();
  void gather_registration();
  void gather_jobs();
  void gather_keys();
  void gather_journal();
  void gather_commands();
  void ask_commands();
  void learn_commands();
  void tend_local();

  // `sink_drained`: everything that has arrived is among the events; only then can silence be judged.
  // Both return whether a worker has joined or left.
  bool step(bool sink_drained);
  bool carry_out();
  void record(const Record& record);
  void send(Action& action);
  void admit(Admit& admit);
  void send_lane(const SendLane& send);
  void show(bool changed);

  LoopParts parts_;
  Transport& transport_;
  RateLimit hello_rate_;
  Time start_;
  Time now_;
  std::vector<Event> events_;
  std::vector<Event> stepping_;
  std::vector<HelloReceived> hellos_;
  std::vector<StatusAsked> asked_;
  struct LastStatus {
    Time at;
    std::string json;
    std::set<std::string> told;  // peers
  };
  LastStatus last_status_[2];  // of the longest running jobs, and of all
  Actions actions_;
  std::vector<std::vector<JournalEntry>> entries_;  // of the steps of this turn
  JournalState journal_;                            // as the scheduler was last told
  Time shown_;                                      // when the terminal was shown a snapshot
  Time complain_at_;                                // no complaint about descriptors before this
  bool any_hello_ = false;                          // a worker has registered
  std::uint64_t records_ = 0;                       // in this start
  bool sink_drained_ = true;
  int undrained_turns_ = 0;
  std::uint64_t refused_frames_ = 0;   // as last logged
  std::uint64_t visitors_closed_ = 0;  // the same
  int signals_ = 0;
  std::optional<RunEnd> end_;
};

}  // namespace workpool::dispatcher
