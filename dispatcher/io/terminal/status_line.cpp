// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/status_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/text.h"
#include "common/base/units.h"

namespace workpool::dispatcher {

namespace {

constexpr std::size_t kNeedBytesMax = 100;  // of a type or label that is shown

constexpr std::size_t kWindowSamples = 30;
// Fewer finished jobs than this in the window say less than the mean over everything.
constexpr std::uint64_t kWindowJobsMin = 5;

bool starts_letter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

double in_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

std::string eta(const Snapshot& snapshot, const RateMeter& rate) {
  if (!snapshot.total_known) return "ETA --";
  const std::uint64_t left = snapshot.total - std::min(snapshot.done(), snapshot.total);
  if (left == 0) return "ETA 0s";
  const double per_second = rate.per_second();
  const double seconds_left = per_second > 0 ? static_cast<double>(left) / per_second : 1e9;
  if (seconds_left > 365.0 * 86'400) return "ETA --";
  return "ETA " + format_roughly(Duration(static_cast<std::int64_t>(seconds_left * 1e6)));
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
  };
  return std::visit(Visitor{}, waiting);
}

std::string status_line(const Snapshot& snapshot, const RateMeter& rate, std::size_t columns) {
  // In the order in which they stand; the lowest weight is left out first.
  struct Piece {
    int weight = 0;
    std::string text;
  };
  std::vector<Piece> pieces;
  const bool has_share = snapshot.total_known && snapshot.total != 0;
  pieces.push_back(
      {9, fmt::format("{}/{}{}", snapshot.done(), snapshot.total, snapshot.total_known ? "" : "+")});
  if (has_share) pieces.push_back({1, fmt::format(" ({}%)", snapshot.done() * 100 / snapshot.total)});
  pieces.push_back({3, fmt::format("  ok {}", snapshot.ok)});
  pieces.push_back({6, fmt::format("  failed {}", snapshot.done() - snapshot.ok)});
  pieces.push_back({4, fmt::format("  running {}", snapshot.running)});
  pieces.push_back({2, "  " + counted(snapshot.workers, "worker") + ", " + counted(snapshot.slots, "slot")});
  pieces.push_back({5, "  " + format_rate(rate.per_second())});
  const bool goes_on = snapshot.phase == "running" || snapshot.phase.empty();
  pieces.push_back(goes_on ? Piece{7, "  " + eta(snapshot, rate)} : Piece{7, "  " + snapshot.phase});
  if (const std::string waiting = waiting_text(snapshot.waiting_for); !waiting.empty())
    pieces.push_back({8, "  waiting: " + waiting});

  const auto width = [&] {
    std::size_t sum = 0;
    for (const Piece& piece : pieces) sum += letters_in(piece.text);
    return sum;
  };
  while (pieces.size() > 1 && width() > columns) {
    pieces.erase(std::min_element(pieces.begin(), pieces.end(),
                                  [](const Piece& a, const Piece& b) { return a.weight < b.weight; }));
  }
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return fit(text, columns);
}

std::size_t letters_in(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_letter));
}

std::string fit(const std::string& text, std::size_t columns) {
  if (letters_in(text) <= columns) return text;
  if (columns == 0) return "";
  std::size_t seen = 0;
  std::size_t end = 0;
  while (end < text.size() && !(starts_letter(text[end]) && seen == columns - 1))
    seen += starts_letter(text[end++]) ? 1 : 0;
  return text.substr(0, end) + "…";
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

}  // namespace workpool::dispatcher
