// SPDX-License-Identifier: MIT
#include "common/formats/job_members.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/formats/limit_rules.h"
#include "common/formats/output_path.h"

namespace workpool {

namespace dom = simdjson::dom;

namespace {

constexpr std::size_t kQuadraticMax = 8;  // up to this many keys, comparing all pairs beats sorting

std::string limit_text(std::size_t bytes) { return std::to_string(bytes) + " bytes"; }

Fault check_text(std::string_view text, const char* what, const Place& place) {
  if (text.find('\0') == std::string_view::npos) return std::nullopt;
  return place.error(std::string("a NUL byte in ") + what + ": no program can be given one");
}

Fault check_cmd(const dom::element& value, const Place& place) {
  std::string decoded;
  std::string_view text;
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) {
    if (auto fault =
            read_bytes(value, place,
                       "\"cmd\" must be an array of strings (executed as given) or a string (for the shell)",
                       decoded, text))
      return fault;
    if (text.empty()) return place.error("\"cmd\" is an empty command");
    return check_argument(text, "a command", place);
  }
  std::size_t index = 0;
  for (const dom::element element : array) {
    std::string_view argument;
    // The place is looked for only if something is wrong.
    if (!element.is_string() || element.get(argument) != simdjson::SUCCESS) {
      if (auto fault = read_bytes(element, place.element(index),
                                  "an element of \"cmd\" must be a string: put it in double quotes", decoded,
                                  argument))
        return fault;
    }
    const bool bad = argument.size() > kArgumentBytesMax || argument.find('\0') != std::string_view::npos;
    if (bad) return check_argument(argument, "an argument", place.element(index));
    if (index == 0 && argument.empty())
      return place.element(0).error("the program's name in \"cmd\" is empty");
    ++index;
  }
  if (index == 0) return place.error("\"cmd\" is an empty array: name the program to run");
  return std::nullopt;
}

Fault check_type(const dom::element& value, const Place& place) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    return place.error("\"type\" must be a string: the name of a handler");
  if (is_handler_name(text)) return std::nullopt;
  return place.error("\"type\" must be 1 to 64 letters, digits, `_`, `.` or `-`: the name of a handler");
}

// Whether a key occurs twice in `keys`, which may be reordered.
bool has_twice(std::vector<std::string_view>& keys) {
  if (keys.size() <= kQuadraticMax) {
    for (std::size_t i = 1; i < keys.size(); ++i) {
      if (std::find(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(i), keys[i]) !=
          keys.begin() + static_cast<std::ptrdiff_t>(i)) {
        return true;
      }
    }
    return false;
  }
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

// Finds what simdjson accepts inside a value and we do not: a key that occurs twice in an object, and one
// level too many.
bool has_hidden_fault(const dom::element& value, int depth) {
  dom::object object;
  dom::array array;
  if (value.get(object) == simdjson::SUCCESS) {
    if (depth > kJsonDepthMax) return true;
    std::vector<std::string_view> keys;
    for (const auto member : object) {
      keys.push_back(member.key);
      if (has_hidden_fault(member.value, depth + 1)) return true;
    }
    return has_twice(keys);
  }
  if (value.get(array) == simdjson::SUCCESS) {
    if (depth > kJsonDepthMax) return true;
    for (const dom::element element : array) {
      if (has_hidden_fault(element, depth + 1)) return true;
    }
  }
  return false;
}

Fault check_args(const dom::element& value, const Place& place) {
  if (has_hidden_fault(value, 2))
    return placed_fault(place.line, "\"args\" holds a key twice or is nested too deep");
  return std::nullopt;
}

Fault check_env(const dom::element& value, const Place& place) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return place.error("\"env\" must be an object of strings, such as {\"NAME\": \"value\"}");
  }
  std::size_t index = 0;
  std::vector<std::string_view> keys;
  for (const auto member : object) {
    const auto entry = [&place, index] { return place.element(index); };
    std::string_view text;
    if (member.value.get(text) != simdjson::SUCCESS) {
      return entry().value_of_member().error("a value of \"env\" must be a string: put it in double quotes");
    }
    if (member.key.empty() || member.key.find('=') != std::string_view::npos) {
      return entry().error("a name in \"env\" must not be empty and must not hold `=`");
    }
    if (member.key.find('\0') != std::string_view::npos)
      return check_text(member.key, "a name in \"env\"", entry());
    if (text.find('\0') != std::string_view::npos) {
      return check_text(text, "a value of \"env\"", entry().value_of_member());
    }
    const std::size_t bytes = member.key.size() + 1 + text.size();
    if (bytes > kArgumentBytesMax) {
      return entry().error("an \"env\" entry (NAME=value) of " + limit_text(bytes) +
                           ": Linux takes at most " + limit_text(kArgumentBytesMax) +
                           "; put the text into \"stdin\" or a file");
    }
    keys.push_back(member.key);
    ++index;
  }
  if (has_twice(keys)) return placed_fault(place.line, "\"env\" holds a name twice");
  return std::nullopt;
}

