// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_replay.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "common/formats/json_text.h"
#include "common/io/bounded_lines.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {
namespace {

constexpr std::string_view kLineStart = "{\"id\":";

// Whether a write that was cut short can have left `tail`: it begins like a line, as far as it goes.
bool begins_as_ours(std::string_view tail) {
  return tail.substr(0, kLineStart.size()) == kLineStart.substr(0, tail.size());
}

void add_damaged(ReplaySummary& summary, std::uint64_t number) {
  ++summary.damaged;
  if (summary.damaged_lines.size() < kDamagedLinesShown) summary.damaged_lines.push_back(number);
}

JobRegister::Past past_of(Status status) {
  switch (status) {
    case Status::kOk:
      return JobRegister::Past::kOk;
    case Status::kTimeout:
      return JobRegister::Past::kTimeout;
    case Status::kQuarantined:
      return JobRegister::Past::kQuarantined;
    case Status::kFailed:
    case Status::kInvalid:
      return JobRegister::Past::kFailed;
  }
  return JobRegister::Past::kNone;
}

}  // namespace

std::variant<Descriptor, std::string> open_to_read(const std::string& path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file.is_open() || fstat(file.get(), &status) != 0) return std::generic_category().message(errno);
  if (S_ISDIR(status.st_mode)) return "it is a directory";
  if (!S_ISREG(status.st_mode)) return "it is not a regular file";
  return file;
}

ReplaySummary replay(int fd, const std::function<void(const PlacedLine&)>& line) {
  ReplaySummary summary;
  BoundedLines lines(fd, kResultLineBytesMax);
  BoundedLines::Line raw;
  PlacedLine replayed;
  try {
    for (std::uint64_t number = 1; lines.next(raw); ++number) {
      summary.bytes = raw.end;
      const std::string_view text = trim_json_space(raw.text);
      const bool blank = text.empty() && !raw.too_long;
      const bool valid = !raw.too_long && !blank && read_result_line(text, replayed) == LineDamage::kNone;
      if (!raw.ended && !valid && !blank && !raw.too_long && begins_as_ours(text)) {
        summary.torn_bytes = raw.end - raw.offset;
        break;
      }
      // A tail with the right crc lacks only its newline and may have been acknowledged, so it counts.
      summary.whole_bytes = raw.end;
      summary.newline_missing = !raw.ended;
      if (blank) continue;
      if (!valid) {
        add_damaged(summary, number);
        continue;
      }
      ++summary.lines;
      if (replayed.status == Status::kInvalid) ++summary.invalid;
      summary.run = replayed.run.value;
      replayed.offset = raw.offset + static_cast<std::uint64_t>(text.data() - raw.text.data());
      replayed.bytes = text.size();
      line(replayed);
    }
  } catch (const std::system_error& error) {
    throw StoreError{ExitCode::kResultsFailed, "cannot read the results file: " + error.code().message()};
  }
  return summary;
}

ReplaySummary replay_into(int fd, JobIndex& index) {
  JobRegister& ids = index.ids();
  std::uint64_t superseded = 0;
  std::uint64_t removed = 0;
  bool matched = false;
  std::vector<bool> foreign(index.size());  // jobs with a line of another spec
  ReplaySummary summary = replay(fd, [&](const ReplayedLine& line) {
    if (line.status == Status::kInvalid) return;
    const std::optional<JobNumber> number = ids.find(key_of_id(line.id));
    if (!number) {
      ++removed;
      return;
    }
    matched = true;
    if (!ids.has_spec(*number, line.spec)) {
      foreign[*number] = true;
      ++superseded;
      return;
    }
    if (ids.past(*number) != JobRegister::Past::kNone) ++superseded;
    ids.set_past(*number, past_of(line.status));
  });
  summary.superseded = superseded;
  summary.removed = removed;
  summary.matched = matched;
  for (JobNumber number = 0; number < foreign.size(); ++number) {
    if (foreign[number] && ids.past(number) == JobRegister::Past::kNone) ++summary.changed;
  }
  return summary;
}

ReplaySummary replay_into(int fd, JobRegister& ids) {
  return replay(fd, [&ids](const ReplayedLine& line) {
    if (line.status != Status::kInvalid) {
      ids.remember(key_of_id(line.id), line.spec, past_of(line.status));
    } else if (line.spec != Spec{}) {
      ids.remember_invalid(line.spec);
    }
  });
}

AlreadyDone already_done(const JobIndex& index, bool retry_failed) {
  AlreadyDone done;
  for (JobNumber number = 0; number < index.size(); ++number) {
    const JobRegister::Past past = index.ids().past(number);
    if (past == JobRegister::Past::kOk) ++done.ok;
    if (retry_failed) continue;
    if (past == JobRegister::Past::kFailed) ++done.failed;
    if (past == JobRegister::Past::kTimeout) ++done.timeout;
    if (past == JobRegister::Past::kQuarantined) ++done.quarantined;
  }
  return done;
}

}  // namespace workpool::dispatcher
