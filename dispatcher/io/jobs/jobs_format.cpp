// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_format.h"

#include <algorithm>
#include <string_view>

#include "common/formats/jobs_shape.h"
#include "common/io/bounded_lines.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kStartBytes = 64 * 1024;  // comments before the first job may be long

}  // namespace

JobsFormat format_of(const JobsInput& input, const std::string& path,
                     const std::optional<JobsFormat>& given) {
  if (given) return *given;
  if (path.ends_with(".jsonl") || path.ends_with(".ndjson")) return JobsFormat::kJsonLines;
  // One value, mostly. Read as lines, it is refused with advice on how to make jobs lines of it.
  if (path.ends_with(".json")) return JobsFormat::kGuessedLines;
  std::string start(kStartBytes, '\0');
  start.resize(static_cast<std::size_t>(
      std::max<std::int64_t>(read_at(input.fd(), start.data(), start.size(), 0), 0)));
  return guessed_format(start);
}

}  // namespace workpool::dispatcher
