// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_form.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include "common/formats/jobs_shape.h"
#include "common/formats/json_text.h"
#include "common/io/bounded_lines.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kStartBytes = 64 * 1024;  // comments before the first job may be long

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

// The first line that is not blank. Returns false if there is none.
bool first_line(BoundedLines& lines, BoundedLines::Line& line, std::uint64_t& number) {
  while (lines.next(line)) {
    ++number;
    if (line.too_long || !trim_json_space(line.text).empty()) return true;
  }
  return false;
}

}  // namespace

JobsForm form_in(const JobsInput& input, JobsFormat format, const JobDefaults& defaults) {
  JobsForm form(format, defaults);
  if (format != JobsFormat::kJsonLines) return form;
  BoundedLines lines(input.fd(), kLineBytesMax);
  BoundedLines::Line line;
  std::uint64_t number = 0;
  try {
    if (!first_line(lines, line, number)) return form;
  } catch (const std::system_error&) {
    return form;  // indexing will fail as well, and say why
  }
  // One that is too long is reported by whoever reads all lines.
  if (line.too_long || !is_defaults_line(line.text)) return form;
  auto read = read_job_defaults(line.text);
  if (auto* error = std::get_if<LineError>(&read)) {
    form.error = JobsError{number, error->column, std::move(error->message)};
    return form;
  }
  JobDefaults all = defaults;
  all.fill_in(std::get<JobDefaults>(read));
  form.defaults = std::make_shared<const JobDefaults>(std::move(all));
  form.defaults_at = line.offset;
  return form;
}

JobsForm form_of(const JobsInput& input, const std::string& path, const std::optional<JobsFormat>& format,
                 const JobDefaults& defaults) {
  return form_in(input, format_of(input, path, format), defaults);
}

}  // namespace workpool::dispatcher
