// SPDX-License-Identifier: MIT
#include "common/base/flags.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "common/base/text.h"
#include "common/base/units.h"

namespace workpool {

namespace {

constexpr std::size_t kColumnsMax = 100;
constexpr std::size_t kHelpColumn = 27;  // where the sentences start; longer flags get a line of their own

std::string quoted(std::string_view text) { return "'" + printable(text, 200) + "'"; }

std::string unknown_flag(const CommandTable& table, const std::string& given) {
  const std::string name = given.substr(0, given.find('='));
  std::vector<std::string_view> known = {"help", "version"};
  for (const Flag& flag : table.flags) {
    if (!flag.hidden) known.push_back(flag.name);
  }
  // Without the dashes, which would make any two short flags look alike.
  const std::string_view near =
      nearest(name.substr(std::min(name.size(), name.find_first_not_of('-'))), known.data(), known.size());
  std::string message = "unknown flag " + quoted(name);
  if (!near.empty()) message += "; did you mean --" + std::string(near) + "?";
  return message;
}

// "workers need labels" -> lines that fit right of `indent`.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
  std::size_t column = indent;
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (!first && column + 1 + end > kColumnsMax) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    first = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

void append_flag(std::string& out, const std::string& left, const std::string& help) {
  out += left;
  if (left.size() + 2 > kHelpColumn) {
    out += '\n';
    out.append(kHelpColumn, ' ');
  } else {
    out.append(kHelpColumn - left.size(), ' ');
  }
  append_wrapped(out, help, kHelpColumn);
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string apply_values(const Flag& flag, const std::vector<std::string>& values,
                         const std::string& shown_name) {
  // The last of several wins, as users of shell aliases expect.
  const std::size_t first = flag.repeatable || values.empty() ? 0 : values.size() - 1;
  for (std::size_t i = first; i < values.size(); ++i) {
    const std::string wrong = flag.set(values[i]);
    if (!wrong.empty()) return shown_name + ": " + quoted(values[i]) + " " + wrong;
  }
  return "";
}

std::string apply_positionals(const CommandTable& table, const std::vector<std::string>& given) {
  std::size_t taken = 0;
  for (const Positional& positional : table.positionals) {
    const std::size_t end = positional.repeatable ? given.size() : std::min(given.size(), taken + 1);
    if (taken == end && positional.required) return positional.name + " is missing";
    for (; taken < end; ++taken) {
      const std::string wrong = positional.set(given[taken]);
      if (!wrong.empty()) return positional.name + ": " + quoted(given[taken]) + " " + wrong;
    }
  }
  return taken == given.size() ? "" : "unexpected argument " + quoted(given[taken]);
}

std::optional<std::uint32_t> parse_number(const std::string& text) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return number;
}

// What applies to all flags of the table.
std::string about_flags(const CommandTable& table) {
  std::string text;
  bool has_durations = false;
  const Flag* first = nullptr;  // of those with a variable, which stand together
  const Flag* last = nullptr;
  for (const Flag& flag : table.flags) {
    if (flag.hidden) continue;
    if (text.empty()) text = "Defaults are in brackets.";
    has_durations |= flag.value == "D";
    if (!flag.has_variable) continue;
    if (first == nullptr) first = &flag;
    last = &flag;
  }
  if (first != nullptr) {
    const bool to_the_end = last == &table.flags.back();
    const bool all = first == &table.flags.front() && to_the_end;
    const bool one = first == last;
    text += (all || one ? (one ? " --" + first->name : " Each flag")
                        : " Each flag from --" + first->name + (to_the_end ? " on" : " to --" + last->name)) +
            std::string(" can also be set in the environment; the flag wins. --") + first->name + " is " +
            variable_of(*first) + ".";
  }
  if (has_durations) text += " Durations: 200ms, 1.5s, 5m, 1h30m; a bare number is seconds.";
  return text;
}

}  // namespace

std::vector<Flag> without_variables(std::vector<Flag> flags) {
  for (Flag& flag : flags) flag.has_variable = false;
  return flags;
}

std::string variable_of(const Flag& flag) {
  if (flag.hidden || !flag.has_variable) return "";
  std::string variable = "WORKPOOL_";
  for (const char c : flag.name)
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return variable;
}

std::string apply_flags(const CommandTable& table, const GivenFlags& given, const Environment& environment) {
  if (!given.unknown.empty()) return unknown_flag(table, given.unknown.front());
  if (!given.error.empty()) return given.error;
  for (const Flag& flag : table.flags) {
    std::string wrong;
    const auto place = given.values.find(flag.name);
    if (place != given.values.end()) {
      wrong = apply_values(flag, place->second, "--" + flag.name);
    } else if (const std::string variable = variable_of(flag); !variable.empty()) {
      const char* value = environment(variable);
      if (value == nullptr || *value == '\0') continue;
      wrong = apply_values(flag, flag.repeatable ? split_at_commas(value) : std::vector<std::string>{value},
                           "environment variable " + variable);
    }
    if (!wrong.empty()) return wrong;
  }
  return apply_positionals(table, given.positionals);
}

std::string help_text(const CommandTable& table) {
  std::string out = "usage: " + table.program + " " + table.usage + "\n\n";
  append_wrapped(out, table.summary, 0);
  out += "\n";
  for (const Flag& flag : table.flags) {
    if (flag.hidden) continue;
    std::string left = flag.letter == 0 ? "      --" : std::string("  -") + flag.letter + ", --";
    left += flag.name;
    if (!flag.value.empty()) left += " " + flag.value;
    std::string help = flag.help;
    if (!flag.initial.empty()) help += " [" + flag.initial + "]";
    append_flag(out, left, help);
  }
  append_flag(out, "  -h, --help", "print this and exit");
  append_flag(out, "      --version", "print the version and exit");
  out += "\n";
  append_wrapped(out, about_flags(table), 0);
  if (!table.epilogue.empty()) out += "\n" + table.epilogue;
  return out;
}

Setter set_text(std::string& target) {
  return [&target](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    target = value;
    return "";
  };
}

Setter set_switch(bool& target) {
  return [&target](const std::string& value) -> std::string {
    static constexpr std::array<std::string_view, 4> kYes = {"true", "1", "yes", "on"};
    static constexpr std::array<std::string_view, 4> kNo = {"false", "0", "no", "off"};
    const bool yes = std::find(kYes.begin(), kYes.end(), value) != kYes.end();
    if (!yes && std::find(kNo.begin(), kNo.end(), value) == kNo.end()) return "is neither true nor false";
    target = yes;
    return "";
  };
}

Setter set_number(std::optional<std::uint32_t>& target, std::uint32_t low, std::uint32_t high) {
  return [&target, low, high](const std::string& value) -> std::string {
    const auto number = parse_number(value);
    if (!number || *number < low || *number > high) {
      return "is not a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    }
    target = *number;
    return "";
  };
}

Setter set_number(std::uint32_t& target, std::uint32_t low, std::uint32_t high) {
  return [&target, low, high](const std::string& value) -> std::string {
    std::optional<std::uint32_t> number;
    std::string wrong = set_number(number, low, high)(value);
    if (wrong.empty()) target = *number;
    return wrong;
  };
}

Setter set_duration(Duration& target, Duration low) {
  return [&target, low](const std::string& value) -> std::string {
    const auto duration = parse_duration(value);
    if (!duration) return "is not a duration such as 200ms, 1.5s, 5m or 1h30m, of at most 10 years";
    if (*duration < low) return "is too short: at least " + format_duration(low);
    target = *duration;
    return "";
  };
}

Setter set_log_level(std::string& target) {
  return [&target](const std::string& value) -> std::string {
    static constexpr std::array<std::string_view, 5> kLevels = {"error", "warn", "info", "debug", "trace"};
    if (std::find(kLevels.begin(), kLevels.end(), value) == kLevels.end()) {
      return "is not a log level: error, warn, info, debug or trace";
    }
    target = value;
    return "";
  };
}

}  // namespace workpool
