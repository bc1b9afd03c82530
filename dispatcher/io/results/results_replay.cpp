// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_replay.h"

#include <string_view>
#include <system_error>

#include "common/io/bounded_lines.h"

namespace workpool::dispatcher {
namespace {

// The longest line of ours has a value of 1 MiB, or twice --capture (256 KiB at most) in base64, and some 10
// KiB more.
constexpr std::size_t kResultLineBytesMax = 2 << 20;

constexpr std::string_view kLineStart = "{\"id\":";

// What a write that was cut short can have left: a line's beginning, or the beginning of that.
bool begins_as_ours(std::string_view tail) {
  return tail.substr(0, kLineStart.size()) == kLineStart.substr(0, tail.size());
}

void add_damaged(ReplaySummary& summary, std::uint64_t number) {
  ++summary.damaged;
  if (summary.damaged_lines.size() < kDamagedLinesShown) summary.damaged_lines.push_back(number);
}

JobIndex::Past past_of(Status status) {
  switch (status) {
    case Status::kOk:
      return JobIndex::Past::kOk;
    case Status::kTimeout:
      return JobIndex::Past::kTimeout;
    case Status::kQuarantined:
      return JobIndex::Past::kQuarantined;
    case Status::kFailed:
    case Status::kInvalid:
      return JobIndex::Past::kFailed;
  }
  return JobIndex::Past::kNone;
}

}  // namespace

ReplaySummary replay(int fd, const std::function<void(const ReplayedLine&)>& line) {
  ReplaySummary summary;
  BoundedLines lines(fd, kResultLineBytesMax);
  BoundedLines::Line raw;
  ReplayedLine replayed;
  try {
    for (std::uint64_t number = 1; lines.next(raw); ++number) {
      summary.bytes = raw.end;
      const bool valid = !raw.too_long && read_result_line(raw.text, replayed) == LineDamage::kNone;
      if (!raw.ended && !valid && !raw.too_long && begins_as_ours(raw.text)) {
        summary.torn_bytes = raw.end - raw.offset;
        break;
      }
      // A tail with a right crc lacks nothing but its newline, and may have been acknowledged: it counts.
      summary.whole_bytes = raw.end;
      summary.newline_missing = !raw.ended;
      if (!valid) {
        add_damaged(summary, number);
        continue;
      }
      ++summary.lines;
      if (replayed.status == Status::kInvalid) ++summary.invalid;
      summary.run = replayed.run.value;
      line(replayed);
    }
  } catch (const std::system_error& error) {
    throw StoreError{ExitCode::kResultsFailed, "cannot read the results file: " + error.code().message()};
  }
  return summary;
}

ReplaySummary replay_into(int fd, JobIndex& index) {
  std::uint64_t superseded = 0;
  std::uint64_t removed = 0;
  bool matched = false;
  std::vector<bool> foreign(index.size());  // jobs with a line of another spec
  ReplaySummary summary = replay(fd, [&](const ReplayedLine& line) {
    if (line.status == Status::kInvalid) return;
    const std::optional<JobNumber> number = index.find(key_of_id(line.id));
    if (!number) {
      ++removed;
      return;
    }
    matched = true;
    if (!index.has_spec(*number, line.spec)) {
      foreign[*number] = true;
      ++superseded;
      return;
    }
    if (index.past(*number) != JobIndex::Past::kNone) ++superseded;
    index.set_past(*number, past_of(line.status));
  });
  summary.superseded = superseded;
  summary.removed = removed;
  summary.matched = matched;
  for (JobNumber number = 0; number < foreign.size(); ++number) {
    if (foreign[number] && index.past(number) == JobIndex::Past::kNone) ++summary.changed;
  }
  return summary;
}

void StreamPast::add(const ReplayedLine& line) {
  if (line.status == Status::kInvalid) return;
  past_.insert_or_assign(Job{key_of_id(line.id).high, line.spec.high}, line.status);
}

std::optional<Status> StreamPast::find(const Key& key, const Spec& spec) const {
  const auto found = past_.find(Job{key.high, spec.high});
  if (found == past_.end()) return std::nullopt;
  return found->second;
}

ReplaySummary replay_into(int fd, StreamPast& past) {
  return replay(fd, [&past](const ReplayedLine& line) { past.add(line); });
}

}  // namespace workpool::dispatcher
