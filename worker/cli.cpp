// SPDX-License-Identifier: MIT
#include "worker/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/base/address.h"
#include "common/base/job.h"
#include "common/base/manual.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/cores.h"
#include "common/io/flag_reader.h"
#include "common/io/program_lookup.h"
#include "common/wire/codec.h"
#include "worker/core/facts.h"
#include "worker/handlers/registry.h"
#include "worker/io/runner/runner.h"

namespace workpool::worker {

namespace {

constexpr std::uint32_t kSlotsMax = 65'535;
constexpr std::size_t kNameBytesMax = 64;
constexpr std::uint32_t kHandlerJobsMax = 1'000'000'000;

constexpr const char* kEpilogue = R"(Examples:
  workpool-worker tcp://127.0.0.1:5555                     a run of yours on this machine
  WORKPOOL_KEY=wp1-... workpool-worker tcp://10.0.0.5:5555     one elsewhere: as its dispatcher prints it
  workpool-worker tcp://dispatcher:5555 --key pool.key --label gpu --label big
  workpool-worker tcp://dispatcher:5555 --key pool.key --keep --idle 10m   for one run after the other

SIGTERM and Ctrl-C finish the running jobs; a second signal cancels them.

Exit codes: 0 the run is over, or stopped by a signal, --idle or --for; 2 wrong usage; 69 no
dispatcher for --orphan-grace; 71 the system lacks what running commands needs (/proc, processes,
files, memory); 76 the dispatcher speaks another protocol version; 77 refused for another reason, such
as a key that is missing, revoked or for another dispatcher; 78 an open dispatcher without --insecure,
or an unsafe key file.
)";

constexpr const char* kShortHelp = R"(usage: workpool-worker ADDRESS [flags]

Serves a dispatcher until its run is over.

Example: WORKPOOL_KEY=wp1-... workpool-worker tcp://10.0.0.5:5555

workpool-worker --help shows the flags, more examples and the exit codes.)";

// Says why `word` cannot be shown as it is (it must be UTF-8 without control characters, at most `bytes_max`
// bytes); "" if nothing is wrong.
std::string wrong_with_word(const std::string& word, std::size_t bytes_max) {
  if (word.empty()) return "is empty";
  if (word.size() > bytes_max) return "is too long: at most " + std::to_string(bytes_max) + " bytes";
  if (printable(word) != word) return "has bytes that do not print";
  return "";
}

Setter set_name(std::string& target) {
  return [&target](const std::string& value) -> std::string {
    target = value;
    return wrong_with_word(value, kNameBytesMax);
  };
}

Setter add_label(std::vector<std::string>& target) {
  return [&target](const std::string& value) -> std::string {
    const auto place = std::lower_bound(target.begin(), target.end(), value);
    if (place == target.end() || *place != value) target.insert(place, value);
    return wrong_with_word(value, kLabelBytesMax);
  };
}

Setter set_orphan_grace(OrphanGrace& target) {
  return [&target](const std::string& value) -> std::string {
    const auto duration = value == "inf" ? Duration::max() : parse_duration(value);
    if (!duration) return "is neither inf nor a duration such as 30s or 5m";
    target = {*duration, *duration};
    return "";
  };
}

Setter set_level(std::string& target) {
  return [&target](const std::string& value) -> std::string {
    if (value != "auto" && !set_log_level(target)(value).empty())
      return "is not a log level: auto, error, warn, info, debug or trace";
    target = value;
    return "";
  };
}

Setter set_idle(std::optional<Duration>& target) {
  return [&target](const std::string& value) -> std::string {
    const auto duration = parse_duration(value);
    if (!duration || duration->count() == 0) return "is not a duration above 0 such as 5m";
    target = *duration;
    return "";
  };
}

Setter set_lifetime(std::optional<Duration>& target) {
  return [&target](const std::string& value) -> std::string {
    const auto duration = value == "inf" ? Duration::max() : parse_duration(value);
    if (!duration) return "is neither inf nor a duration such as 4h or 1h30m";
    target = *duration;
    return "";
  };
}

