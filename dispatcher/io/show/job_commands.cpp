// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/job_commands.h"

#include <optional>
#include <utility>

#include "common/base/text.h"
#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/terminal/command_words.h"

namespace workpool::dispatcher {
namespace {

constexpr std::uint64_t kReadAheadBytes = 16 << 10;  // rows mostly follow one another in the jobs file, too

}  // namespace

std::variant<std::unique_ptr<JobsAtHand>, std::string> JobsAtHand::open(
    const std::string& path, const std::optional<JobsFormat>& format, const JobDefaults& defaults) {
  auto opened = JobsInput::open(path);
  if (auto* problem = std::get_if<JobsProblem>(&opened)) return problem->message;
  JobsInput& input = std::get<JobsInput>(opened);
  if (!input.regular()) return printable(path) + ": is not a regular file";
  JobsForm form = form_of(input, path, format, defaults);
  std::unique_ptr<JobsAtHand> jobs(new JobsAtHand(std::move(input), std::move(form)));
  const IndexReport report = index_jobs_file(jobs->input_, jobs->form_, jobs->index_);
  if (report.problem) return report.problem->message;
  if (!report.ok())
    return printable(path) + ": has " + counted(report.error_count, "error") + ", which check lists";
  return jobs;
}

JobsAtHand::Reader::Reader(const JobsAtHand& jobs)
    : jobs_(jobs), lines_(jobs.input_.fd(), kLineBytesMax), parser_(jobs.form_.format, jobs.form_.defaults) {}

std::string JobsAtHand::Reader::command_of(std::uint32_t job) {
  const JobIndex::Entry entry = jobs_.index_.entry(job);
  const std::optional<std::string_view> line = lines_.line_at(entry.offset, entry.offset + kReadAheadBytes);
  if (!line) return "";
  const auto parsed = parser_.parse(*line);
  const auto* read = std::get_if<JobView>(&parsed);
  if (read == nullptr || read->spec.high != entry.spec_prefix) return "";
  return command_text(read->work);
}

}  // namespace workpool::dispatcher
