// SPDX-License-Identifier: MIT
#include "dispatcher/cli_values.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "common/base/text.h"
#include "common/io/cores.h"

namespace workpool::dispatcher {

// A path. The other names of stdin (0) or stdout (1) mean `-`, also if the shell has put a file there.
Setter set_stream(std::string& target, int descriptor) {
  return [&target, descriptor](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    const std::string number = std::to_string(descriptor);
    const bool is_stream = value == (descriptor == 0 ? "/dev/stdin" : "/dev/stdout") ||
                           value == "/dev/fd/" + number || value == "/proc/self/fd/" + number;
    target = is_stream ? "-" : value;
    return "";
  };
}

namespace {

constexpr std::uint32_t kJobsMost = 65'535;
// What `-j 0` means: a worker takes fewer if the system has no room for so many.
constexpr std::uint32_t kAsManyAsPossible = 1'000;

Setter set_folder(JobDefaults& defaults) {
  return [&defaults](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    defaults.set_cwd(value);
    return "";
  };
}

Setter add_variable(JobDefaults& defaults) {
  return [&defaults](const std::string& value) -> std::string {
    const std::size_t equals = value.find('=');
    const std::string name = value.substr(0, equals);
    if (name.empty()) return "is neither NAME nor NAME=VALUE";
    const char* const ours = std::getenv(name.c_str());
    if (equals == std::string::npos && ours == nullptr) return "is not set here; give NAME=VALUE";
    const std::string text = equals == std::string::npos ? ours : value.substr(equals + 1);
    if (!is_utf8(name) || !is_utf8(text)) return "is not UTF-8";
    defaults.set_variable(name, text);
    return "";
  };
}

Setter set_format(std::optional<JobsFormat>& target) {
  static constexpr std::array<std::pair<std::string_view, JobsFormat>, 2> kFormats = {
      {{"jsonl", JobsFormat::kJsonLines}, {"lines", JobsFormat::kLines}}};
  return set_choice(target, kFormats);
}

}  // namespace

Setter set_jobs(std::optional<std::uint32_t>& target) {
  return [&target](const std::string& value) -> std::string {
    const bool relative = value.starts_with('+') || value.starts_with('-');
    const bool percent = value.ends_with('%');
    const char* const begin = value.data() + (relative ? 1 : 0);
    const char* const end = value.data() + value.size() - (percent ? 1 : 0);
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number);
    if (error != std::errc() || stop != end || begin == end || number < 0 || number > 1'000'000)
      return "is not a number of jobs such as 8, 200%, +1, -1 or 0 (as many as possible)";
    const std::int64_t cores = usable_cores();
    if (percent) number = std::max<std::int64_t>(cores * number / 100, 1);
    if (relative) number = std::max<std::int64_t>(cores + (value.front() == '-' ? -number : number), 1);
    if (number == 0) number = kAsManyAsPossible;
    if (number > kJobsMost) return "is too many: at most " + std::to_string(kJobsMost);
    target = static_cast<std::uint32_t>(number);
    return "";
  };
}

Setter set_shell_program(JobDefaults& defaults) {
  return [&defaults](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    if (!is_utf8(value)) return "is not UTF-8";
    defaults.set_shell(value);
    return "";
  };
}

std::vector<Flag> command_flags(JobDefaults& defaults) {
  return {{"cwd", 0, "FOLDER", "the folder that jobs run in", "where the worker was started",
           set_folder(defaults)},
          {"env", 0, "NAME[=VALUE]",
           "a variable for the jobs, by default with our value; can be given several times", "",
           add_variable(defaults), true}};
}

std::vector<Flag> default_flags(JobDefaults& defaults) {
  std::vector<Flag> flags = command_flags(defaults);
  flags.push_back({"shell", 0, "PROGRAM", "the shell of commands that are a string, such as bash", "/bin/sh",
                   set_shell_program(defaults)});
  return without_variables(std::move(flags));
}

std::vector<Flag> file_flags(Setter set_output, Setter set_errors) {
  return without_variables(
      {{"stdout", 0, "FILE",
        "a file on the worker for the stdout of each job, of any size; {id}, {line} and {attempt} are "
        "replaced",
        "", std::move(set_output)},
       {"stderr", 0, "FILE", "the same for stderr; the same FILE holds both", "", std::move(set_errors)}});
}

std::string read_limit(const std::string& text, std::string& key, LimitRule& rule) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos) return "is not KEY=RULE, such as db=3, api=10/s or 'host:*=2,5/s'";
  key = text.substr(0, equals);
  if (const std::string wrong = limit_key_fault(key); !wrong.empty()) return "is no limit: " + wrong;
  const auto parsed = parse_limit_rule(std::string_view(text).substr(equals + 1));
  if (const auto* wrong = std::get_if<std::string>(&parsed)) return "is no limit: " + *wrong;
  rule = std::get<LimitRule>(parsed);
  return "";
}

Flag limit_flag(JobDefaults& defaults) {
  const Setter add = [&defaults](const std::string& value) -> std::string {
    std::string key;
    LimitRule rule;
    if (std::string wrong = read_limit(value, key, rule); !wrong.empty()) return wrong;
    if (std::count(key.begin(), key.end(), '*') > 1) return "has more than one * in its key";
    defaults.limits->set(key, rule);
    return "";
  };
  return {
      "limit",
      0,
      "KEY=RULE",
      "what the jobs with this `limit` may do together, over all workers: N at once, N/s starts, or N,N/s; a "
      "* in KEY stands for any text, and each key of that form has the limit for itself; can be given "
      "several times",
      "",
      add,
      true,
      false,
      false};
}

Flag rate_flag(JobDefaults& defaults) {
  const Setter set = [&defaults](const std::string& value) -> std::string {
    const auto parsed = parse_rate(value);
    if (const auto* wrong = std::get_if<std::string>(&parsed)) return "is no rate: " + *wrong;
    defaults.limits->set_rate(std::get<LimitRule>(parsed));
    return "";
  };
  return {"rate",     0,  "N/s", "how many jobs may start in a second (or N/m, N/h), over all workers",
          "no limit", set};
}

Flag format_flag(std::optional<JobsFormat>& target) {
  return {
      "format",
      0,
      "jsonl|lines",
      "jsonl: one JSON object per line; lines: one shell command per line (blank lines and lines that start "
      "with # are skipped)",
      "jsonl for .jsonl and .ndjson; else by the first job: jsonl if it begins with {",
      set_format(target)};
}

}  // namespace workpool::dispatcher
