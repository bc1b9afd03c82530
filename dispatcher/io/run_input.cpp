// SPDX-License-Identifier: MIT
#include "dispatcher/io/run_input.h"

#include <unistd.h>

#include <string_view>
#include <utility>
#include <variant>

#include "dispatcher/io/jobs/file_source.h"
#include "dispatcher/io/jobs/jobs_change.h"
#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/jobs/pipe_source.h"

namespace workpool::dispatcher {
namespace {

JobsInput taken(std::variant<JobsInput, JobsProblem>&& opened, Console& console) {
  if (const auto* problem = std::get_if<JobsProblem>(&opened)) {
    console.line("workpool-dispatcher: " + problem->message);
    throw Ended{ExitCode::kBadInput};
  }
  return std::move(std::get<JobsInput>(opened));
}

JobsInput open_jobs(const std::string& path, Console& console) {
  return taken(JobsInput::open(path), console);
}

EachJobs open_each(const EachOptions& options, Console& console) {
  for (const EachSource& source : options.sources) {
    if (source.path == "-" && ::isatty(STDIN_FILENO) == 1)
      console.line("workpool each: reading values from this terminal, one a line; Ctrl-D ends them");
  }
  auto opened = EachJobs::open(options);
  if (const auto* refused = std::get_if<EachJobs::Refused>(&opened)) {
    console.line("workpool each: " + refused->message + (refused->bad_command ? " (see --help)" : ""));
    throw Ended{refused->bad_command ? ExitCode::kUsage : ExitCode::kBadInput};
  }
  return std::move(std::get<EachJobs>(opened));
}

std::unique_ptr<EachFeeder> feeder_for(const RunOptions& options, Console& console) {
  return options.each ? std::make_unique<EachFeeder>(open_each(*options.each, console)) : nullptr;
}

}  // namespace

RunInput::RunInput(const RunOptions& options, Console& console)
    : path_(options.jobs),
      format_(options.each ? JobsFormat::kJsonLines : options.format),
      defaults_(options.defaults),
      feeder_(feeder_for(options, console)),
      input_(feeder_ ? feeder_->take_input() : open_jobs(options.jobs, console)) {
  if (regular()) form_ = form_of(input_, path_, format_, defaults_);
}

void RunInput::index(JobIndex& index, Console& console) const {
  if (!regular()) {
    index.seal();
    return;
  }
  const IndexReport report = index_jobs_file(input_, *form_, index);
  if (report.ok()) return;
  console.line(format_errors(input_.shown_path(), report));
  throw Ended{ExitCode::kBadInput};
}

bool RunInput::changed(const JobIndex& index) const {
  return regular() && jobs_changed(input_, path_, form_->format, defaults_, index);
}

std::unique_ptr<JobSource> RunInput::source(const JobIndex& index, const JobIntake& intake,
                                            std::function<void()> wake,
                                            std::function<void(std::uint64_t line)> skipped) const {
  if (regular()) return std::make_unique<FileSource>(input_.fd(), *form_, index, std::move(wake));
  PipeListener listener;
  listener.skipped = std::move(skipped);
  if (feeder_) listener.problem = [this] { return feeder_->problem(); };
  return std::make_unique<PipeSource>(input_.fd(), format_, defaults_, intake, std::move(wake),
                                      std::move(listener));
}

ExitCode print_jobs(const EachOptions& options, Console& console) {
  try {
    EachJobs jobs = open_each(options, console);
    std::string lines;
    if (const auto& limits = options.setting.defaults.limits; limits && !limits->empty())
      lines = "{\"limits\":" + limits->json() + "}\n";
    bool closed = false;  // by whoever read it, such as head: that is no error
    const auto print = [&] {
      const bool printed = lines.empty() || print_answer(lines, console, &closed);
      lines.clear();
      return printed;
    };
    bool printed = true;
    const BeforeWait before_wait = [&](int) { return printed = printed && print(); };
    while (printed && jobs.next(lines, before_wait)) {
      if (lines.size() >= 64 * 1024) printed = print();
    }
    if (!printed || !print()) return closed ? ExitCode::kOk : ExitCode::kResultsFailed;
    if (jobs.problem().empty()) return ExitCode::kOk;
    console.line("workpool each: " + jobs.problem());
    return ExitCode::kBadInput;
  } catch (const Ended& ended) {
    return ended.code;
  }
}

std::string advice_on(int error) {
  if (error == EMFILE) return ": allow more open files (ulimit -n)";
  if (error == EAGAIN || error == ENOMEM) return ": allow more processes or memory (ulimit -u, ulimit -v)";
  return {};
}

ExitCode refused_by_system(const std::system_error& error, Console& console) {
  console.line(std::string("workpool-dispatcher: ") + error.what() + advice_on(error.code().value()));
  return ExitCode::kSystem;
}

}  // namespace workpool::dispatcher
