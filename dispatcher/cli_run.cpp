// SPDX-License-Identifier: MIT
#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "common/base/address.h"
#include "common/base/outcome.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/program_lookup.h"
#include "common/io/whole_file.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_values.h"
#include "dispatcher/io/results/results_path.h"

namespace workpool::dispatcher {

namespace {

constexpr std::uint32_t kSlotsMax = 65'535;
constexpr std::uint32_t kHandlerJobsMax = 1'000'000'000;
constexpr std::uint32_t kRetriesMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kCountMax = std::numeric_limits<std::uint32_t>::max();

constexpr const char* kRunEpilogue = R"(Examples:
  workpool-dispatcher run jobs.jsonl                        on all cores of this machine
  workpool-dispatcher run jobs.txt -o out.jsonl --local 4   one shell command a line, 4 at a time
  seq 1000 | jq -c '{cmd: ["factor", tostring]}' | workpool-dispatcher run - -o factors.jsonl
  workpool-dispatcher run jobs.jsonl --listen tcp://0.0.0.0:5555
                                                            workers on other machines join
The same command again continues: jobs that have a result are skipped.

Exit codes: 0 all jobs ok; 1 some jobs not ok; 2 wrong usage; 65 bad jobs file; 71 cannot listen,
or the system refuses what a run needs, or the local worker cannot work; 73 RESULTS belongs to
another jobs file; 74 RESULTS, or the file of --summary, cannot be written; 75 RESULTS in use; 78
unsafe key file; 130/143 stopped by a signal with jobs left.
)";

Setter set_listen(std::optional<Address>& target) {
  return [&target](const std::string& value) -> std::string {
    target = parse_address(value, true);
    return target && !is_folder(target->host)
               ? ""
               : "is not an address such as tcp://0.0.0.0:5555 or tcp://[::1]:5555";
  };
}

Setter set_ports(RunOptions& options) {
  return [&options](const std::string& value) -> std::string {
    const char* end = value.data() + value.size();
    std::uint16_t low = 0;
    std::uint16_t high = 0;
    const auto first = std::from_chars(value.data(), end, low);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-')
      return "is not a range such as 6000-6099";
    const auto second = std::from_chars(first.ptr + 1, end, high);
    if (second.ec != std::errc() || second.ptr != end || low == 0) return "is not a range such as 6000-6099";
    if (low >= high) return "is not a range of two ports or more: one for results and one for each worker";
    options.ports_low = low;
    options.ports_high = high;
    return "";
  };
}

// "64KiB", "failed" or "failed:1MiB".
Setter set_capture(RunOptions& options) {
  return [&options](const std::string& value) -> std::string {
    const bool failed_only = value == "failed" || value.starts_with("failed:");
    if (value != "failed") {
      const auto size = parse_size(failed_only ? value.substr(value.find(':') + 1) : value);
      if (!size) return "is neither a size such as 64KiB or 1MiB, nor failed, nor failed:SIZE";
      if (*size > kCaptureBytesMax) return "is too large: at most 16MiB; files hold more (--stdout FILE)";
      options.capture_bytes = *size;
    }
    options.capture_failed_only = failed_only;
    return "";
  };
}

Setter set_path(JobDefaults& defaults, void (JobDefaults::*set)(std::string_view)) {
  return [&defaults, set](const std::string& value) -> std::string {
    std::string wrong = default_path_fault(value);
    if (wrong.empty()) (defaults.*set)(value);
    return wrong;
  };
}

Setter set_timeout(std::optional<Duration>& target) {
  return [&target](const std::string& value) -> std::string { return set_duration(target.emplace())(value); };
}

// "20" or "5%"; the last one given counts.
Setter set_max_fails(RunOptions& options) {
  return [&options](const std::string& value) -> std::string {
    const bool percent = value.ends_with('%');
    std::optional<std::uint32_t> number;
    if (!set_number(number, 1, percent ? 100 : kCountMax)(value.substr(0, value.size() - percent)).empty())
      return "is neither a number of jobs from 1 on nor a part such as 5%; 1 stops at the first one";
    options.max_fails = percent ? std::nullopt : number;
    options.max_fails_percent = percent ? number : std::nullopt;
    return "";
  };
}

std::vector<Flag> worker_flags(RunOptions& options) {
  return {
      {"local", 0, "N", "slots of the local worker", "number of usable cores; 0 with --listen",
       set_number(options.local, 0, kSlotsMax)},
      {"jobs", 'j', "N",
       "how many jobs the local worker runs at once: N, 200%, +1 or -1 (of the cores), 0 (many)",
       "number of usable cores; 0 with --listen", set_jobs(options.local)},
      {"listen", 0, "ADDRESS",
       "let workers on other machines join at this address, such as tcp://0.0.0.0:5555", "",
       set_listen(options.listen)},
      {"ports", 0, "LO-HI", "ports for results (one) and jobs (one per worker), for firewalls",
       "any free ports", set_ports(options)},
      {"key", 0, "FILE", "a file of keys, made by keygen: whoever has one of them can join",
       "RESULTS.key, made at the first start", set_text(options.key), false, false, false},
      {"insecure", 0, "", "ask nobody for a key, and do not encrypt: only on networks that you trust", "",
       set_switch(options.insecure)},
      {"handler", 0, "NAME=COMMAND",
       "a program of the local worker that runs the jobs of type NAME: it stays, reads a request a line and "
       "writes an answer a line (docs/handlers.md); can be given several times",
       "", add_handler(options.handlers), true, false, false},
      {"handler-jobs", 0, "N", "start the program of a handler anew after N jobs", "no limit",
       set_number(options.handler_jobs, 1, kHandlerJobsMax)},
      {"allow-new-privs", 0, "",
       "let jobs of the local worker gain rights through setuid programs such as sudo, which fail without "
       "this",
       "", set_switch(options.allow_new_privs)},
      {"worker-timeout", 0, "D", "a worker that is silent for this long is lost; at least 2s", "10s",
       set_duration(options.worker_timeout, seconds(2))},
      {"unsatisfiable-after", 0, "D",
       "end the run if for this long no connected worker could run any remaining job",
       "60s, or 2s without --listen", set_timeout(options.unsatisfiable_after)},
      {"crash-limit", 0, "N",
       "a job that was running in this many worker crashes runs alone, and is quarantined if that crashes "
       "too",
       "3", set_number(options.crash_limit, 1, 1000)},
  };
}

}  // namespace

