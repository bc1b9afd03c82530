// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_format.h"

#include <algorithm>
#include <string_view>

#include "common/base/text.h"
#include "common/formats/jobs_shape.h"
#include "common/io/bounded_lines.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kStartBytes = 64 * 1024;  // comments before the first job may be long

}  // namespace

std::variant<JobsFormat, JobsProblem> format_of(const JobsInput& input, const std::string& path,
                                                const std::optional<JobsFormat>& given) {
  if (given) return *given;
  if (path.ends_with(".jsonl") || path.ends_with(".ndjson")) return JobsFormat::kJsonLines;
  if (path.ends_with(".json")) {
    const std::string shown = printable(path, 200);
    return JobsProblem{
        shown +
        ": a .json file holds one value, not one job a line: make lines of an array with jq -c "
        "'.[]', or say --format jsonl if it has them"};
  }
  std::string start(kStartBytes, '\0');
  start.resize(static_cast<std::size_t>(
      std::max<std::int64_t>(read_at(input.fd(), start.data(), start.size(), 0), 0)));
  return guessed_format(start);
}

}  // namespace workpool::dispatcher