Fault check_cwd(const dom::element& value, const Place& place) {
  constexpr const char* kRule = "\"cwd\" must be a string that is not empty: the folder to run in";
  std::string decoded;
  std::string_view text;
  if (auto fault = read_bytes(value, place, kRule, decoded, text)) return fault;
  if (text.empty()) return place.error(kRule);
  return check_text(text, "\"cwd\"", place);
}

Fault check_stdin(const dom::element& value, const Place& place) {
  std::string decoded;
  std::string_view text;
  return read_bytes(value, place, "\"stdin\" must be a string: the text given to the command", decoded, text);
}

Fault check_shell(const dom::element& value, const Place& place) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || text.empty() || text.size() > kArgumentBytesMax) {
    return place.error("\"shell\" must be the name of a shell that takes -c, such as \"bash\"");
  }
  return check_text(text, "\"shell\"", place);
}

Fault check_output_path(Member member, const dom::element& value, const Place& place) {
  const std::string name = '"' + std::string(kMemberNames[member]) + '"';
  std::string decoded;
  std::string_view text;
  const std::string rule = name + " must be a string: the path of a file on the worker";
  if (auto fault = read_bytes(value, place, rule.c_str(), decoded, text)) return fault;
  const std::string wrong = output_path_fault(text);
  return wrong.empty() ? Fault() : place.error(name + ' ' + wrong);
}

Fault check_ok_exit(const dom::element& value, const Place& place) {
  constexpr const char* kRule =
      "\"ok_exit\" must be an array of exit statuses from 0 to 255: those that are no failure, such as [0, "
      "1]";
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS || array.size() == 0 || array.size() > kOkExitsMax)
    return place.error(kRule);
  std::size_t index = 0;
  for (const dom::element element : array) {
    std::int64_t status = -1;
    if (element.get(status) != simdjson::SUCCESS || status < 0 || status > 255)
      return place.element(index).error(kRule);
    ++index;
  }
  return std::nullopt;
}

// ---- notes for whoever reads the results ----

void add_to_name(std::string& name, std::string_view value) {
  constexpr std::size_t kNameBytesMost = 400;
  if (name.size() >= kNameBytesMost) return;
  if (!name.empty()) name += ' ';
  name += utf8_prefix(value, kNameBytesMost);
}

// A value, or a group of them.
Fault read_each(const dom::element& value, const Place& place, JobLine& job) {
  constexpr const char* kRule =
      "\"each\" must be an object of strings, such as {\"1\": \"a.txt\"}: the values that made the job";
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return place.error(kRule);
  std::size_t index = 0;
  std::string decoded;
  std::string_view text;
  for (const auto member : object) {
    const Place at = place.element(index).value_of_member();
    dom::array group;
    if (member.value.get(group) != simdjson::SUCCESS) {
      if (auto fault = read_bytes(member.value, at, kRule, decoded, text)) return fault;
      add_to_name(job.notes.name, text);
    } else {
      for (const dom::element element : group) {
        if (auto fault = read_bytes(element, at, kRule, decoded, text)) return fault;
        add_to_name(job.notes.name, text);
      }
    }
    ++index;
  }
  if (has_hidden_fault(value, 2)) return placed_fault(place.line, "\"each\" holds a name twice");
  return std::nullopt;
}