Setter set_dispatcher(Address& target) {
  return [&target](const std::string& value) -> std::string {
    const auto address = parse_address(value);
    if (!address || address->host == "*")
      return "is not an address such as tcp://10.0.0.5:5555 or tcp://[::1]:5555";
    target = *address;
    return "";
  };
}

Setter set_key_file(std::optional<std::string>& target) {
  return [&target](const std::string& value) -> std::string {
    if (value.empty()) return "is empty: name a file";
    target = value;
    return "";
  };
}

Setter set_descriptor(int& target) {
  return [&target](const std::string& value) -> std::string {
    std::uint32_t number = 0;
    if (!set_number(number, 0, 1U << 20)(value).empty() || ::fcntl(static_cast<int>(number), F_GETFD) == -1) {
      return "is no open descriptor";
    }
    target = static_cast<int>(number);
    return "";
  };
}

// A host name may hold any bytes, but a worker's name must be printable.
std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0 || buffer[0] == '\0') return "worker";
  const std::string name = printable(buffer.data());
  return std::string(utf8_prefix(name, kNameBytesMax));
}

// A dispatcher never answers a HELLO over its size limit. The size is measured with the largest numbers that
// a HELLO can hold. Returns "" if it fits.
std::string wrong_with_hello(const WorkerOptions& options) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  const Hello hello{kProtocol,
                    WORKPOOL_VERSION,
                    {std::numeric_limits<std::uint64_t>::max()},
                    kMost,
                    kMost,
                    options.name,
                    options.slots,
                    Runner::handler_types(options.handlers, options.own.handlers.get()),
                    options.labels};
  std::string frame;
  encode(RegistrationRequest{hello}, frame);
  if (frame.size() <= kHelloBytesMost) return "";
  std::size_t label_bytes = 0;
  for (const std::string& label : options.labels) label_bytes += label.size();
  if (options.labels.empty())
    return std::to_string(options.handlers.size()) +
           " handlers are too many: registering with them would take " + std::to_string(frame.size()) +
           " bytes, the limit is " + std::to_string(kHelloBytesMost) +
           "; give fewer --handler, or shorter names";
  return std::to_string(options.labels.size()) + " labels of " + std::to_string(label_bytes) +
         " bytes are too many: registering with them would take " + std::to_string(frame.size()) +
         " bytes, the limit is " + std::to_string(kHelloBytesMost) + "; give fewer or shorter --label";
}

// A program cannot take the name of a handler that is part of this program.
std::string name_taken_by_own(const WorkerOptions& options) {
  for (const HandlerProgram& program : options.handlers) {
    if (options.own.handlers != nullptr && options.own.handlers->find(program.name) != nullptr)
      return "--handler takes the name of a handler that this program has itself (" + program.name +
             "): choose another name";
  }
  return "";
}

