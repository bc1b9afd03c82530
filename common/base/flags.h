// SPDX-License-Identifier: MIT
// A command line as a table: each flag states its name, help and what it sets, and usage, help text,
// environment variables and error messages follow from that. Reading argv itself is
// common/io/flag_reader.h's. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.h"

namespace workpool {

// Takes a value. Returns what is wrong with it ("is not a duration such as 30s") or "".
using Setter = std::function<std::string(const std::string&)>;

struct Flag {
  std::string name;          // "worker-timeout"; its variable is WORKPOOL_WORKER_TIMEOUT
  char letter = 0;           // one-letter form, 0 = none
  std::string value;         // what help calls the value: "FILE"; "" = a switch
  std::string help;          // one sentence, wrapped by help_text
  std::string initial;       // the default, as help shows it; "" = none worth showing
  Setter set;                // a switch is set with "true" or "false"
  bool repeatable = false;   // each occurrence sets; the variable may hold several, separated by commas
  bool hidden = false;       // internal: not in the help, no variable
  bool has_variable = true;  // if not, only a command line can say so
};

struct Positional {
  std::string name;  // "JOBS"
  Setter set;
  bool required = true;
  bool repeatable = false;  // the last one only: takes all arguments that are left, each one sets
};

struct CommandTable {
  std::string program;  // "workpool-dispatcher run"
  std::string usage;    // what follows the program in the usage line
  std::string summary;  // one or two sentences
  std::vector<Positional> positionals;
  std::vector<Flag> flags;  // --help and --version always exist; do not list them
  std::string epilogue;     // examples and exit codes, printed as they are
};

// What argv holds, not yet judged.
struct GivenFlags {
  std::map<std::string, std::vector<std::string>> values;  // by flag name, in order
  std::vector<std::string> positionals;
  std::vector<std::string> unknown;  // flags that the table does not have
  bool help = false;
  bool version = false;
  std::string error;  // argv could not be read at all
};

// Looks up an environment variable; null if it is not set.
using Environment = std::function<const char*(const std::string&)>;

// Sets everything: a flag wins over its variable; an empty variable counts as not set. Returns one line that
// says what is wrong with which flag, variable or argument, or "".
std::string apply_flags(const CommandTable& table, const GivenFlags& given, const Environment& environment);

// At most 100 columns wide, ends with a newline.
std::string help_text(const CommandTable& table);
std::string variable_of(const Flag& flag);  // "" if it has none
// The same flags without variables, for those that mean something else in another command.
std::vector<Flag> without_variables(std::vector<Flag> flags);

// Setters. The target outlives the table.
Setter set_text(std::string& target);  // anything but ""
Setter set_switch(bool& target);
Setter set_number(std::uint32_t& target, std::uint32_t low, std::uint32_t high);
Setter set_number(std::optional<std::uint32_t>& target, std::uint32_t low, std::uint32_t high);
Setter set_duration(Duration& target, Duration low = Duration(0));
Setter set_log_level(std::string& target);

}  // namespace workpool
