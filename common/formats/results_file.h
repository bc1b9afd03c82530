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
#include "common/formats/timestamp.h"

namespace workpool {

// A longer line is not read back, so none may be written. The longest has the output of a command in base64,
// twice kCaptureBytesMax, next to an error message, names and notes.
inline constexpr std::size_t kResultLineBytesMax = 48 << 20;
// An output over this is written in base64 if most of it would be escaped, at 6 bytes for one.
inline constexpr std::size_t kOutputEscapedMost = 256 << 10;
static_assert(2 * kCaptureBytesMax / 3 * 4 + kErrorMessageBytesMax * 6 + (1 << 20) < kResultLineBytesMax);
static_assert(kValueBytesMax + kErrorMessageBytesMax * 6 + (64 << 10) < kResultLineBytesMax);

// What a line is made of. It all lives until append_result_line returns; nothing is copied.
struct ResultLine {
  std::string_view id;        // as given: UTF-8, not empty; empty for a default id
  std::uint64_t repeat = 0;   // of a default id, from 1: spec and `repeat` make the id; else 0
  std::uint64_t line = 0;     // in the jobs file
  std::uint32_t attempt = 0;  // 0 if there was none
  const Outcome& outcome;     // REQUIRES: within the limits of outcome.h, and see its `value`
  std::string_view worker;    // empty if no worker ran it
  Duration queued{0};
  Duration ran{0};
  Timestamp finished;
  RunId run;
  Spec spec;                    // of an `invalid` line the digest of its text; zero if that is not known
  std::string_view notes = {};  // JobNotes::members
};

// Appends the line with its crc and a final newline; what `out` holds stays. Keys in this order:
//   id, line, status, attempt, error {kind, message}, exit, signal, stdout, stderr, truncated, cpu_ms,
//   max_rss_kib, value, worker, queued_ms, run_ms, finished, each and meta as the job has them, run, spec or
//   digest, crc
// A field is left out if the others imply it: `error` is written only if the status is not ok; `truncated`,
// `cpu_ms` and `max_rss_kib` only above 0, worker and durations only if a worker ran the job, `value` only of
// a handler that succeeded or returned one, no output of a command that crashed its worker, no spec next to
// an id made from it. Output is a JSON string (`stdout`) if it is UTF-8, else `stdout_base64`, as is a large
// one with many escapes; an object if a file holds it; and left out if it was not kept. Older versions also
// wrote base64 when that was shorter. A line that was no job (`invalid`) has attempt 0, a digest instead of a
// spec, and nothing that only a run could say; no job counts as done by it.
void append_result_line(std::string& out, const ResultLine& result);

// What a replay needs of a line.
struct ReplayedLine {
  std::string id;
  std::uint64_t line = 0;  // in the jobs file; 0 if the line does not say it
  Status status = Status::kOk;
  Spec spec;  // of the line, or made from a default id; of an `invalid` line its digest, zero if it has none
  RunId run;
};
enum class LineDamage : std::uint8_t { kNone, kCrc, kFormat };

// `line`: any bytes, without the newline; whitespace around the object (a CR) is ignored. Checks the crc,
// then reads only the members that a replay needs. They may stand in any order with other members between
// them, so a line that a later version wrote counts. A line as append_result_line writes it is read fastest.
// `out` is meaningful only after kNone. Reusing it saves allocations.
LineDamage read_result_line(std::string_view line, ReplayedLine& out);

// CRC-32 as in zlib, of `bytes`.
std::uint32_t crc32(std::string_view bytes);

// The crc rule by itself, for other files of lines: appends `,"crc":"8 hex"}` and a newline to the object
// that began at out[start] and has no closing brace yet.
void append_crc(std::string& out, std::size_t start);
// The inverse: takes the crc and the brace off the end of `line`; returns false and takes nothing if the crc
// is missing or wrong.
bool strip_crc(std::string_view& line);

}  // namespace workpool
