// SPDX-License-Identifier: MIT
#include "dispatcher/io/check.h"

#include <system_error>
#include <utility>
#include <variant>

#include "common/base/text.h"
#include "dispatcher/io/jobs/jobs_form.h"
#include "dispatcher/io/jobs/jobs_input.h"
#include "dispatcher/io/run_input.h"

namespace workpool::dispatcher {
namespace {

std::variant<JobsInput, JobsProblem> open_whole(const std::string& path) {
  auto opened = JobsInput::open(path);
  if (auto* input = std::get_if<JobsInput>(&opened); input != nullptr && !input->regular())
    return JobsInput::copy_of(*input);
  return opened;
}

ExitCode print(const std::string& text, ExitCode code, Console& console) {
  return print_answer(text + '\n', console) ? code : ExitCode::kResultsFailed;
}

}  // namespace

void add_errors(JsonObject& json, const IndexReport& report) {
  json.number("error_count", report.error_count);
  json.raw("errors", json_array(report.errors, [](const JobsError& error) {
             return JsonObject()
                 .number("line", error.line)
                 .number("column", error.column)
                 .text("message", error.message)
                 .end();
           }));
}

std::string check_json(const std::string& path, const IndexReport& report, std::uint64_t jobs,
                       const std::string& problem) {
  JsonObject json;
  json.number("v", 1).text("jobs_file", path).truth("ok", problem.empty() && report.ok());
  if (!problem.empty()) return json.text("problem", problem).end();
  json.number("jobs", jobs).number("lines", report.lines);
  add_errors(json, report);
  return json.end();
}

ExitCode check(const CheckOptions& options, Console& console) {
  try {
    const auto opened = open_whole(options.jobs);
    if (const auto* problem = std::get_if<JobsProblem>(&opened)) {
      if (options.json)
        return print(check_json(options.jobs, {}, 0, problem->message), ExitCode::kBadInput, console);
      console.line("workpool-dispatcher: " + problem->message);
      return ExitCode::kBadInput;
    }
    const JobsInput& input = std::get<JobsInput>(opened);
    const JobsForm form = form_of(input, options.jobs, options.format, options.defaults);
    JobIndex index;
    const IndexReport report = index_jobs_file(input, form, index);
    const ExitCode code = report.ok() ? ExitCode::kOk : ExitCode::kBadInput;
    if (options.json) {
      const std::string problem = report.problem ? report.problem->message : "";
      return print(check_json(options.jobs, report, index.size(), problem), code, console);
    }
    if (report.ok())
      return print(input.shown_path() + ": " + counted(index.size(), "job") + ", all good", code, console);
    console.line(format_errors(input.shown_path(), report));
    return code;
  } catch (const std::system_error& error) {
    return refused_by_system(error, console);
  }
}

}  // namespace workpool::dispatcher