std::vector<Flag> run_flags(RunOptions& options) {
  static constexpr std::array<std::pair<std::string_view, Durability>, 2> kDurabilities = {
      {{"sync", Durability::kSync}, {"os", Durability::kOs}}};
  static constexpr std::array<std::pair<std::string_view, Progress>, 4> kProgress = {
      {{"auto", Progress::kAuto},
       {"bar", Progress::kBar},
       {"plain", Progress::kPlain},
       {"none", Progress::kNone}}};
  std::vector<Flag> flags = {
      {"results", 'o', "FILE", "where results go, one JSON line per job; - is stdout",
       "JOBS with its ending replaced by .results.jsonl; from a pipe nothing is recorded, and what jobs "
       "write is "
       "printed",
       set_stream(options.results, 1)},
      {"overwrite", 0, "", "discard RESULTS and start again", "", set_switch(options.overwrite)},
      {"retry-failed", 0, "", "also run jobs again whose result in RESULTS is not ok", "",
       set_switch(options.retry_failed)},
      format_flag(options.format),
      {"retries", 0, "N", "how often a job that fails or times out is tried again, for jobs without retries",
       "0", set_number(options.defaults.retries, 0, kRetriesMax)},
      {"timeout", 0, "D", "limit for each attempt, for jobs without timeout; 0 is no limit", "none",
       set_timeout(options.defaults.timeout)},
      rate_flag(options.defaults),
      {"max-fails", 0, "N|P%",
       "stop once N jobs, or P% of those that have ended, are not ok: nothing new starts, what runs is "
       "finished",
       "no limit", set_max_fails(options)},
      {"until-ok", 0, "N", "stop in the same way once N jobs are ok, and exit with 0", "all jobs",
       set_number(options.until_ok, 1, kCountMax)},
      {"capture", 0, "SIZE",
       "how much of stdout, and of stderr, is kept: half from the start, half from the end; at most 16MiB; "
       "failed or failed:SIZE: only of jobs that are not ok",
       "64KiB; 16MiB where what jobs write is printed", set_capture(options)},
      {"durability", 0, "sync|os",
       "sync: a result counts once it is on disk; os: once the operating system has taken it",
       "sync; os if RESULTS is not a regular file", set_choice(options.durability, kDurabilities)},
      {"grace", 0, "D", "how long running jobs may finish after SIGTERM", "30s", set_duration(options.grace)},
  };
  for (Flag& flag : worker_flags(options)) flags.push_back(std::move(flag));
  flags.push_back({"progress", 0, "auto|bar|plain|none", "bar: one live line; plain: a line every 10 s",
                   "auto: bar on a terminal, else plain", set_choice(options.progress, kProgress)});
  flags.push_back({"summary", 0, "FILE", "write how the run ended here, as one JSON object", "",
                   set_text(options.summary)});
  flags.push_back({"log-level", 0, "LEVEL", "error, warn, info, debug (each job) or trace (each message)",
                   "info", set_log_level(options.log_level)});
  return flags;
}

