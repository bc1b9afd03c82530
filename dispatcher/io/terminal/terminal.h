// SPDX-License-Identifier: MIT
// Shows a run to a person. It only reads reports and snapshots, keeps no state but that of its display, and
// the run would be the same without it. The time is passed in. For one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "common/io/console.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/terminal/asked_commands.h"
#include "dispatcher/io/terminal/banner.h"
#include "dispatcher/io/terminal/comings.h"
#include "dispatcher/io/terminal/status_line.h"
#include "dispatcher/io/terminal/summary.h"
#include "dispatcher/io/terminal/time_left.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

struct TerminalOptions {
  Progress progress = Progress::kAuto;
  std::string log_level = "info";         // warn: warnings; info: also joins and leaves; debug: also retries
  bool listening = false;                 // report workers that join and leave
  bool insecure = false;                  // whoever reaches it may join
  std::vector<std::string> own_handlers;  // the types that this run has programs for
  std::string results;                    // path or "-"
  std::uint16_t results_port = 0;         // what workers connect to for their results
  bool shares_screen = false;             // results go to a terminal too
  bool resumable = true;                  // RESULTS is a regular file
  std::vector<std::string> command;       // argv as given, for the command that continues
  bool overwrite_variable = false;        // WORKPOOL_OVERWRITE is set
  std::size_t flags_end = SIZE_MAX;       // see command_again
  std::optional<std::uint64_t> expected_jobs;  // how many will come, if the snapshots do not know
  bool brief = false;          // says only what people need to know: no banner, no line every 10 s
  bool prints_output = false;  // what jobs write is printed by others
  bool describes = false;      // jobs can be asked for their commands: see take_questions
};

class Terminal {
 public:
  // `console` outlives the terminal. Colour only if the console is redrawable and NO_COLOR is not set.
  Terminal(Console& console, TerminalOptions options, Time start);

  void banner(const BannerFacts& facts);
  void report(const Report& report, Time now);
  // An attempt of `slots` slots has ended, which counts for their use.
  void attempt_ended(Duration ran, std::uint32_t slots) {
    busy_slot_seconds_ += static_cast<double>(ran.count()) / 1e6 * slots;
    times_.add(ran);
  }
  // The newest snapshot. Draws at most ten times a second on a terminal, a line every 10 s elsewhere; between
  // that it only counts, so it may be called after every step.
  void show(const Snapshot& snapshot, Time now);
  // What runs now, before a show() at next_draw(): it is costly to find out.
  void note_running(RunningJobs running) { running_ = std::move(running); }
  // When show should be called next even if nothing happens; kNever if nothing is drawn.
  Time next_draw() const;

  // Says at once what the n-th stop does (n from 1).
  void stop_requested(StopKind kind, int nth, const Snapshot& snapshot, Duration grace);
  // Jobs whose commands are to be shown: their source is asked, and the answer goes to described(). A failure
  // is shown without its command if that has not come after a while.
  std::vector<JobNumber> take_questions() { return commands_.take_questions(); }
  bool awaits_answers() const { return commands_.awaits_answers(); }
  void described(JobNumber number, std::string_view work, Time now);
  // The run is about to end: asks for what the summary shows.
  void ask_for_examples();

  // Any other line for people, made printable.
  void say(std::string_view text);
  // Lines that are printable already, each with its newline.
  void lines(std::string_view text);

  // Nothing runs any more and everything is recorded. The time from now on, for telling the workers, does not
  // count in any figure.
  void run_over(Time now) { over_ = now; }
  // How the run has ended, as far as it was seen.
  SummaryFacts sum_up(const Snapshot& snapshot, const RunEnd& end, Time now);
  // The summary, once; nothing is drawn after it. Waits for a slow stderr, for at most `patience`.
  void finish(const SummaryFacts& facts, Time now, Duration patience = milliseconds(500));
  void finish(const Snapshot& snapshot, const RunEnd& end, Time now, Duration patience = milliseconds(500)) {
    finish(sum_up(snapshot, end, now), now, patience);
  }

 private:
  // Limits lines of one kind: some in a window, then only a count.
  class Budget {
   public:
    bool admits(Time now);
    std::uint64_t take_left_out(Time now);  // once their window is over
   private:
    std::optional<Time> window_start_;
    std::uint64_t shown_ = 0;
    std::uint64_t left_out_ = 0;
  };

  // Those failures whose commands are known; all of them at the end.
  void tell_failures(bool all = false);
  // Above it, everything that waits to be told of workers, so that the order stays.
  void line(std::string_view text);
  void tell_comings();
  // As line(), but only so many in a while.
  void chat(const std::string& text);
  void line_within_budget(const std::string& text);
  void count(const Snapshot& snapshot, Time now);
  LineFacts line_facts(Time now);
  void draw(Time now);
  std::string red(const std::string& text) const;

  void on(const WorkerJoined& joined);
  void on(const WorkerLeft& left);
  void on(const WorkerOutOfReach& worker);
  void on(const JobEnded& job);
  void on(const JobRetried& job);
  void on(const JobUnsatisfiable& jobs);
  void on(const EngineDied& died);
  void on(const WorkerUntrue& worker);
  void on(const SpokeForAnother&) {}  // the loop says it, since it knows the names of keys
  void on(const JobsFileRefused& refused);
  void on(const NoPortForWorker& worker);
  void on(const ReturnsEverything& worker);
  void on(const OverItsTimeout& job);
  void on(const JobsTakenAway& taken);
  void on(const JobMoved& job);
  void on(const FailuresWithdrawn& withdrawn);
  void on(const WorkerBenched& worker);
  void on(const WorkerUnbenched& worker);
  void on(const RunStops& stops);

  Console& console_;
  TerminalOptions options_;
  bool live_ = false;   // one line that is redrawn
  bool plain_ = false;  // a line every 10 s
  bool colour_ = false;
  int level_ = 2;  // 0 error, 1 warn, 2 info, 3 debug and more

  Time start_;
  Time now_;               // the last time that was passed in
  bool stopping_ = false;  // a signal has come
  std::optional<Time> over_;
  Time last_seen_;
  Time next_draw_;
  Snapshot snapshot_;
  RateMeter rate_;
  RunTimes times_;
  RunningJobs running_;
  struct Retry {
    Time due;
    std::string reason;
  };
  std::vector<Retry> retries_;  // bounded; the first ones to come
  std::uint64_t ends_ = 0;      // of attempts, as last seen
  Time last_end_;
  std::uint64_t workers_seen_ = 0;  // that ever joined
  struct Untold {
    JobEnded job;
    Time since;
  };
  Failures failures_;
  AskedCommands commands_;
  std::deque<Untold> untold_;  // at most Failures::kShownOnce
  bool tell_of_more_ = false;  // behind these, that further ones are only counted
  Budget chat_;
  Comings comings_;
  std::vector<std::string> given_up_;
  std::string lacking_handler_;  // the first type that nobody had
  double busy_slot_seconds_ = 0;
  double slot_seconds_ = 0;
  bool finished_ = false;
};

}  // namespace workpool::dispatcher
