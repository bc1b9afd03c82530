// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/text.h"
#include "dispatcher/io/terminal/shell_words.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {

namespace {

constexpr std::size_t kGroupsKept = 1000;
constexpr std::size_t kGroupsShown = 5;
constexpr std::size_t kReasonBytesMax = 200;
constexpr std::size_t kIdBytesMax = 80;

// "exit status 2"; a status of its own (timeout, quarantined, invalid) is said before the message.
std::string reason_of(const JobEnded& job) {
  std::string reason = job.status == Status::kFailed ? "" : std::string(name_of(job.status));
  const std::string message =
      printable(job.message.empty() ? name_of(job.kind) : job.message, kReasonBytesMax);
  if (message.empty() || message.rfind(reason, 0) == 0) return message.empty() ? reason : message;
  return reason.empty() ? message : reason + ": " + message;
}

std::string place_of(const JobEnded& job) {
  if (!job.name.empty())
    return "'" + printable(job.name, kIdBytesMax) + "' (job " + std::to_string(job.line) + ")";
  // Of a bad line the id is made up, too.
  if (is_digest(job.id) || job.status == Status::kInvalid) return "line " + std::to_string(job.line);
  return "job '" + printable(job.id, kIdBytesMax) + "' (line " + std::to_string(job.line) + ")";
}

// Whether the run stopped before it had run every job that a worker could run.
bool is_early(const RunEnd& end) { return !reason_of(end).empty(); }

std::string totals_line(const SummaryFacts& facts) {
  const Snapshot& s = facts.snapshot;
  std::string text = fmt::format("{} ok", s.ok);
  if (s.failed != 0) text += fmt::format(", {} failed", s.failed);
  if (s.timeout != 0) text += fmt::format(", {} timed out", s.timeout);
  if (s.quarantined != 0) text += fmt::format(", {} quarantined", s.quarantined);
  if (s.invalid != 0) text += fmt::format(", {} invalid", s.invalid);
  const std::uint64_t left = s.total - std::min(s.done(), s.total);
  if (left != 0) text += fmt::format(", {} not done", left);
  text += " of " + counted(s.total, "job");
  if (s.before != 0) text += fmt::format(" ({} done before)", s.before);
  return text;
}

std::string pace_line(const SummaryFacts& facts) {
  const Snapshot& s = facts.snapshot;
  std::string text = fmt::format("{}, {}", format_roughly(facts.elapsed), format_rate(facts.per_second));
  if (facts.slot_use) text += fmt::format(", slots {:.0f}% busy", *facts.slot_use * 100);
  if (s.retried != 0) text += fmt::format(", {} retried", s.retried);
  if (s.redelivered != 0) text += ", " + counted(s.redelivered, "attempt") + " lost with a worker";
  return text;
}

std::string next_line(const SummaryFacts& facts) {
  const Snapshot& s = facts.snapshot;
  const std::uint64_t left = s.total - std::min(s.done(), s.total);
  const bool enough = std::holds_alternative<EnoughOk>(facts.end);
  // A pipe cannot be read again, and without a results file nothing is remembered.
  if (!facts.resumable || !s.total_known || facts.command.empty()) return "";
  if (left != 0 || is_early(facts.end)) {
    std::vector<std::string> words = facts.command;
    // The same command would see that there are enough.
    if (enough) words = without_flag(words, "--until-ok", facts.flags_end);
    const std::size_t removed = facts.command.size() - words.size();
    words = command_again(words, false, facts.overwrite_variable, facts.flags_end - removed);
    return (enough ? "to run the rest: " : "to continue: ") + shell_line(words);
  }
  if (s.done() != s.ok && !enough)
    return "to run what is not ok again: " +
           shell_line(command_again(facts.command, true, facts.overwrite_variable, facts.flags_end));
  return "";
}

}  // namespace