namespace {

// What a path (or `-`, for that descriptor) is right now; nullopt if it does not exist.
std::optional<struct stat> look_at(const std::string& path, int descriptor_of_dash) {
  struct stat info {};
  const int result = path == "-" ? ::fstat(descriptor_of_dash, &info) : ::stat(path.c_str(), &info);
  if (result != 0) return std::nullopt;
  return info;
}

// Only regular files count: on a terminal stdin and stdout are one file, too.
bool same_file(const std::optional<struct stat>& a, const std::optional<struct stat>& b) {
  return a && b && S_ISREG(a->st_mode) && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

// It is replaced, so it must be nothing that is still needed.
std::string wrong_with_summary(const RunOptions& options, const std::optional<struct stat>& jobs) {
  if (options.summary.empty()) return "";
  if (options.summary == "-") return "--summary: name a file; /dev/stdout and /dev/stderr are files, too";
  const auto summary = look_at(options.summary, 1);
  const auto is = [&](const std::string& path, int descriptor) {
    return options.summary == path || same_file(summary, look_at(path, descriptor));
  };
  const std::string shown = "--summary: " + printable(options.summary, 200);
  if (options.summary == options.jobs || same_file(summary, jobs)) return shown + " is JOBS";
  if (is(options.results, 1)) return shown + " is RESULTS";
  if (is(options.results + ".state", 1) || is(options.results + ".key", 1))
    return shown + " belongs to RESULTS";
  for (const EachSource& source : options.each ? options.each->sources : std::vector<EachSource>()) {
    if (source.is_file && is(source.path, 0)) return shown + " has the values of the jobs";
  }
  if (descriptor_named(options.summary)) return "";
  for (const auto& [descriptor, name] : {std::pair(1, "stdout"), std::pair(2, "stderr")}) {
    if (same_file(summary, look_at("-", descriptor)))
      return shown + " is the file that " + name + " goes to; /dev/" + name + " writes to its end";
  }
  return "";
}

std::string settle_results(RunOptions& options) {
  const auto jobs = look_at(options.jobs, 0);
  // A missing file and a folder are refused with 65 when they are opened.
  const bool pipe = options.jobs == "-" || (jobs && !S_ISREG(jobs->st_mode) && !S_ISDIR(jobs->st_mode));
  if (options.results.empty()) {
    options.results = pipe ? "/dev/null" : default_results(options.jobs);
    if (pipe && !options.output) options.output.emplace();
    // What is printed is to be whole.
    if (pipe && !options.capture_bytes) options.capture_bytes = kCaptureBytesMax;
  }
  if (options.results == options.jobs && options.jobs != "-" && options.jobs != "/dev/null") {
    return "--results: RESULTS and JOBS are the same file, " + printable(options.jobs, 200);
  }
  if (same_file(jobs, look_at(options.results, 1))) {
    return "--results: RESULTS (" + printable(options.results, 200) + ") and JOBS (" +
           printable(options.jobs, 200) + ") are the same file";
  }
  for (const char* ending : {".state", ".key"}) {
    if (options.results == "-" || !same_file(jobs, look_at(options.results + ending, 1))) continue;
    return "--results: " + printable(options.results, 200) + ending + " would be JOBS";
  }
  if (options.results != "-" && same_file(look_at(options.results, 1), look_at("-", 2))) {
    return "--results: RESULTS (" + printable(options.results, 200) +
           ") is the file that stderr goes to: results and messages would overwrite each other";
  }
  if (options.output && options.results != "-" && same_file(look_at(options.results, 1), look_at("-", 1))) {
    return "--results: RESULTS (" + printable(options.results, 200) +
           ") is the file that stdout goes to: results and what jobs write would overwrite each other";
  }
  if (std::string wrong = wrong_with_summary(options, jobs); !wrong.empty()) return wrong;
  for (const EachSource& source : options.each ? options.each->sources : std::vector<EachSource>()) {
    if (!source.is_file) continue;
    const auto values = look_at(source.path, 0);
    if (same_file(values, look_at(options.results, 1)) ||
        (options.results != "-" && same_file(values, look_at(options.results + ".state", 1))))
      return "--results: " + printable(options.results, 200) + " would overwrite the values of " +
             printable(source.path, 200);
  }
  return "";
}

CommandTable table_of(RunOptions& options, const ProgramNames& names) {
  std::vector<Flag> flags = run_flags(options);
  flags.push_back(limit_flag(options.defaults));
  for (Flag& flag : default_flags(options.defaults)) flags.push_back(std::move(flag));
  for (Flag& flag : file_flags(set_path(options.defaults, &JobDefaults::set_output),
                               set_path(options.defaults, &JobDefaults::set_errors)))
    flags.push_back(std::move(flag));
  return {names.dispatcher + " run",
          "JOBS [-o RESULTS] [flags]",
          "Runs a jobs file (or - for stdin) to the end and records one result per job. "
          "Without --listen it starts one local worker itself.",
          {{"JOBS", set_stream(options.jobs, 0)}},
          std::move(flags),
          with_names(kRunEpilogue, names)};
}

}  // namespace

CommandTable describe_run(const ProgramNames& names) {
  RunOptions none;
  return table_of(none, names);
}

CommandLine parse_run(const Invocation& given) {
  RunOptions options;
  options.names = given.names;
  const CommandTable table = table_of(options, given.names);
  if (const auto code = read_command(table, given)) return *code;
  return finish_run(std::move(options), "", table, given);
}

CommandLine finish_run(RunOptions options, std::string wrong, const CommandTable& table,
                       const Invocation& given) {
  if (wrong.empty()) wrong = settle_results(options);
  if (wrong.empty() && options.local == 0U && !options.listen) {
    wrong = "--local 0 without --listen: nothing could ever run";
  }
  const bool has_local = options.local ? *options.local > 0 : !options.listen.has_value();
  if (wrong.empty() && !options.handlers.empty() && !has_local)
    wrong =
        "--handler is for the local worker, and there is none: give it to the workers that join, or add "
        "--local N";
  if (wrong.empty()) wrong = missing_program(options.handlers);
  // Not as the problem of a flag, which would show its value.
  if (wrong.empty() && options.key.starts_with("wp1-"))
    wrong =
        "--key takes a file of keys, made by keygen; a key on the command line can be seen by everyone (ps)";
  if (wrong.empty() && !options.key.empty() && options.insecure)
    wrong = "--key and --insecure: with --insecure nobody is asked for a key";
  if (wrong.empty() && !options.key.empty() && !options.listen)
    wrong = "--key without --listen: nobody can join";
  if (!wrong.empty()) {
    given.console.line(table.program + ": " + wrong + " (see --help)");
    return ExitCode::kUsage;
  }
  return options;
}

}  // namespace workpool::dispatcher