Fault check_meta(const dom::element& value, const Place& place) {
  if (has_hidden_fault(value, 2))
    return placed_fault(place.line, "\"meta\" holds a key twice or is nested too deep");
  return std::nullopt;
}

// ---- the members that are not part of `work` ----

Fault read_id(const dom::element& value, const Place& place, JobLine& job) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    return place.error("\"id\" must be a string: put it in double quotes");
  if (text.empty() || text.size() > kIdBytesMax) {
    return place.error("\"id\" must be 1 to " + limit_text(kIdBytesMax) + " long; this one has " +
                       std::to_string(text.size()));
  }
  job.id = text;
  return check_text(text, "\"id\"", place);  // the command gets its id in its environment
}

// Reads an integer from `low` to the largest Number; anything else is an error.
template <typename Number>
Fault read_integer(const dom::element& value, const Place& place, Member member, Number low, Number& number) {
  constexpr std::int64_t kHigh = std::numeric_limits<Number>::max();
  std::int64_t whole = 0;
  const bool fits = value.get(whole) == simdjson::SUCCESS && whole >= std::int64_t{low} && whole <= kHigh;
  if (fits) {
    number = static_cast<Number>(whole);
    return std::nullopt;
  }
  return place.error('"' + std::string(kMemberNames[member]) + "\" must be an integer from " +
                     std::to_string(low) + " to " + std::to_string(kHigh));
}

Fault read_timeout(const dom::element& value, const Place& place, JobLine& job) {
  std::string_view text;
  double number = 0;
  if (value.get(text) == simdjson::SUCCESS) {
    job.timeout = parse_duration(text);
    if (job.timeout) return std::nullopt;
  } else if (value.get(number) == simdjson::SUCCESS && number >= 0 &&
             number <= static_cast<double>(kTimeoutSecondsMax)) {
    // Rounded up: a tiny timeout must not become 0, which is none.
    job.timeout = Duration{static_cast<std::int64_t>(std::ceil(number * 1e6 - 1e-3))};
    if (number > 0 && job.timeout->count() == 0) job.timeout = Duration{1};
    return std::nullopt;
  }
  return place.error(
      "\"timeout\" must be seconds or a duration such as \"90s\" or \"1h30m\", from 0 (none) to 10 years");
}

Fault read_labels(const dom::element& value, const Place& place, JobLine& job) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return place.error("\"labels\" must be an array of strings");
  std::size_t index = 0;
  for (const dom::element element : array) {
    std::string_view text;
    const Place label{place.line, place.at};
    if (element.get(text) != simdjson::SUCCESS) return label.element(index).error("a label must be a string");
    if (text.empty() || text.size() > kLabelBytesMax) {
      return label.element(index).error("a label must be 1 to " + limit_text(kLabelBytesMax) + " long");
    }
    if (text.find('\0') != std::string_view::npos) return check_text(text, "a label", label.element(index));
    if (index == kLabelsMax)
      return label.element(index).error("more than " + std::to_string(kLabelsMax) + " labels");
    job.requirement.labels.emplace_back(text);
    ++index;
  }
  auto& labels = job.requirement.labels;
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return std::nullopt;
}

// A key, or a list of them.
Fault read_limit(const dom::element& value, const Place& place, JobLine& job) {
  constexpr const char* kRule = "\"limit\" must be a key such as \"db\", or an array of keys";
  auto& limits = job.requirement.limits;
  const auto take = [&limits](const dom::element& key, const Place& at) -> Fault {
    std::string_view text;
    if (key.get(text) != simdjson::SUCCESS) return at.error(kRule);
    if (std::string wrong = limit_key_fault(text); !wrong.empty()) return at.error(std::move(wrong));
    limits.push_back({std::string(text), {}});
    return std::nullopt;
  };
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return take(value, place);
  std::size_t index = 0;
  for (const dom::element element : array) {
    const auto at = [&place, index] { return place.element(index); };
    if (index == kLimitsMax) return at().error("more than " + std::to_string(kLimitsMax) + " limits");
    if (auto fault = take(element, place)) return at().error(std::move(fault->message));
    ++index;
  }
  std::sort(limits.begin(), limits.end());
  limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  return std::nullopt;
}

}  // namespace