std::string reason_of(const RunEnd& end) {
  struct Visitor {
    std::string operator()(const AllRecorded&) const { return ""; }
    std::string operator()(const NobodyFits&) const { return ""; }
    std::string operator()(const TooManyNotOk& e) const {
      if (e.percent)
        return fmt::format("{} of {} not ok (--max-fails {}%)", e.not_ok, counted(e.ended, "job"), e.limit);
      return fmt::format("{} not ok (--max-fails {})", counted(e.not_ok, "job"), e.limit);
    }
    std::string operator()(const EnoughOk& e) const {
      return e.early ? fmt::format("{} ok (--until-ok {})", counted(e.wanted, "job"), e.wanted) : "";
    }
    std::string operator()(const TooFewOk&) const { return ""; }
    std::string operator()(const Stopped& e) const {
      return e.by == StopKind::kInterrupt   ? "interrupted (SIGINT)"
             : e.by == StopKind::kTerminate ? "terminated (SIGTERM)"
                                            : "hung up (SIGHUP)";
    }
    std::string operator()(const JobsChanged& e) const {
      if (e.line != 0) return fmt::format("the jobs file was changed during the run (line {})", e.line);
      return "the jobs file was changed or replaced during the run: only the jobs that it held at the start "
             "have run";
    }
    std::string operator()(const JobsUnreadable&) const { return "the rest of the jobs cannot be read"; }
    std::string operator()(const NoLocalWorker& e) const { return e.problem; }
    std::string operator()(const ResultsLost& e) const {
      if (e.error != ESTALE) return std::string("cannot write the results: ") + std::strerror(e.error);
      return "the results file was removed, replaced or cut short during the run: earlier results are "
             "missing from it";
    }
  };
  return std::visit(Visitor{}, end);
}

bool can_be_described(const JobEnded& job) {
  return job.name.empty() && job.work.empty() && job.status != Status::kInvalid;
}

std::string failure_text(const JobEnded& job, const std::string& command, bool with_stderr) {
  std::string text = place_of(job);
  if (!command.empty()) text += ": " + command;
  text += ": " + reason_of(job);
  if (job.attempt > 1) text += fmt::format(" (attempt {})", job.attempt);
  if (!job.worker.empty()) text += " on " + printable(job.worker, kIdBytesMax);
  if (with_stderr && !job.last_line.empty()) text += ": " + printable(job.last_line, 300);
  return text;
}

bool Failures::add(const JobEnded& job) {
  ++count_;
  ++standing_;
  if (!job.worker.empty()) ++by_worker_[job.worker];
  const std::string reason = reason_of(job);
  const auto place = by_reason_.find(reason);
  if (place != by_reason_.end()) {
    ++place->second.count;
    if (place->second.worker != job.worker) place->second.worker.reset();
  } else if (by_reason_.size() < kGroupsKept) {
    Group& group = by_reason_[reason];
    group.count = 1;
    group.example = place_of(job);
    group.line = job.line;
    if (!is_digest(job.id)) group.id = job.id;
    if (!job.work.empty()) group.command = short_command(job.work);
    if (can_be_described(job)) group.number = job.number;
    group.worker = job.worker;
  } else {
    ++other_;
  }
  return count_ <= kShownOnce;
}

void Failures::take_back(const JobEnded& job) {
  --standing_;
  if (const auto worker = by_worker_.find(job.worker); worker != by_worker_.end()) --worker->second;
  const auto place = by_reason_.find(reason_of(job));
  if (place == by_reason_.end()) {
    if (other_ > 0) --other_;
  } else if (--place->second.count == 0) {
    by_reason_.erase(place);
  }
}

std::vector<const Failures::Reason*> Failures::in_order() const {
  std::vector<const Reason*> order;
  for (const Reason& reason : by_reason_) order.push_back(&reason);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->second.count > b->second.count; });
  return order;
}

std::vector<FailureReason> Failures::reasons(const AskedCommands& commands) const {
  std::vector<FailureReason> all;
  for (const Reason* reason : in_order()) {
    if (all.size() == kReasonsMost) break;
    const Group& group = reason->second;
    all.push_back({reason->first, group.count, group.line, group.id,
                   group.number ? commands.find(*group.number) : group.command, group.worker.value_or("")});
  }
  return all;
}

