// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/text.h"
#include "common/base/units.h"
#include "dispatcher/io/terminal/worker_words.h"

namespace workpool::dispatcher {

namespace {

constexpr Duration kLiveInterval = milliseconds(100);
constexpr Duration kPlainInterval = seconds(10);
// Workers that come and go must not scroll the failures away.
constexpr std::uint64_t kChatLinesInWindow = 20;
constexpr Duration kChatWindow = seconds(10);
// A brief terminal sums up what went as expected only if somebody had time to watch it.
constexpr Duration kWorthASummary = seconds(2);
constexpr std::size_t kGivenUpKept = 20;
constexpr std::size_t kRetriesKept = 64;
// If nothing has ended for so long, people want to know what runs.
constexpr Duration kQuiet = seconds(5);
// The command of a failure is read in a millisecond, unless the disk hangs.
constexpr Duration kCommandPatience = milliseconds(500);
constexpr std::size_t kNameBytesMax = 80;

int level_number(const std::string& name) {
  if (name == "error") return 0;
  if (name == "warn") return 1;
  return name == "info" ? 2 : 3;
}

}  // namespace

bool Terminal::Budget::admits(Time now) {
  if (!window_start_ || now - *window_start_ >= kChatWindow) {
    window_start_ = now;
    shown_ = 0;
  }
  if (shown_ >= kChatLinesInWindow) {
    ++left_out_;
    return false;
  }
  ++shown_;
  return true;
}

std::uint64_t Terminal::Budget::take_left_out(Time now) {
  if (!window_start_ || now - *window_start_ < kChatWindow) return 0;
  return std::exchange(left_out_, 0);
}

Terminal::Terminal(Console& console, TerminalOptions options, Time start)
    : console_(console),
      options_(std::move(options)),
      level_(level_number(options_.log_level)),
      start_(start),
      now_(start),
      last_seen_(start),
      next_draw_(start),
      rate_(start),
      last_end_(start) {
  const char* no_color = std::getenv("NO_COLOR");
  colour_ = console_.redrawable() && (no_color == nullptr || *no_color == '\0');
  const bool wants_bar = options_.progress == Progress::kAuto || options_.progress == Progress::kBar;
  // No live line without a terminal, or on one that results go to, whatever was asked for.
  live_ = wants_bar && console_.redrawable() && !options_.shares_screen;
  const bool is_wanted =
      options_.progress != Progress::kNone && (!options_.brief || options_.progress == Progress::kPlain);
  plain_ = !live_ && is_wanted;
  if (plain_) next_draw_ = start + kPlainInterval;
}

void Terminal::banner(const BannerFacts& facts) {
  // With --listen people must know how workers join, even if they want no progress.
  const bool is_wanted = options_.progress != Progress::kNone && !options_.brief;
  if (is_wanted || options_.listening) console_.line(banner_text(facts));
}

void Terminal::report(const Report& report, Time now) {
  now_ = now;
  std::visit([&](const auto& fact) { on(fact); }, report);
}

void Terminal::line(std::string_view text) {
  tell_comings();
  console_.line(text);
}

void Terminal::tell_comings() {
  for (const std::string& text : comings_.take()) line_within_budget(text);
}

void Terminal::chat(const std::string& text) {
  tell_comings();
  line_within_budget(text);
}

void Terminal::line_within_budget(const std::string& text) {
  const std::uint64_t left_out = chat_.take_left_out(now_);
  if (left_out != 0) console_.line(fmt::format("({} more such lines left out)", left_out));
  if (chat_.admits(now_)) console_.line(text);
}

std::string Terminal::red(const std::string& text) const {
  return colour_ ? "\x1b[31m" + text + "\x1b[0m" : text;
}

void Terminal::on(const WorkerJoined& joined) {
  if (!joined.back) ++workers_seen_;
  // The one local worker is in the banner already.
  if (level_ < 2 || (!options_.listening && !joined.back)) return;
  comings_.add(joined, now_);
}

void Terminal::on(const WorkerLeft& left) {
  if (left.lost ? level_ < 1 : level_ < 2 || !options_.listening) return;
  if (!left.known) return;
  comings_.add(left, stopping_, now_);
}

void Terminal::on(const WorkerOutOfReach& worker) {
  if (level_ < 1) return;
  const std::string name = printable(worker.name, kNameBytesMax);
  chat(worker.for_results
           ? fmt::format(
                 "worker {} has registered but nothing arrives from it: open port {} of this machine (for "
                 "results, the first of --ports) to its machine too",
                 name, options_.results_port)
           : fmt::format(
                 "worker {} has registered but did not connect for its jobs: open the ports of --ports to "
                 "its machine too",
                 name));
}

void Terminal::on(const JobsFileRefused& refused) {
  if (level_ < 1) return;
  line(
      fmt::format("the jobs file was changed during the run (line {}): nothing more is started, running "
                  "jobs are finished; the same command continues",
                  refused.line));
}

void Terminal::on(const JobEnded& job) {
  if (failures_.add(job)) {
    if (options_.describes && can_be_described(job)) commands_.ask(job.number);
    untold_.push_back({job, now_});
  } else if (failures_.count() == Failures::kShownOnce + 1) {
    tell_of_more_ = true;
  }
  tell_failures();
}

void Terminal::tell_failures(bool all) {
  while (!untold_.empty()) {
    const auto& [job, since] = untold_.front();
    if (!all && commands_.awaits(job.number) && now_ < since + kCommandPatience) return;
    const std::string command = job.work.empty()   ? commands_.find(job.number)
                                : job.name.empty() ? short_command(job.work)
                                                   : "";
    line(red("not ok") + "  " + failure_text(job, command, !options_.prints_output));
    untold_.pop_front();
  }
  if (std::exchange(tell_of_more_, false)) line("(further failures are only counted)");
}

void Terminal::described(JobNumber number, std::string_view work, Time now) {
  now_ = now;
  commands_.answer(number, work);
  tell_failures();
}

void Terminal::ask_for_examples() {
  if (!options_.describes) return;
  for (const JobNumber number : failures_.examples()) commands_.ask(number);
}

void Terminal::on(const JobRetried& job) {
  attempt_ended(job.ran, job.slots);
  if (job.delay.count() > 0) {
    const auto later = [](const Retry& a, const Retry& b) { return a.due < b.due; };
    retries_.push_back({now_ + job.delay, job.message});
    if (retries_.size() > kRetriesKept)
      retries_.erase(std::max_element(retries_.begin(), retries_.end(), later));
  }
  if (level_ < 3) return;
  chat(fmt::format("job '{}' is tried again in {} (attempt {}: {})", printable(job.id, kNameBytesMax),
                   format_duration(job.delay), job.attempt, printable(job.message, 300)));
}

void Terminal::on(const JobUnsatisfiable& jobs) {
  if (jobs.given_up) {
    if (given_up_.size() < kGivenUpKept) given_up_.push_back(describe(jobs));
    const std::string& type = jobs.requirement.type;
    const bool has_program = std::ranges::count(options_.own_handlers, type) > 0;
    if (lacking_handler_.empty() && !has_program) lacking_handler_ = type;
    return;
  }
  if (level_ >= 1) chat("warning: no connected worker can run " + describe(jobs));
}

void Terminal::on(const EngineDied& died) {
  if (level_ < 1) return;
  std::string text = fmt::format("warning: the engine of worker {} died ({})",
                                 printable(died.name, kNameBytesMax), printable(died.cause, 200));
  constexpr std::size_t kShown = 3;
  for (std::size_t i = 0; i < std::min(died.ran.size(), kShown); ++i) {
    text += fmt::format("{}'{}'", i == 0 ? "; it ran " : ", ", printable(died.ran[i], kNameBytesMax));
  }
  if (died.ran.size() > kShown) text += fmt::format(" and {} more", died.ran.size() - kShown);
  chat(text);
}

void Terminal::on(const WorkerUntrue& worker) {
  if (level_ >= 1) chat("warning: " + untruth_text(worker));
}

void Terminal::on(const NoPortForWorker& worker) {
  if (level_ < 1) return;
  line(fmt::format(
      "warning: no port is left for worker {}, which tries on: widen --ports, or allow more open files "
      "(ulimit -n)",
      printable(worker.name, kNameBytesMax)));
}

void Terminal::on(const ReturnsEverything& worker) {
  if (level_ < 1) return;
  const std::string name = printable(worker.name, kNameBytesMax);
  if (worker.no_time) {
    line("worker " + name +
         " gives jobs back that would not be over before it leaves (--for): they wait for one "
         "with more time");
    return;
  }
  line(
      fmt::format("warning: worker {} gives back every job that it gets: others get them first, and it gets "
                  "some again after a pause",
                  name));
}

void Terminal::on(const OverItsTimeout& job) {
  if (level_ >= 1) line("warning: " + over_timeout_text(job));
}

void Terminal::on(const JobsTakenAway& taken) {
  if (level_ >= 1) line("warning: " + taken_away_text(taken));
}

void Terminal::on(const JobMoved& job) {
  attempt_ended(job.ran, job.slots);
  if (level_ < 3) return;
  chat(fmt::format("job '{}' goes to another worker than {} (attempt {}: {})",
                   printable(job.id, kNameBytesMax), printable(job.worker, kNameBytesMax), job.attempt,
                   printable(job.message, 300)));
}

void Terminal::on(const FailuresWithdrawn& withdrawn) {
  for (const JobEnded& job : withdrawn.failures) failures_.take_back(job);
}

void Terminal::on(const WorkerBenched& worker) {
  if (level_ >= 1) line(benched_text(worker));
}

void Terminal::on(const WorkerUnbenched& worker) {
  if (level_ >= 1) line(unbenched_text(worker));
}

void Terminal::on(const RunStops& stops) {
  stopping_ = true;
  line(printable(reason_of(stops.why), 1000) + ": nothing new is started, running jobs are finished");
}

void Terminal::count(const Snapshot& snapshot, Time now) {
  if (now > last_seen_) {
    slot_seconds_ += static_cast<double>((now - last_seen_).count()) / 1e6 * snapshot_.slots;
    last_seen_ = now;
  }
  if (const std::uint64_t ends = snapshot.done() + snapshot.retried + snapshot.redelivered; ends != ends_) {
    ends_ = ends;
    last_end_ = now;
  }
  rate_.sample(snapshot.done() - std::min(snapshot.before, snapshot.done()), now);
}

LineFacts Terminal::line_facts(Time now) {
  LineFacts facts;
  facts.snapshot = snapshot_;
  facts.per_second = rate_.per_second();
  facts.elapsed = now - start_;
  facts.left = time_left(snapshot_, running_, times_, rate_);
  facts.bar = live_;
  facts.insecure = options_.insecure;
  const bool quiet = now - last_end_ >= kQuiet && snapshot_.running > 0;
  if (quiet && running_.longest && running_.longest->ran >= kQuiet) facts.longest = running_.longest;
  std::erase_if(retries_, [now](const Retry& retry) { return retry.due <= now; });
  const auto next = std::min_element(retries_.begin(), retries_.end(),
                                     [](const Retry& a, const Retry& b) { return a.due < b.due; });
  if (next != retries_.end()) facts.retry = {next->due - now, next->reason};
  return facts;
}

void Terminal::draw(Time now) {
  const LineFacts facts = line_facts(now);
  if (live_) {
    // The last column stays free: some terminals wrap as soon as it is written.
    console_.live(status_line(facts, console_.columns() - 1));
    next_draw_ = now + kLiveInterval;
  } else {
    line(status_line(facts));
    next_draw_ = now + kPlainInterval;
  }
}

void Terminal::show(const Snapshot& snapshot, Time now) {
  if (finished_) return;
  now_ = now;
  if (now >= comings_.due()) tell_comings();
  tell_failures();
  if (!over_) count(snapshot, now);
  snapshot_ = with_expected(snapshot, options_.expected_jobs);
  if ((live_ || plain_) && now >= next_draw_) draw(now);
}

Time Terminal::next_draw() const {
  if (finished_) return kNever;
  const Time next = std::min(live_ || plain_ ? next_draw_ : kNever, comings_.due());
  return untold_.empty() ? next : std::min(next, untold_.front().since + kCommandPatience);
}

void Terminal::stop_requested(StopKind kind, int nth, const Snapshot& snapshot, Duration grace) {
  const bool interrupt = kind == StopKind::kInterrupt;
  const std::string cause = interrupt ? "Ctrl-C" : kind == StopKind::kTerminate ? "SIGTERM" : "SIGHUP";
  const std::string more = interrupt ? "Ctrl-C again" : "a second signal";
  const std::string limit = interrupt ? "" : ", for at most " + format_duration(grace);
  const std::uint64_t running = snapshot.running;
  stopping_ = true;
  if (nth >= 3) {
    line(cause + ": leaving now");
  } else if (running == 0 && snapshot.stuck_records > 0) {
    const std::string stuck = counted(snapshot.stuck_records, "result");
    line(nth == 2
             ? fmt::format("{}: leaving; {} could not be written, and those jobs run again", cause, stuck)
             : fmt::format("{}: nothing new is started; waiting until {} can be written{}; "
                           "{} leaves without them",
                           cause, stuck, limit, more));
  } else if (nth == 2) {
    line(fmt::format("{}: cancelling {}; {} leaves at once", cause, counted(running, "job"),
                     interrupt ? "Ctrl-C again" : "a third signal"));
  } else if (running == 0) {
    line(cause + ": nothing new is started, and nothing runs");
  } else {
    line(fmt::format("{}: finishing {}{}; {} cancels {}", cause, counted(running, "running job"), limit, more,
                     running == 1 ? "it" : "them"));
  }
}

void Terminal::lines(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  line(text);
}

void Terminal::say(std::string_view text) { line(printable(text, 2000)); }

SummaryFacts Terminal::sum_up(const Snapshot& snapshot, const RunEnd& end, Time now) {
  const Time end_of_work = over_.value_or(now);
  count(snapshot, end_of_work);
  SummaryFacts facts;
  facts.end = end;
  facts.snapshot = with_expected(snapshot, options_.expected_jobs);
  facts.elapsed = end_of_work - start_;
  facts.per_second = rate_.per_second_overall();
  // We do not know how long cancelled jobs ran.
  if (reason_of(end).empty() && slot_seconds_ > 0.001)
    facts.slot_use = std::min(1.0, busy_slot_seconds_ / slot_seconds_);
  facts.failure_groups = failures_.groups(workers_seen_ > 1, commands_);
  facts.reasons = failures_.reasons(commands_);
  facts.failures_left_out = failures_.standing();
  for (const FailureReason& reason : facts.reasons) facts.failures_left_out -= reason.count;
  facts.not_ok_by_worker = failures_.by_worker();
  facts.given_up = given_up_;
  facts.lacking_handler = lacking_handler_;
  facts.results = options_.results;
  facts.resumable = options_.resumable;
  facts.command = options_.command;
  facts.overwrite_variable = options_.overwrite_variable;
  facts.flags_end = options_.flags_end;
  facts.prints_output = options_.prints_output;
  return facts;
}

void Terminal::finish(const SummaryFacts& facts, Time now, Duration patience) {
  if (finished_) return;
  finished_ = true;
  now_ = now;
  tell_failures(true);
  console_.live("");
  const bool as_expected =
      reason_of(facts.end).empty() && facts.snapshot.ok == facts.snapshot.total && !options_.resumable;
  const bool is_shown = live_ && facts.elapsed > kWorthASummary;
  if (!options_.brief || plain_ || !as_expected || is_shown) line(summary_text(facts));
  console_.flush(patience);
}

}  // namespace workpool::dispatcher
