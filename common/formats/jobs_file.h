// SPDX-License-Identifier: MIT
// The jobs file's format (docs/reference.md): one line in, one job or one error with its column out. Pure; a
// parser is used by one thread. Lines are given without their line ending, the first one without a byte order
// mark.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/job.h"
#include "common/formats/job_defaults.h"
#include "common/formats/job_line_limits.h"

namespace workpool {

// How many bytes of a byte order mark `text` begins with: 3 or 0.
inline std::size_t byte_order_mark_bytes(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? 3 : 0;
}

enum class JobsFormat : std::uint8_t {
  kJsonLines,
  kLines,        // shell commands
  kGuessedLines  // the same, but nobody said so: a line that begins as JSON does is refused
};

// A line that holds no job: blank, or with `lines` a comment.
struct NoJob {};

// The error for a line over kLineBytesMax, for readers that do not hold such a line in memory.
LineError line_too_long();
// The column of the value of `id` in a valid JSON line, 1 if it has none. Slow, for messages.
std::uint64_t id_column(std::string_view line);
// The same of any member.
std::uint64_t member_column(std::string_view line, Member which);

class JobLineParser {
 public:
  // `defaults`: what the jobs get that do not say otherwise; may be null. A line of defaults is an error
  // here: only who knows that it is the first one can tell that it is in its place.
  explicit JobLineParser(JobsFormat format, std::shared_ptr<const JobDefaults> defaults = nullptr);
  ~JobLineParser();
  JobLineParser(const JobLineParser&) = delete;
  JobLineParser& operator=(const JobLineParser&) = delete;

  // `line`: any bytes of any length. Never throws on bad input. The views of a job live as long as `line`,
  // and until the next call. Reports the first of several faults. A key that occurs twice is an error at
  // every level, also inside `args`: what a handler would make of it depends on its JSON library.
  std::variant<JobView, NoJob, LineError> parse(std::string_view line);
  // The same of a JSON line without the shorter way for plain ones; for tests of that.
  std::variant<JobView, NoJob, LineError> parse_as_any(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The parts of a job's work, as the worker needs them.
struct CommandWork {
  bool for_shell = false;  // `cmd` is a string
  // For a shell: {shell, "-c", text}, with a "--" before a text that starts like an option.
  std::vector<std::string> argv;
  std::bitset<256> ok_exits{1};  // exit statuses that are no failure
  std::vector<std::pair<std::string, std::string>> env;
  std::optional<std::string> cwd;
  std::optional<std::string> standard_input;
  // Files for what it prints (common/formats/output_path.h).
  std::optional<std::string> output_path;
  std::optional<std::string> error_path;
};
struct HandlerWork {
  std::string type;
  std::string_view args;  // a part of the work: one compact JSON text; "null" if the job has none
};

// One per thread that runs jobs: making a simdjson parser costs more than a short job.
class WorkParser {
 public:
  WorkParser();
  ~WorkParser();
  WorkParser(const WorkParser&) = delete;
  WorkParser& operator=(const WorkParser&) = delete;

  // `work`: JobLine::work as a dispatcher sent it; must outlive what is returned. Returns a LineError for any
  // other text. Keeps no memory after a long one.
  std::variant<CommandWork, HandlerWork, LineError> parse(std::string_view work);
  // The same without the short way for plain works, for tests.
  std::variant<CommandWork, HandlerWork, LineError> parse_as_any(std::string_view work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace workpool