std::string quoted(std::string_view text) { return '"' + printable(text, 80) + '"'; }

Fault read_bytes(const dom::element& value, const Place& place, const char* otherwise, std::string& decoded,
                 std::string_view& bytes) {
  if (value.get(bytes) == simdjson::SUCCESS) return std::nullopt;
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS || object.size() != 1) return place.error(otherwise);
  const auto member = *object.begin();
  std::string_view text;
  if (member.key != "base64" || member.value.get(text) != simdjson::SUCCESS) return place.error(otherwise);
  auto plain = base64_bytes(text);
  if (!plain) return place.error("the value of \"base64\" is not base64 (RFC 4648, with padding)");
  decoded = *std::move(plain);
  bytes = decoded;
  return std::nullopt;
}

Fault check_argument(std::string_view text, const char* what, const Place& place) {
  if (text.size() <= kArgumentBytesMax) return check_text(text, what, place);
  return place.error(std::string(what) + " of " + limit_text(text.size()) + ": Linux executes at most " +
                     limit_text(kArgumentBytesMax) + "; put the text into \"stdin\" or a file");
}

LineError placed_fault(std::string_view line, const char* otherwise) {
  if (auto fault = find_json_fault(line)) return fault_at(fault->offset, std::move(fault->message));
  return fault_at(0, otherwise);
}

Fault read_member(Member member, const dom::element& value, const Place& place, JobLine& job) {
  switch (member) {
    case kCmd:
      return check_cmd(value, place);
    case kType:
      return check_type(value, place);
    case kArgs:
      return check_args(value, place);
    case kEnv:
      return check_env(value, place);
    case kCwd:
      return check_cwd(value, place);
    case kStdin:
      return check_stdin(value, place);
    case kShell:
      return check_shell(value, place);
    case kOkExit:
      return check_ok_exit(value, place);
    case kStdout:
    case kStderr:
      return check_output_path(member, value, place);
    case kId:
      return read_id(value, place, job);
    case kPriority:
      return read_integer(value, place, member, std::numeric_limits<std::int32_t>::min(), job.priority);
    case kTimeout:
      return read_timeout(value, place, job);
    case kRetries:
      return read_integer(value, place, member, std::uint32_t{0}, job.retries.emplace());
    case kLabels:
      return read_labels(value, place, job);
    case kSlots:
      return read_integer(value, place, member, std::uint32_t{1}, job.requirement.slots);
    case kLimit:
      return read_limit(value, place, job);
    case kEach:
      return read_each(value, place, job);
    case kMeta:
      return check_meta(value, place);
  }
  return std::nullopt;
}

std::string unknown_key(std::string_view name) {
  const std::string_view near = nearest(name, kMemberNames.data(), kMembers);
  std::string message = "unknown key " + quoted(name);
  if (!near.empty()) return message + ": did you mean \"" + std::string(near) + "\"?";
  message += ": the keys are";
  for (const std::string_view known : kMemberNames)
    message += (known == kMemberNames[0] ? " " : ", ") + std::string(known);
  return message;
}

Fault Present::combination(std::size_t object_at) const {
  if (has[kCmd] && has[kType]) {
    return fault_at(std::max(key_at[kCmd], key_at[kType]),
                    "both \"cmd\" and \"type\": a job has one of them");
  }
  if (!has[kCmd] && !has[kType]) {
    return fault_at(object_at,
                    "neither \"cmd\" nor \"type\": a job needs one of them, such as {\"cmd\": [\"true\"]}");
  }
  if (has[kCmd] && has[kArgs]) {
    return fault_at(key_at[kArgs], "\"args\" belongs to \"type\"; the arguments of a command are in \"cmd\"");
  }
  for (const Member member : {kEnv, kCwd, kStdin, kShell, kOkExit, kStdout, kStderr}) {
    if (has[kType] && has[member]) {
      return fault_at(key_at[member],
                      '"' + std::string(kMemberNames[member]) + "\" belongs to \"cmd\", not to \"type\"");
    }
  }
  return std::nullopt;
}

}  // namespace workpool
