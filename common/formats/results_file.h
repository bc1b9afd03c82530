// SPDX-License-Identifier: MIT
// The results file's format (docs/reference.md, "Results file"): a result line printed and read again. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/outcome.h"
#include "common/base/time.h"

namespace workpool {

struct ResultLine {
  std::string id;             // as given: UTF-8, not empty; of a default id nothing, and
  std::uint64_t repeat = 0;   // its ordinal, from 1: spec and repeat make it, and the line needs no `spec`
  std::uint64_t line = 0;     // in the jobs file
  std::uint32_t attempt = 0;  // 0 where there was none
  Outcome outcome;            // REQUIRES: `value` is one JSON text without control bytes, or empty
  std::string worker;         // empty where none ran it
  Duration queued{0};
  Duration ran{0};
  std::int64_t finished_ms = 0;  // Unix time in milliseconds
  RunId run;
  Spec spec;
};

// Appends the line with its crc and a final newline; what `out` holds stays. Keys in this order:
//   id, line, status, attempt, error {kind, message}, exit, signal, stdout, stderr, truncated, value, worker,
//   queued_ms, run_ms, finished, run, spec, crc
// Nothing is written that another field says: `error` only where the status is not ok, `truncated` only above
// 0, worker and the durations only where a worker ran it, `value` of a handler that succeeded or gave one, no
// output of a command that crashed its worker, no spec beside an id made from it. A line that was no job
// (`invalid`) has attempt 0, no spec and nothing that only a run could tell; it never counts as done.
void append_result_line(std::string& out, const ResultLine& result);

// What a replay needs of a line.
struct ReplayedLine {
  std::string id;
  Status status = Status::kOk;
  Spec spec;  // of the line, or made from a default id; zero of an `invalid` line
  RunId run;
};
enum class LineDamage : std::uint8_t { kNone, kCrc, kFormat };

// `line`: any bytes, without the newline. Checks the crc (byte for byte), then reads only what is needed, in
// the order and the spelling of append_result_line: any other, valid JSON or not, is kFormat. `out` is
// meaningful after kNone; reused, it allocates nothing.
LineDamage read_result_line(std::string_view line, ReplayedLine& out);

// CRC-32 as in zlib, of `bytes`.
std::uint32_t crc32(std::string_view bytes);

// The crc rule by itself, for other files of lines: appends `,"crc":"8 hex"}` and a newline to the object
// that began at out[start] and has no closing brace yet.
void append_crc(std::string& out, std::size_t start);
// The inverse: takes the crc and the brace off the end of `line`; false, and nothing taken, where it does not
// hold.
bool strip_crc(std::string_view& line);

}  // namespace workpool
