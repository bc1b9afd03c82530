// SPDX-License-Identifier: MIT
// workpool-worker: serves a dispatcher. Reads the command line, then becomes the supervisor; the engine is
// its child.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>
#include <variant>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/clock.h"
#include "common/io/console.h"
#include "common/io/freed_memory.h"
#include "common/io/log.h"
#include "worker/cli.h"
#include "worker/io/engine.h"
#include "worker/io/process/leftovers.h"
#include "worker/io/process/limits.h"
#include "worker/io/process/process_tree.h"
#include "worker/io/process/shared_page.h"
#include "worker/io/supervisor.h"

namespace {

using namespace workpool;
using namespace workpool::worker;

bool hangup_is_ignored() {
  struct sigaction before {};
  return ::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler == SIG_IGN;
}

// A process that the kernel cannot end in that time (a dead NFS server) is left to the next worker.
constexpr Duration kLeftoversLimit = seconds(5);

// Slurm says in seconds since 1970 when it will kill the job step.
std::optional<Duration> left_by_slurm() {
  const char* const text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const long long at = std::strtoll(text, &end, 10);
  const long long now = static_cast<long long>(std::time(nullptr));
  // Anything else is not of Slurm, or is left over from a job that has ended, or lies a year ahead: no limit.
  if (end == text || *end != '\0' || at <= now || at > now + 366LL * 86'400) return std::nullopt;
  return seconds(at - now);
}

void take_time_limit(WorkerOptions& options, Log& log) {
  if (!options.lifetime && !options.local()) {
    options.lifetime = left_by_slurm();
    if (options.lifetime)
      log.write(LogLevel::kInfo, "time_limit",
                {{"for", format_duration(*options.lifetime)}, {"from", "SLURM_JOB_END_TIME"}},
                "will be gone in " + format_duration(*options.lifetime) + ", when its Slurm job ends");
  }
  if (options.lifetime && *options.lifetime != Duration::max())
    options.leave_at = boot_time() + *options.lifetime;
}

int serve(WorkerOptions options, Console& console) {
  if (const std::string missing = missing_for_process_trees(); !missing.empty()) {
    console.line("workpool-worker: cannot start (exit 71): " + missing);
    return exit_status(ExitCode::kSystem);
  }
  // Whoever sits at the terminal reads words; a file or a pipe, or who asks for a level, gets the log. What a
  // local worker says is printed by its dispatcher, which itself reports what goes as it should.
  const bool talks = options.log_level == "auto" && (options.local() || ::isatty(STDERR_FILENO) == 1);
  const LogLevel usual = options.local() ? LogLevel::kWarn : LogLevel::kInfo;
  Log log(console, log_level_named(options.log_level).value_or(usual), {},
          talks ? LogStyle::kWords : LogStyle::kEvents);
  const DescriptorLimit limit = raise_descriptor_limit();
  const std::uint32_t slots = slots_within(limit, options.slots);
  if (slots < options.slots) {
    constexpr const char* kReason = "the limit on open descriptors (ulimit -Hn) has no room for more";
    log.write(LogLevel::kWarn, "fewer_slots",
              {{"slots", slots}, {"asked_for", options.slots}, {"reason", kReason}},
              counted(slots, "slot") + " instead of " + std::to_string(options.slots) + ": " + kReason);
    options.slots = slots;
  }
  mark_jobs_as_ours();
  if (const std::size_t killed = kill_leftovers(kLeftoversLimit); killed > 0) {
    constexpr const char* kWhose = "of jobs of a worker that was killed on this machine";
    log.write(LogLevel::kWarn, "leftovers_killed", {{"processes", killed}, {"detail", kWhose}},
              "killed what was left " + std::string(kWhose) + " (" + std::to_string(killed) + ")");
  }
  take_time_limit(options, log);
  SharedPage page(options.slots);
  const SupervisorOptions supervisor{&page, &log, options.parent_fd, hangup_is_ignored(), options.grace};
  return supervise(supervisor,
                   [&](const EngineBirth& birth) { return run_engine(options, limit, birth, log); });
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  fill_standard_descriptors();
  // USR1 is for the dispatcher, and reaches us too if somebody sends it to all our programs; Ctrl-\ reaches
  // the whole terminal. Jobs get the defaults back.
  for (const int number : {SIGPIPE, SIGUSR1, SIGUSR2, SIGQUIT}) ::signal(number, SIG_IGN);
  Console console;
  try {
    CommandLine command = parse_command_line(argc, argv, console);
    if (const auto* code = std::get_if<ExitCode>(&command)) return exit_status(*code);
    return serve(std::move(std::get<WorkerOptions>(command)), console);
  } catch (const std::exception& error) {
    console.line(std::string("workpool-worker: ") + error.what());
    return exit_status(ExitCode::kSystem);
  }
}