std::vector<Flag> flags_of(WorkerOptions& options, std::optional<std::uint32_t>& slots) {
  return {
      {"slots", 'j', "N", "how many jobs run at once", "number of usable cores",
       set_number(slots, 1, kSlotsMax)},
      {"name", 0, "NAME", "what the dispatcher calls this worker; at most 64 bytes", "the host name",
       set_name(options.name)},
      {"label", 0, "NAME",
       "something that jobs can ask for; at most 64 bytes; can be given several times (in WORKPOOL_LABEL "
       "separated by commas)",
       "", add_label(options.labels), true},
      {"handler", 0, "NAME=COMMAND",
       "a program that runs the jobs of type NAME: it stays, reads a request a line and writes an answer a "
       "line (docs/handlers.md); can be given several times",
       "", add_handler(options.handlers), true, false, false},
      {"handler-jobs", 0, "N", "start the program of a handler anew after N jobs", "no limit",
       set_number(options.handler_jobs, 1, kHandlerJobsMax)},
      {"key", 0, "FILE",
       "a file with the key that the dispatcher prints, - for stdin; or set WORKPOOL_KEY to the key itself; "
       "a run of this user on this machine needs none",
       "", set_key_file(options.key_file), false, false, false},
      {"insecure", 0, "",
       "without a key: whoever answers at ADDRESS can run anything here; only on networks that you trust", "",
       set_switch(options.insecure)},
      {"allow-new-privs", 0, "",
       "let jobs gain rights through setuid programs such as sudo, which fail without this", "",
       set_switch(options.allow_new_privs)},
      {"allow-root", 0, "", "do not warn of jobs that run as root", "", set_switch(options.allow_root)},
      {"orphan-grace", 0, "D",
       "how long to go on without a dispatcher; 0 leaves at once, inf waits without limit",
       "60s after the first contact, no limit before it", set_orphan_grace(options.orphan_grace)},
      {"grace", 0, "D", "how long running jobs may finish after SIGTERM", "25s", set_duration(options.grace)},
      {"keep", 0, "", "when the run is over, wait for the next one at the same address", "",
       set_switch(options.keep)},
      {"idle", 0, "D", "leave when there was nothing to do for so long", "no limit", set_idle(options.idle)},
      {"for", 0, "D",
       "be gone after so long: near the end take only jobs that can still be done, by their timeout, or "
       "else by twice the median run time so far; inf for no limit",
       "until SLURM_JOB_END_TIME if that is set", set_lifetime(options.lifetime)},
      {"log-level", 0, "LEVEL", "auto, error, warn, info, debug (each job) or trace (each message)",
       "auto: info, in plain words on a terminal", set_level(options.log_level)},
      {"local-parent", 0, "FD", "", "", set_descriptor(options.parent_fd), false, true},
      {"lock", 0, "FD", "", "", set_descriptor(options.lock_fd), false, true},
  };
}

CommandTable table_of(WorkerOptions& options, std::optional<std::uint32_t>& slots,
                      const ProgramNames& names) {
  return {names.worker,
          "ADDRESS [flags]",
          "Runs jobs for the dispatcher at ADDRESS, such as tcp://10.0.0.5:5555 or tcp://[::1]:5555, until "
          "the run is over. It does not matter which of the two is started first.",
          {{"ADDRESS", set_dispatcher(options.dispatcher)}},
          flags_of(options, slots),
          with_names(kEpilogue, names)};
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment,
                               Console& console, const ProgramNames& names, const OwnCode& own) {
  if (arguments.empty()) {
    console.line(with_names(kShortHelp, names));
    return ExitCode::kUsage;
  }
  WorkerOptions options;
  options.own = own;
  std::optional<std::uint32_t> slots;
  // Its part of the page of the manual.
  if (arguments.front() == "--man") {
    const std::string section = manual_section(table_of(options, slots, names_from("workpool")));
    return print_help(section) ? ExitCode::kOk : ExitCode::kResultsFailed;
  }
  const CommandTable table = table_of(options, slots, names);
  if (const auto code = run_table(table, arguments, environment, console)) return *code;
  if (!own.wrong.empty()) {
    console.line(names.worker + ": " + own.wrong);
    return ExitCode::kUsage;
  }
  options.slots = slots ? *slots : usable_cores();
  if (options.name.empty()) options.name = host_name();
  std::string wrong = wrong_with_hello(options);
  if (wrong.empty()) wrong = name_taken_by_own(options);
  if (wrong.empty()) wrong = missing_program(options.handlers);
  if (!wrong.empty()) {
    console.line(names.worker + ": " + wrong + " (see --help)");
    return ExitCode::kUsage;
  }
  // What runs is given --grace, and then time to end.
  if (options.lifetime && *options.lifetime <= options.grace + kKillTime) {
    console.line(names.worker + ": --for " + format_duration(*options.lifetime) +
                 " leaves no time for jobs: it must be over " + format_duration(kKillTime) +
                 " longer than --grace, which is " + format_duration(options.grace) + " (see --help)");
    return ExitCode::kUsage;
  }
  return options;
}

}  // namespace workpool::worker
