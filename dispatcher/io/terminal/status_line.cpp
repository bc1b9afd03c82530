// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/status_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/formats/limit_rules.h"
#include "dispatcher/io/terminal/command_words.h"

namespace workpool::dispatcher {

namespace {

constexpr std::size_t kNeedBytesMax = 100;  // of a type, label or worker that is shown
constexpr std::size_t kReasonBytesMax = 60;

constexpr std::size_t kWindowSamples = 30;
// Fewer finished jobs than this in the window say less than the mean over everything.
constexpr std::uint64_t kWindowJobsMin = 5;

double in_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

// In the order in which they stand; the lowest weight is shortened or left out first.
struct Piece {
  int weight = 0;
  std::string text;
  std::string shorter;  // used before anything that matters is left out; empty if there is none

  int rank() const { return shorter.empty() ? weight : std::min(weight, kShortened); }
  static constexpr int kShortened = 6;
};

std::string bar(const Snapshot& snapshot, std::size_t columns) {
  const std::size_t width = std::clamp<std::size_t>(columns / 8, 10, 30);
  const std::size_t done = std::min<std::size_t>(width, snapshot.done() * width / snapshot.total);
  return '[' + std::string(done, '#') + std::string(width - done, '-') + "] ";
}

void add_counts(std::vector<Piece>& pieces, const Snapshot& snapshot) {
  pieces.push_back(
      {11, fmt::format("{}/{}{}", snapshot.done(), snapshot.total, snapshot.total_known ? "" : "+"), ""});
  if (snapshot.total_known && snapshot.total != 0)
    pieces.push_back({1, fmt::format(" ({}%)", snapshot.done() * 100 / snapshot.total), ""});
  pieces.push_back({3, fmt::format("  ok {}", snapshot.ok), ""});
  const auto add = [&](const char* name, std::uint64_t count) {
    if (count != 0) pieces.push_back({9, fmt::format("  {} {}", name, count), ""});
  };
  pieces.push_back({snapshot.failed == 0 ? 4 : 9, fmt::format("  failed {}", snapshot.failed), ""});
  add("timed out", snapshot.timeout);
  add("quarantined", snapshot.quarantined);
  add("invalid", snapshot.invalid);
}

std::string eta(const std::optional<Duration>& left) {
  if (!left) return "ETA --";
  return "ETA " + format_clock(left->count() == 0 ? *left : std::max<Duration>(*left, seconds(1)));
}

Piece longest_piece(const RunningJobs::Longest& job) {
  const std::string what = "  longest: " + short_place(job.id, job.name, job.line);
  const std::string ran = ", " + format_clock(job.ran);
  return {8, what + " on " + printable(job.worker, kNeedBytesMax) + ran, what + ran};
}

Piece retry_piece(const LineFacts& facts, bool nothing_else) {
  const std::uint64_t jobs = facts.snapshot.delayed;
  const int weight = nothing_else ? 10 : 7;
  if (!facts.retry)
    return {weight, fmt::format("  {} wait{} to be tried again", jobs, jobs == 1 ? "s" : ""), ""};
  const std::string wait = format_clock(std::max<Duration>(facts.retry->wait, seconds(1)));
  const std::string text = jobs == 1 ? fmt::format("  1 waits {} to be retried", wait)
                                     : fmt::format("  {} wait to be retried, the first for {}", jobs, wait);
  return {weight, text + ": " + printable(facts.retry->reason, kReasonBytesMax), text};
}

std::size_t width_of(const std::vector<Piece>& pieces) {
  std::size_t sum = 0;
  for (const Piece& piece : pieces) sum += letters_in(piece.text);
  return sum;
}

}  // namespace

void RateMeter::sample(std::uint64_t finished, Time now) {
  last_ = {now, finished};
  if (!window_.empty() && now - window_.back().at < seconds(1)) return;
  window_.push_back(last_);
  if (window_.size() > kWindowSamples) window_.pop_front();
}

double RateMeter::per_second_overall() const {
  const double elapsed = in_seconds(last_.at - start_);
  return elapsed > 0 ? static_cast<double>(last_.finished) / elapsed : 0;
}

double RateMeter::per_second() const {
  if (window_.empty() || last_.finished < window_.front().finished + kWindowJobsMin)
    return per_second_overall();
  const double elapsed = in_seconds(last_.at - window_.front().at);
  if (elapsed < 1) return per_second_overall();
  return static_cast<double>(last_.finished - window_.front().finished) / elapsed;
}

Snapshot with_expected(const Snapshot& snapshot, const std::optional<std::uint64_t>& jobs) {
  Snapshot result = snapshot;
  if (snapshot.total_known || !jobs) return result;
  result.total = std::max(snapshot.total, *jobs);
  result.total_known = true;
  return result;
}

std::string limit_text(const HeldUp& limit) {
  if (limit.key.empty()) return "--rate " + text_of(limit.rule);
  return printable(limit.key, kNeedBytesMax) + '=' + text_of(limit.rule);
}

std::string waiting_text(const WaitingFor& waiting) {
  struct Visitor {
    std::string operator()(const Nothing&) const { return ""; }
    std::string operator()(const DiskSpace&) const { return "space for the results file"; }
    std::string operator()(const SlowResults&) const { return "the results file to take more"; }
    std::string operator()(const FreePort&) const { return "a port for another worker (--ports)"; }
    std::string operator()(const AnyWorker&) const { return "a worker"; }
    std::string operator()(const FittingWorker& w) const {
      std::string needs;
      const auto add = [&needs](const std::string& need) { needs += (needs.empty() ? "" : ", ") + need; };
      if (!w.requirement.type.empty()) add("type \"" + printable(w.requirement.type, kNeedBytesMax) + '"');
      for (const std::string& label : w.requirement.labels)
        add("label \"" + printable(label, kNeedBytesMax) + '"');
      if (w.requirement.slots > 1) add(counted(w.requirement.slots, "slot"));
      return "a worker with " + (needs.empty() ? "a slot" : needs);
    }
    std::string operator()(const BackoffOver& w) const { return "the backoff of " + counted(w.jobs, "job"); }
    std::string operator()(const LimitOpen& w) const {
      return "the limit " + limit_text(w.limit) + ", which holds up " + counted(w.limit.jobs, "job");
    }
    std::string operator()(const EarlierWorkers& w) const {
      return "workers of the earlier start, which may still run jobs with limits: " +
             format_clock(std::max<Duration>(w.at_most, seconds(1))) + " at most";
    }
  };
  return std::visit(Visitor{}, waiting);
}

std::string status_line(const LineFacts& facts, std::size_t columns) {
  const Snapshot& snapshot = facts.snapshot;
  std::vector<Piece> pieces;
  if (facts.bar && snapshot.total_known && snapshot.total != 0)
    pieces.push_back({0, bar(snapshot, columns), ""});
  add_counts(pieces, snapshot);
  pieces.push_back({5, fmt::format("  running {}", snapshot.running), ""});
  pieces.push_back(
      {2, "  " + counted(snapshot.workers, "worker") + ", " + counted(snapshot.slots, "slot"), ""});
  pieces.push_back({4, "  " + format_clock(facts.elapsed), ""});
  pieces.push_back({6, "  " + format_rate(facts.per_second), ""});
  const bool goes_on = snapshot.phase == "running" || snapshot.phase.empty();
  pieces.push_back({goes_on && !facts.left ? 6 : 8, "  " + (goes_on ? eta(facts.left) : snapshot.phase), ""});
  if (facts.longest) pieces.push_back(longest_piece(*facts.longest));
  const bool only_retries = std::holds_alternative<BackoffOver>(snapshot.waiting_for);
  if (snapshot.delayed > 0) pieces.push_back(retry_piece(facts, only_retries));
  if (snapshot.held_up > 0 && std::holds_alternative<Nothing>(snapshot.waiting_for))
    pieces.push_back({3, fmt::format("  limits hold up {}", snapshot.held_up), ""});
  if (const std::string waiting = waiting_text(snapshot.waiting_for); !waiting.empty() && !only_retries)
    pieces.push_back({10, "  waiting: " + waiting, ""});
  if (facts.insecure) pieces.push_back({9, "  open to everyone", ""});

  while (pieces.size() > 1 && width_of(pieces) > columns) {
    const auto least = std::min_element(pieces.begin(), pieces.end(),
                                        [](const Piece& a, const Piece& b) { return a.rank() < b.rank(); });
    if (least->shorter.empty()) {
      pieces.erase(least);
    } else {
      least->text = std::exchange(least->shorter, "");
    }
  }
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return fit(text, columns);
}

std::string format_rate(double per_second) {
  if (per_second >= 100) return fmt::format("{:.0f}/s", per_second);
  if (per_second >= 1) return fmt::format("{:.1f}/s", per_second);
  return fmt::format("{:.2f}/s", per_second);
}

std::string format_roughly(Duration duration) {
  const double total = in_seconds(duration);
  if (total < 60 - 0.05) return fmt::format("{:.1f}s", total);
  const auto whole = static_cast<std::uint64_t>(std::llround(total));
  if (whole < 3600) return fmt::format("{}m{}s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{}h{}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{}h", whole / 86'400, whole / 3600 % 24);
}

std::string format_clock(Duration duration) {
  const auto whole = std::max<std::int64_t>(0, duration / seconds(1));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 3600) return fmt::format("{}m", whole / 60);
  if (whole < 86'400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{}h", whole / 86'400, whole / 3600 % 24);
}

}  // namespace workpool::dispatcher
