// SPDX-License-Identifier: MIT
// Reads what RESULTS says of the jobs when a run is resumed or verified. The file may hold anything: a line
// counts only if its crc is right. Writes nothing, so it also works while a run goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/formats/results_file.h"
#include "common/io/descriptor.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/results/store_error.h"

namespace workpool::dispatcher {

inline constexpr std::size_t kDamagedLinesShown = 20;

struct AlreadyDone;  // dispatcher/core/facts.h

struct ReplaySummary {
  std::uint64_t lines = 0;       // valid lines
  std::uint64_t superseded = 0;  // valid lines of a job that a later line, or a changed spec, replaced
  std::uint64_t removed = 0;     // valid lines whose id is not in the jobs file
  std::uint64_t changed = 0;     // jobs that have lines, but none of their spec
  std::uint64_t invalid = 0;     // valid lines that record a bad line of a stream; they are no job's
  std::vector<std::uint64_t> damaged_lines;  // numbers from 1, the first 20; their jobs run again
  std::uint64_t damaged = 0;                 // how many in all
  std::uint64_t bytes = 0;                   // of the whole file, as it was read
  std::uint64_t whole_bytes = 0;  // where a new line may begin: after the last line that is not torn
  // How long the tail without newline is, if it begins like a line of ours but is not whole; else 0.
  std::uint64_t torn_bytes = 0;
  // The tail lacks only its newline, or is not ours: it stays, and a newline goes before the next line.
  bool newline_missing = false;
  bool matched = false;   // at least one recorded id is a job's
  std::uint64_t run = 0;  // of the last valid line; 0 = none

  // Whether the file holds only blank lines and a byte order mark, and so belongs to no run.
  bool empty() const { return lines + damaged + torn_bytes == 0; }
};

// A valid line, and where its text stands in the file.
struct PlacedLine : ReplayedLine {
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
};

// Opens RESULTS to read it, or says why it cannot be read: it must be a regular file. Takes no lock.
std::variant<Descriptor, std::string> open_to_read(const std::string& path);

// Reads the file at `fd` from its start in blocks (constant memory; a line over kResultLineBytesMax is
// damaged) and calls `line` for each valid line in order. As tolerant as the reader of jobs files: a byte
// order mark, CRs and blank lines are ignored. Never fails on content; throws StoreError{74} on a read error.
// Does not fill superseded, removed, changed and matched, which need an index.
ReplaySummary replay(int fd, const std::function<void(const PlacedLine&)>& line);

// Replays into `index` by set_past: the last line with a job's id and spec counts for it. Fills all of
// ReplaySummary.
ReplaySummary replay_into(int fd, JobIndex& index);

// The jobs that an earlier start has finished: those that `replay_into` has found. With `retry_failed` those
// that are not ok run again, and do not count.
AlreadyDone already_done(const JobIndex& index, bool retry_failed);

// For jobs that come one by one: remembers every line, since any id may come. About 23 bytes per line.
ReplaySummary replay_into(int fd, JobRegister& ids);

}  // namespace workpool::dispatcher
