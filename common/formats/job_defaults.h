// SPDX-License-Identifier: MIT
// What jobs get that do not say otherwise: from the command line, and from the first line of a jobs file,
//   {"defaults": {"cwd": "/data", "env": {"A": "1"}, "timeout": "5m", "retries": 2, "labels": ["gpu"]}}
// which may also say what the keys of their limits allow, with or without defaults:
//   {"limits": {"db": 3, "host:*": "2,5/s"}}
// A job wins over the command line, and the command line over the first line; `env` is merged by name. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/formats/job_line_limits.h"
#include "common/formats/limit_rules.h"

namespace workpool {

struct JobDefaults {
  std::optional<Duration> timeout{};  // per attempt
  std::optional<std::uint32_t> retries{};
  std::optional<std::vector<std::string>> labels{};  // sorted, without repeats
  std::optional<std::vector<std::string>> limit{};   // keys; the same
  // Nullopt: whoever reads the jobs does not care for their limits, and a key need not have a rule.
  std::optional<LimitRules> limits{};
  // Of commands, and part of their work: compact JSON. Empty: none.
  std::string cwd{};
  std::string shell{};            // of a `cmd` that is a string
  std::string standard_output{};  // paths of files
  std::string standard_error{};
  // By name: the member as a work has it, `"NAME":"value"`.
  std::vector<std::pair<std::string, std::string>> env{};

  // Whether a line with them makes another job. `timeout` and `retries` are filled in when a job is loaded.
  bool change_lines() const { return labels || change_works() || add_limits(); }
  bool add_limits() const { return limits && (limit || limits->rate()); }
  bool change_works() const {
    return !cwd.empty() || !shell.empty() || !env.empty() || !standard_output.empty() ||
           !standard_error.empty();
  }
  // Takes from `others` what these do not say.
  void fill_in(const JobDefaults& others);
  // For a command line, which has no NUL bytes. `program`, `name` and `value` are UTF-8; of several values
  // of a name the last counts.
  void set_cwd(std::string_view folder);
  void set_shell(std::string_view program);
  void set_variable(const std::string& name, std::string_view value);
  void set_output(std::string_view path);
  void set_errors(std::string_view path);
};

// Appends bytes as a jobs line holds them: as a JSON string, or as {"base64": …} if they are not UTF-8.
void append_json_bytes(std::string& out, std::string_view bytes);
// Appends what the defaults say as members of a jobs line of a command, each after a comma. `for_shell`: its
// `cmd` is a string.
void append_members(std::string& out, const JobDefaults& defaults, bool for_shell);

// Whether a JSON line is meant to hold defaults or limits: its first key says so. `line`: any bytes.
bool is_defaults_line(std::string_view line);
// What is wrong with a path as the default of many jobs, for people; empty if nothing is.
std::string default_path_fault(std::string_view path);
// Reads such a line.
std::variant<JobDefaults, LineError> read_job_defaults(std::string_view line);

// Appends `work`, which is a job's as its line says it, with what it does not say.
void append_work_with_defaults(std::string& out, std::string_view work, const JobDefaults& defaults);

// The digest that makes the id of a job. `stdout` and `stderr`, the last members of a work, are no part of
// it: they say where output goes, not what is done.
Spec spec_of_job(std::string_view work);

}  // namespace workpool