std::vector<JobNumber> Failures::examples() const {
  std::vector<JobNumber> numbers;
  const auto order = in_order();
  for (std::size_t i = 0; i < std::min(order.size(), kGroupsShown); ++i) {
    if (order[i]->second.number) numbers.push_back(*order[i]->second.number);
  }
  return numbers;
}

std::string Failures::groups(bool several_workers, const AskedCommands& commands) const {
  const auto order = in_order();
  std::string text;
  std::uint64_t rest = other_;
  std::size_t hidden = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Group& group = order[i]->second;
    if (i >= kGroupsShown) {
      rest += group.count;
      ++hidden;
      continue;
    }
    text += fmt::format("{}{:>8}  {}, e.g. {}", text.empty() ? "" : "\n", group.count, order[i]->first,
                        group.example);
    const std::string command = group.number ? commands.find(*group.number) : group.command;
    if (!command.empty()) text += ": " + command;
    if (several_workers && group.count > 1 && group.worker && !group.worker->empty())
      text += "; all on worker " + printable(*group.worker, kIdBytesMax);
  }
  if (rest != 0)
    text += fmt::format("\n{:>8}  for {}{}", rest, other_ == 0 ? "" : "more than ",
                        counted(hidden, "other reason"));
  return text;
}

std::string describe(const JobUnsatisfiable& jobs) {
  std::string text = counted(jobs.jobs, "job");
  if (!jobs.requirement.type.empty())
    text += " of type '" + printable(jobs.requirement.type, kIdBytesMax) + "'";
  if (!jobs.requirement.labels.empty()) {
    std::string labels;
    for (const std::string& label : jobs.requirement.labels) labels += (labels.empty() ? "" : ", ") + label;
    text += (jobs.requirement.labels.size() == 1 ? " with the label " : " with the labels ") +
            printable(labels, 300);
  }
  if (jobs.requirement.slots > 1) {
    text += fmt::format(" that need{} {} slots", jobs.jobs == 1 ? "s" : "", jobs.requirement.slots);
  }
  return text;
}

std::string summary_text(const SummaryFacts& facts) {
  const bool early = is_early(facts.end);
  std::string text = (early ? "stopped: " + printable(reason_of(facts.end), 1000) + "\n" : std::string());
  const Snapshot& s = facts.snapshot;
  text += (early ? "" : s.done() == s.total ? "done: " : "ended: ") + totals_line(facts);
  if (s.done() != s.before || s.retried + s.redelivered != 0) text += "\n" + pace_line(facts);
  if (const auto* few = std::get_if<TooFewOk>(&facts.end))
    text += fmt::format("\nfewer are ok than --until-ok {} asks for", few->wanted);
  if (!facts.failure_groups.empty()) text += "\nnot ok, by reason:\n" + facts.failure_groups;
  if (s.cut_outputs != 0)
    text +=
        "\nthe output of " + counted(s.cut_outputs, "job") +
        " was cut: to have all of it, run again (--overwrite) with files for it (\"stdout\": FILE in a job, "
        "or --stdout FILE), or with a larger --capture (16MiB at most)";
  for (const std::string& line : facts.given_up) text += "\nno worker could run " + line;
  if (!facts.lacking_handler.empty()) {
    const std::string type = printable(facts.lacking_handler, kIdBytesMax);
    text += "\na program for the type '" + type + "' is given with --handler " + type +
            "=COMMAND, to this command or to a worker";
  }
  text += facts.results == "/dev/null"
              ? "\nno results are kept: give -o FILE to keep them, and to continue after a stop"
              : "\nresults: " + (facts.results == "-" ? "on stdout" : printable(facts.results, 300));
  if (facts.prints_output && facts.snapshot.before > 0)
    text += "\nwhat jobs of earlier starts wrote is not printed again: show --stdout has it";
  const std::string next = next_line(facts);
  if (!next.empty()) text += "\n" + next;
  return text;
}

}  // namespace workpool::dispatcher
