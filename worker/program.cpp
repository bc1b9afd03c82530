// SPDX-License-Identifier: MIT
#include "worker/program.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <variant>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/clock.h"
#include "common/io/console.h"
#include "common/io/flag_reader.h"
#include "common/io/freed_memory.h"
#include "common/io/guarded_process.h"
#include "common/io/join_key_source.h"
#include "common/io/log.h"
#include "worker/cli.h"
#include "worker/io/engine.h"
#include "worker/io/process/leftovers.h"
#include "worker/io/process/limits.h"
#include "worker/io/process/process_tree.h"
#include "worker/io/process/shared_page.h"
#include "worker/io/supervisor.h"

namespace workpool::worker {
namespace {

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

// Before anything else, so that no process and no thread of ours sees the variable.
std::optional<ExitCode> take_key(WorkerOptions& options, const ProgramNames& names, Console& console) {
  FoundJoinKey found = find_join_key(options.key_file, process_environment);
  if (const auto* fault = std::get_if<JoinKeyFault>(&found)) {
    console.line(names.worker + ": " + fault->message);
    return fault->code;
  }
  if (auto* key = std::get_if<JoinKey>(&found))
    options.key = std::make_shared<const JoinKey>(std::move(*key));
  if (options.key == nullptr || !options.insecure) return std::nullopt;
  console.line(names.worker +
               ": a key and --insecure: with --insecure no key is used; leave one of them out");
  return ExitCode::kUsage;
}

// A local worker runs what the same user typed on the same machine.
void warn_of_root(const WorkerOptions& options, Log& log) {
  if (options.allow_root || options.local() || ::geteuid() != 0) return;
  constexpr const char* kAdvice = "start the worker as a plain user; --allow-root silences this";
  log.write(LogLevel::kWarn, "jobs_run_as_root", {{"advice", kAdvice}},
            std::string("jobs run as root here: ") + kAdvice);
}

int serve(WorkerOptions options, const ProgramNames& names, Console& console) {
  if (const std::string missing = missing_for_process_trees(); !missing.empty()) {
    console.line(names.worker + ": cannot start (exit 71): " + missing);
    return exit_status(ExitCode::kSystem);
  }
  // Whoever sits at the terminal reads words; a file or a pipe, or who asks for a level, gets the log. What a
  // local worker says is printed by its dispatcher, which itself reports what goes as it should.
  const bool talks = options.log_level == "auto" && (options.local() || ::isatty(STDERR_FILENO) == 1);
  const LogLevel usual = options.local() ? LogLevel::kWarn : LogLevel::kInfo;
  Log log(console, log_level_named(options.log_level).value_or(usual), {},
          talks ? LogStyle::kWords : LogStyle::kEvents);
  const DescriptorLimit limit = raise_descriptor_limit();
  const std::uint32_t slots = slots_within(limit, options.slots, options.handlers.size());
  if (slots < options.slots) {
    constexpr const char* kReason = "the limit on open descriptors (ulimit -Hn) has no room for more";
    log.write(LogLevel::kWarn, "fewer_slots",
              {{"slots", slots}, {"asked_for", options.slots}, {"reason", kReason}},
              counted(slots, "slot") + " instead of " + std::to_string(options.slots) + ": " + kReason);
    options.slots = slots;
  }
  warn_of_root(options, log);
  mark_jobs_as_ours();
  if (const std::size_t killed = kill_leftovers(kLeftoversLimit); killed > 0) {
    constexpr const char* kWhose = "of jobs of a worker that was killed on this machine";
    log.write(LogLevel::kWarn, "leftovers_killed", {{"processes", killed}, {"detail", kWhose}},
              "killed what was left " + std::string(kWhose) + " (" + std::to_string(killed) + ")");
  }
  take_time_limit(options, log);
  SharedPage page(options.slots, options.handlers.empty() ? 0 : options.slots);
  const SupervisorOptions supervisor{&page,        &log, names.worker, options.parent_fd, hangup_is_ignored(),
                                     options.grace};
  return supervise(supervisor,
                   [&](const EngineBirth& birth) { return run_engine(options, limit, birth, log); });
}

// fork() copies the thread that calls it and no other.
std::string wrong_with_threads() {
  std::size_t threads = 0;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", error)) {
    threads += thread.is_directory() ? 1 : 0;
  }
  if (threads <= 1) return "";
  return "the program has " + std::to_string(threads) +
         " threads already, and a worker forks: start threads, and libraries that have some, in "
         "Worker::at_start()";
}

}  // namespace

int run_program(int argc, char** argv, const ProgramNames& names, const OwnCode& own) {
  const rlimit callers_core_limit = protect_process();
  keep_freed_memory();
  fill_standard_descriptors();
  // USR1 is for the dispatcher, and reaches us too if somebody sends it to all our programs; Ctrl-\ reaches
  // the whole terminal. Jobs get the defaults back.
  for (const int number : {SIGPIPE, SIGUSR1, SIGUSR2, SIGQUIT}) ::signal(number, SIG_IGN);
  Console console;
  try {
    CommandLine command = parse_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                                             process_environment, console, names, own);
    if (const auto* code = std::get_if<ExitCode>(&command)) return exit_status(*code);
    auto& options = std::get<WorkerOptions>(command);
    options.core_bytes = callers_core_limit.rlim_cur;
    if (const std::string wrong = wrong_with_threads(); !wrong.empty()) {
      console.line(names.worker + ": " + wrong);
      return exit_status(ExitCode::kUsage);
    }
    if (const auto code = take_key(options, names, console)) return exit_status(*code);
    return serve(std::move(options), names, console);
  } catch (const std::exception& error) {
    console.line(names.worker + ": " + error.what());
    return exit_status(ExitCode::kSystem);
  }
}

}  // namespace workpool::worker
