// SPDX-License-Identifier: MIT
#include "dispatcher/io/verify.h"

#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/text.h"
#include "dispatcher/io/check.h"
#include "dispatcher/io/file_check.h"
#include "dispatcher/io/jobs/jobs_form.h"
#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/terminal/json_object.h"

namespace workpool::dispatcher {
namespace {

// What is known of a job while RESULTS is read.
constexpr std::uint8_t kNothing = 0xff;
constexpr std::uint8_t kOtherWork = 0xfe;  // lines of this id, none of this spec; else a Status

void add_first(std::vector<std::string>& list, const std::string& id) {
  if (list.size() < kVerifyListed) list.push_back(id);
}

// "logs, other and 3 more"
std::string listed(const std::vector<std::string>& first, std::uint64_t count) {
  std::string text;
  for (const std::string& id : first) text += (text.empty() ? "" : ", ") + printable(id);
  if (count > first.size()) text += " and " + std::to_string(count - first.size()) + " more";
  return text;
}

// Whether there are results that belong to no job of the file.
bool results_of_other_work(const VerifyReport& report) {
  return report.results.removed > 0 || report.results.changed > 0;
}

std::string damaged_text(const ReplaySummary& results) {
  std::vector<std::string> numbers;
  for (const std::uint64_t number : results.damaged_lines) numbers.push_back(std::to_string(number));
  return "  damaged: " + counted(results.damaged, "line") +
         " (crc missing or wrong, not counted): " + listed(numbers, results.damaged) + "\n";
}

}  // namespace

VerifyReport verify_results(const JobIndex& index, int results_fd,
                            const std::function<std::string(JobNumber)>& id_of) {
  VerifyReport report;
  report.jobs = index.size();
  std::vector<std::uint8_t> known(index.size(), kNothing);
  std::uint64_t superseded = 0;
  std::uint64_t removed = 0;
  const auto supersede = [&](const ReplayedLine& line) {
    ++superseded;
    add_first(report.superseded_first, line.id);
  };
  report.results = replay(results_fd, [&](const ReplayedLine& line) {
    if (line.status == Status::kInvalid) return;
    const std::optional<JobNumber> number = index.find(key_of_id(line.id));
    if (!number) {
      ++removed;
      add_first(report.removed_first, line.id);
      return;
    }
    std::uint8_t& job = known[*number];
    const bool counts = index.ids().has_spec(*number, line.spec);
    // The line that is replaced is the one before, or this one if it is of other work.
    if (!counts || (job != kNothing && job != kOtherWork)) supersede(line);
    if (counts) {
      job = static_cast<std::uint8_t>(line.status);
    } else if (job == kNothing) {
      job = kOtherWork;
    }
  });
  report.results.superseded = superseded;
  report.results.removed = removed;
  for (JobNumber number = 0; number < known.size(); ++number) {
    if (known[number] < report.counting.size()) {
      ++report.counting[known[number]];
      report.results.matched = true;
      continue;
    }
    ++report.missing;
    const bool changed = known[number] == kOtherWork;
    if (changed) ++report.results.changed;
    if (report.missing_first.size() < kVerifyListed) {
      report.missing_first.push_back({index.entry(number).line, id_of(number), changed});
    }
  }
  return report;
}

std::string id_of_job(const JobIndex& index, JobNumber number, BoundedLines& lines, JobLineParser& parser) {
  const JobIndex::Entry entry = index.entry(number);
  const std::optional<std::string_view> line = lines.line_at(entry.offset);
  if (!line) return "";
  const auto parsed = parser.parse(*line);
  const auto* job = std::get_if<JobView>(&parsed);
  if (job == nullptr || job->spec.high != entry.spec_prefix) return "";
  return entry.repeat == 0 ? std::string(job->id) : default_id(job->spec, entry.repeat);
}

std::string format_report(const VerifyReport& report, const std::string& jobs_path,
                          const std::string& results_path) {
  const ReplaySummary& results = report.results;
  std::string text = report.complete() ? "complete: " : "not complete: ";
  text += counted(report.jobs - report.missing, "job") + " of " + std::to_string(report.jobs) + " in " +
          printable(jobs_path) + (report.jobs - report.missing == 1 ? " has" : " have") + " a result in " +
          printable(results_path) + "\n";
  for (const Status status : {Status::kOk, Status::kFailed, Status::kTimeout, Status::kQuarantined}) {
    const std::uint64_t count = report.jobs_of(status);
    if (count > 0) text += std::string("  ") + name_of(status) + ": " + std::to_string(count) + "\n";
  }
  for (const VerifyReport::Missing& job : report.missing_first) {
    text += "  missing: line " + std::to_string(job.line) +
            (job.id.empty() ? "" : ", id " + printable(job.id)) +
            (job.changed ? " (its results are of other work)" : "") + "\n";
  }
  if (report.missing > report.missing_first.size()) {
    text += "  missing: " + std::to_string(report.missing - report.missing_first.size()) + " more\n";
  }
  if (results.superseded > 0) {
    text += "  superseded: " + counted(results.superseded, "line") + ", ids " +
            listed(report.superseded_first, results.superseded) + "\n";
  }
  if (results.removed > 0) {
    text += "  removed: " + counted(results.removed, "line") +
            " of ids that are not in the jobs file: " + listed(report.removed_first, results.removed) + "\n";
  }
  if (report.may_lack_defaults)
    text +=
        "  hint: if the run had --cwd, --env or --shell, give verify the same: they are part of the work\n";
  if (results.damaged > 0) text += damaged_text(results);
  if (results.torn_bytes > 0) {
    text += "  torn: the last " + counted(results.torn_bytes, "byte") + " are the beginning of a line\n";
  }
  return text;
}

std::string json_report(const VerifyReport& report, const std::optional<FileReport>& files,
                        const std::string& jobs_path, const std::string& results_path) {
  const ReplaySummary& results = report.results;
  const auto quoted = [](const std::string& id) {
    std::string text;
    JsonObject::append_text(text, id);
    return text;
  };
  JsonObject json;
  json.number("v", 1).text("jobs_file", jobs_path).text("results_file", results_path);
  json.truth("complete", report.complete()).number("jobs", report.jobs).number("missing", report.missing);
  for (const Status status : {Status::kOk, Status::kFailed, Status::kTimeout, Status::kQuarantined})
    json.number(name_of(status), report.jobs_of(status));
  json.raw("missing_first", json_array(report.missing_first, [](const VerifyReport::Missing& job) {
             JsonObject missing;
             missing.number("line", job.line);
             if (!job.id.empty()) missing.text("id", job.id);
             return missing.truth("other_work", job.changed).end();
           }));
  json.number("superseded", results.superseded);
  json.raw("superseded_first", json_array(report.superseded_first, quoted));
  json.number("removed", results.removed).raw("removed_first", json_array(report.removed_first, quoted));
  json.number("damaged", results.damaged);
  json.raw("damaged_lines",
           json_array(results.damaged_lines, [](std::uint64_t line) { return std::to_string(line); }));
  json.number("torn_bytes", results.torn_bytes);
  if (files) {
    json.number("files", files->files).number("files_bytes", files->bytes).number("files_bad", files->bad);
    json.raw("files_bad_first", json_array(files->bad_first, quoted));
  }
  return json.end();
}

namespace {

JsonObject incomplete(const VerifyOptions& options) {
  JsonObject json;
  json.number("v", 1).text("jobs_file", options.jobs).text("results_file", options.results);
  json.truth("complete", false);
  return json;
}

// One of the files cannot be read.
VerifyAnswer refusal(const VerifyOptions& options, ExitCode code, const std::string& problem) {
  if (!options.json) return {code, "workpool-dispatcher: " + problem};
  return {code, incomplete(options).text("problem", problem).end() + "\n", true};
}

VerifyAnswer bad_jobs(const VerifyOptions& options, const std::string& shown_path,
                      const IndexReport& report) {
  if (report.problem) return refusal(options, ExitCode::kBadInput, report.problem->message);
  if (!options.json) return {ExitCode::kBadInput, format_errors(shown_path, report)};
  JsonObject json = incomplete(options);
  add_errors(json, report);
  return {ExitCode::kBadInput, json.end() + "\n", true};
}

}  // namespace

VerifyAnswer verify(const VerifyOptions& options) {
  const auto opened = JobsInput::open(options.jobs);
  if (const auto* problem = std::get_if<JobsProblem>(&opened))
    return refusal(options, ExitCode::kBadInput, problem->message);
  const JobsInput& input = std::get<JobsInput>(opened);
  if (!input.regular()) {
    return refusal(
        options, ExitCode::kBadInput,
        printable(input.shown_path()) + ": verify needs a jobs file that can be read again, not a pipe");
  }
  const JobsForm form = form_of(input, options.jobs, options.format, options.defaults);
  JobIndex index;
  const IndexReport checked = index_jobs_file(input, form, index);
  if (!checked.ok()) return bad_jobs(options, input.shown_path(), checked);

  const auto results = open_to_read(options.results);
  if (const auto* why = std::get_if<std::string>(&results)) {
    return refusal(options, ExitCode::kNotAllOk,
                   "cannot read the results file " + printable(options.results) + ": " + *why);
  }
  BoundedLines lines(input.fd(), kLineBytesMax);
  JobLineParser parser(form.format, form.defaults);
  try {
    VerifyReport report = verify_results(index, std::get<Descriptor>(results).get(), [&](JobNumber number) {
      return id_of_job(index, number, lines, parser);
    });
    report.may_lack_defaults =
        !report.complete() && results_of_other_work(report) && !options.defaults.change_works();
    std::optional<FileReport> files;
    if (options.files) files = check_files(index, std::get<Descriptor>(results).get());
    const bool good = report.complete() && (!files || files->bad == 0);
    std::string text;
    if (options.json) {
      text = json_report(report, files, options.jobs, options.results) + "\n";
    } else {
      text = format_report(report, options.jobs, options.results);
      if (files) text += format_files(*files);
    }
    return {good ? ExitCode::kOk : ExitCode::kNotAllOk, std::move(text), true};
  } catch (const StoreError& error) {
    return refusal(options, ExitCode::kNotAllOk, error.message);
  }
}

}  // namespace workpool::dispatcher
