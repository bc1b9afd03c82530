// SPDX-License-Identifier: MIT
// workpool-dispatcher: run, check, verify, show, status, keygen.
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "common/io/console.h"
#include "common/io/freed_memory.h"
#include "common/io/guarded_process.h"
#include "dispatcher/cli.h"
#include "dispatcher/io/check.h"
#include "dispatcher/io/keys/keygen.h"
#include "dispatcher/io/run.h"
#include "dispatcher/io/run_input.h"
#include "dispatcher/io/show/show.h"
#include "dispatcher/io/status/status.h"
#include "dispatcher/io/verify.h"

namespace {

using namespace workpool;
using namespace workpool::dispatcher;

ExitCode verify_command(const VerifyOptions& options, Console& console) {
  const VerifyAnswer answer = verify(options);
  if (!answer.is_report) {
    console.line(answer.text);
  } else if (!print_answer(answer.text, console)) {
    return ExitCode::kResultsFailed;
  }
  return answer.exit_code;
}

struct Dispatch {
  const std::vector<std::string>& command;
  Console& console;
  ExitCode operator()(ExitCode code) const { return code; }
  ExitCode operator()(const RunOptions& options) const {
    return options.dry_run ? print_jobs(*options.each, console) : run(options, command, console);
  }
  ExitCode operator()(const CheckOptions& options) const { return check(options, console); }
  ExitCode operator()(const VerifyOptions& options) const { return verify_command(options, console); }
  ExitCode operator()(const ShowOptions& options) const { return show(options, console); }
  ExitCode operator()(const StatusOptions& options) const { return status(options, console); }
  ExitCode operator()(const KeygenOptions& options) const { return keygen(options, console); }
};

}  // namespace

int main(int argc, char** argv) {
  const rlimit callers_core_limit = protect_process();
  keep_freed_memory();
  fill_standard_descriptors();
  ::signal(SIGPIPE, SIG_IGN);
  // Whoever started us may have left it ignored, which would hide the local worker's end.
  ::signal(SIGCHLD, SIG_DFL);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on the file's size is an error of the write, not our end
  Console console;
  try {
    CommandLine command = parse_command_line(argc, argv, console);
    if (auto* const options = std::get_if<RunOptions>(&command))
      options->core_bytes = callers_core_limit.rlim_cur;
    return exit_status(std::visit(Dispatch{std::vector<std::string>(argv, argv + argc), console}, command));
  } catch (const std::exception& error) {
    console.line(std::string("workpool-dispatcher: ") + error.what());
    return exit_status(ExitCode::kSystem);
  }
}
