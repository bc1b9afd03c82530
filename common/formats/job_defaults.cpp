// SPDX-License-Identifier: MIT
#include "common/formats/job_defaults.h"

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/formats/job_members.h"
#include "common/formats/json_text.h"
#include "common/formats/output_path.h"

namespace workpool {
namespace {

namespace dom = simdjson::dom;

constexpr std::array<std::string_view, 2> kKeys{"\"defaults\"", "\"limits\""};
constexpr std::size_t kLimitRulesMost = 1000;
constexpr std::array kAllowed{kCwd, kEnv, kTimeout, kRetries, kLabels, kLimit, kShell, kStdout, kStderr};

std::string names_of_allowed() {
  std::string names;
  for (const Member member : kAllowed) names.append(names.empty() ? "" : ", ").append(kMemberNames[member]);
  return names;
}

LineError not_a_default(std::string_view name, const Place& key) {
  const std::string shown = '"' + printable(name, 80) + '"';
  return key.error((member_named(name) ? shown + " cannot be a default" : "unknown default " + shown) +
                   ": the defaults are " + names_of_allowed());
}

// `value`: checked.
void take_env(const dom::element& value, const Place& place, JobDefaults& defaults) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return;
  std::size_t index = 0;
  for (const auto member : object) {
    const Place key = place.element(index++);
    std::string text(key.line.substr(key.at, json_string_end(key.line, key.at) - key.at));
    text += ':';
    append_compact_json(text, key.line, key.value_of_member().at);
    defaults.env.emplace_back(member.key, std::move(text));
  }
}

Fault take_default(Member member, const dom::element& value, const Place& place, JobDefaults& defaults) {
  JobLine job;
  if (auto fault = read_member(member, value, place, job)) return fault;
  if (member == kTimeout) defaults.timeout = job.timeout;
  if (member == kRetries) defaults.retries = job.retries;
  if (member == kLabels) defaults.labels = std::move(job.requirement.labels);
  if (member == kLimit) {
    defaults.limit.emplace();
    for (Limit& limit : job.requirement.limits) defaults.limit->push_back(std::move(limit.key));
  }
  if (member == kCwd) append_compact_json(defaults.cwd, place.line, place.at);
  if (member == kShell) append_compact_json(defaults.shell, place.line, place.at);
  if (member == kEnv) take_env(value, place, defaults);
  if (member == kStdout || member == kStderr) {
    std::string decoded;
    std::string_view path;
    if (auto fault = read_bytes(value, place, "", decoded, path)) return fault;
    const std::string wrong = default_path_fault(path);
    if (!wrong.empty()) return place.error('"' + std::string(kMemberNames[member]) + "\" " + wrong);
    append_compact_json(member == kStdout ? defaults.standard_output : defaults.standard_error, place.line,
                        place.at);
  }
  return std::nullopt;
}

// `object`: what is at `place`.
Fault take_defaults(const dom::object& object, const Place& place, JobDefaults& defaults) {
  std::array<bool, kMembers> seen{};
  std::size_t index = 0;
  for (const auto member : object) {
    const Place key = place.element(index++);
    const auto known = member_named(member.key);
    if (!known || std::find(kAllowed.begin(), kAllowed.end(), *known) == kAllowed.end())
      return not_a_default(member.key, key);
    if (std::exchange(seen[*known], true))
      return key.error("the default \"" + std::string(kMemberNames[*known]) + "\" occurs twice: keep one");
    if (auto fault = take_default(*known, member.value, key.value_of_member(), defaults)) return fault;
  }
  return std::nullopt;
}

// `object`: what is at `place`.
Fault take_limits(const dom::object& object, const Place& place, LimitRules& limits) {
  std::size_t index = 0;
  std::vector<std::string_view> seen;
  if (object.size() > kLimitRulesMost)
    return place.error("more than " + std::to_string(kLimitRulesMost) +
                       " limits: a * in a key covers many keys");
  for (const auto member : object) {
    const Place key = place.element(index++);
    if (const std::string wrong = limit_key_fault(member.key); !wrong.empty()) return key.error(wrong);
    if (std::count(member.key.begin(), member.key.end(), '*') > 1)
      return key.error("a limit's key has at most one `*`");
    if (std::find(seen.begin(), seen.end(), member.key) != seen.end())
      return key.error("the limit " + quoted(member.key) + " occurs twice: keep one");
    seen.push_back(member.key);
    std::string_view text;
    std::uint64_t number = 0;
    std::string digits;
    if (member.value.get(number) == simdjson::SUCCESS) text = digits = std::to_string(number);
    auto rule = text.empty() && member.value.get(text) != simdjson::SUCCESS ? parse_limit_rule("")
                                                                            : parse_limit_rule(text);
    if (auto* wrong = std::get_if<std::string>(&rule))
      return key.value_of_member().error("the limit " + quoted(member.key) + ": " + *wrong);
    limits.set(member.key, std::get<LimitRule>(rule));
  }
  return std::nullopt;
}

// The name of a member of `env`: `text` is a JSON string.
std::string name_in(std::string_view text) {
  const std::string_view inside = text.substr(1, text.size() - 2);
  return inside.find('\\') == std::string_view::npos ? std::string(inside) : json_string_value(text, 0);
}

// Appends the member `env`: the job's own variables (`own`: its value, or empty), then the others.
void append_env(std::string& out, std::string_view own, const JobDefaults& defaults) {
  std::vector<std::string> names;
  out += ",\"env\":";
  out += own.empty() ? std::string_view("{") : own.substr(0, own.size() - 1);
  if (!own.empty() && !defaults.env.empty())
    visit_json_members(own.substr(0, own.size() - 1), [&names](std::string_view key, std::string_view) {
      names.push_back(name_in(key));
      return true;
    });
  bool first = own.empty() || own == "{}";
  for (const auto& [name, member] : defaults.env) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    out += std::exchange(first, false) ? "" : ",";
    out += member;
  }
  out += '}';
}

}  // namespace

void JobDefaults::fill_in(const JobDefaults& others) {
  if (!timeout) timeout = others.timeout;
  if (!retries) retries = others.retries;
  if (!labels) labels = others.labels;
  if (!limit) limit = others.limit;
  if (limits && others.limits) limits->fill_in(*others.limits);
  if (cwd.empty()) cwd = others.cwd;
  if (shell.empty()) shell = others.shell;
  if (standard_output.empty()) standard_output = others.standard_output;
  if (standard_error.empty()) standard_error = others.standard_error;
  for (const auto& variable : others.env) {
    if (std::none_of(env.begin(), env.end(), [&](const auto& own) { return own.first == variable.first; }))
      env.push_back(variable);
  }
}

void JobDefaults::set_cwd(std::string_view folder) {
  cwd.clear();
  append_json_bytes(cwd, folder);
}

void JobDefaults::set_shell(std::string_view program) {
  shell.clear();
  append_json_string(shell, program);
}

void JobDefaults::set_variable(const std::string& name, std::string_view value) {
  std::string member;
  append_json_string(member, name);
  member += ':';
  append_json_string(member, value);
  const auto known =
      std::find_if(env.begin(), env.end(), [&](const auto& variable) { return variable.first == name; });
  if (known == env.end()) {
    env.emplace_back(name, std::move(member));
  } else {
    known->second = std::move(member);
  }
}

void JobDefaults::set_output(std::string_view path) {
  standard_output.clear();
  append_json_bytes(standard_output, path);
}

void JobDefaults::set_errors(std::string_view path) {
  standard_error.clear();
  append_json_bytes(standard_error, path);
}

std::string default_path_fault(std::string_view path) {
  if (std::string wrong = output_path_fault(path); !wrong.empty()) return wrong;
  return differs_by_job(path) ? "" : "is the same file for every job: put {id} or {line} into it";
}

void append_json_bytes(std::string& out, std::string_view bytes) {
  if (is_utf8(bytes)) return append_json_string(out, bytes);
  out += "{\"base64\":\"";
  append_base64(out, bytes);
  out += "\"}";
}

void append_members(std::string& out, const JobDefaults& defaults, bool for_shell) {
  const auto key = [&out](Member member) -> std::string& {
    return out.append(",\"").append(kMemberNames[member]).append("\":");
  };
  if (!defaults.env.empty()) append_env(out, "", defaults);
  if (!defaults.cwd.empty()) key(kCwd) += defaults.cwd;
  if (for_shell && !defaults.shell.empty()) key(kShell) += defaults.shell;
  if (defaults.timeout > Duration(0))
    key(kTimeout) += '"' + std::to_string(defaults.timeout->count()) + "us\"";
  if (defaults.retries > 0U) key(kRetries) += std::to_string(*defaults.retries);
  if (!defaults.labels) return;
  key(kLabels) += '[';
  char before = 0;
  for (const std::string& label : *defaults.labels) {
    if (std::exchange(before, ',') != 0) out += ',';
    append_json_string(out, label);
  }
  out += ']';
}

bool is_defaults_line(std::string_view line) {
  std::size_t at = skip_json_space(line, 0);
  if (at == line.size() || line[at] != '{') return false;
  at = skip_json_space(line, at + 1);
  for (const std::string_view key : kKeys) {
    if (line.substr(at, key.size()) != key) continue;
    at = skip_json_space(line, at + key.size());
    return at < line.size() && line[at] == ':';
  }
  return false;
}

std::variant<JobDefaults, LineError> read_job_defaults(std::string_view line) {
  DomParser parser;
  dom::element root;
  dom::object object;
  if (!parser.parse(line, root) || root.get(object) != simdjson::SUCCESS)
    return placed_fault(line, "not valid JSON");
  const Place place{line, skip_json_space(line, 0)};
  JobDefaults defaults;
  defaults.limits.emplace();
  std::size_t index = 0;
  std::array<bool, 2> seen{};
  for (const auto member : object) {
    const Place key = place.element(index++);
    const Place value = key.value_of_member();
    const bool is_limits = member.key == "limits";
    if (!is_limits && member.key != "defaults")
      return key.error("a line of defaults or limits holds nothing else: give every job a line of its own");
    if (std::exchange(seen[is_limits ? 1 : 0], true))
      return key.error(quoted(member.key) + " occurs twice: keep one");
    dom::object members;
    if (member.value.get(members) != simdjson::SUCCESS)
      return value.error(is_limits
                             ? R"("limits" must be an object, such as {"db": 3, "host:*": "2,5/s"})"
                             : R"("defaults" must be an object, such as {"cwd": "/data", "timeout": "5m"})");
    auto fault =
        is_limits ? take_limits(members, value, *defaults.limits) : take_defaults(members, value, defaults);
    if (fault) return *std::move(fault);
  }
  return defaults;
}

void append_work_with_defaults(std::string& out, std::string_view work, const JobDefaults& defaults) {
  constexpr std::string_view kCommand = "{\"cmd\":";
  if (!defaults.change_works() || !work.starts_with(kCommand)) {
    out += work;
    return;
  }
  std::array<std::string_view, kWorkMembers> own;
  visit_json_members(work.substr(0, work.size() - 1), [&own](std::string_view key, std::string_view value) {
    if (const auto member = member_named(key.substr(1, key.size() - 2))) own[*member] = value;
    return true;
  });
  const auto put = [&out](Member member, std::string_view value) {
    if (!value.empty()) out.append(",\"").append(kMemberNames[member]).append("\":").append(value);
  };
  const bool for_shell = own[kCmd].front() != '[';
  out.append(kCommand).append(own[kCmd]);
  if (!own[kEnv].empty() || !defaults.env.empty()) append_env(out, own[kEnv], defaults);
  put(kCwd, own[kCwd].empty() ? std::string_view(defaults.cwd) : own[kCwd]);
  put(kStdin, own[kStdin]);
  put(kShell, own[kShell].empty() && for_shell ? std::string_view(defaults.shell) : own[kShell]);
  put(kOkExit, own[kOkExit]);
  put(kStdout, own[kStdout].empty() ? std::string_view(defaults.standard_output) : own[kStdout]);
  put(kStderr, own[kStderr].empty() ? std::string_view(defaults.standard_error) : own[kStderr]);
  out += '}';
}

Spec spec_of_job(std::string_view work) {
  const bool may_have = work.find("\"stdout\":") != std::string_view::npos ||
                        work.find("\"stderr\":") != std::string_view::npos;
  if (!may_have) return spec_of_work(work);
  std::size_t end = work.size() - 1;
  visit_json_members(work.substr(0, end), [&](std::string_view key, std::string_view) {
    const bool names_file = key == "\"stdout\"" || key == "\"stderr\"";
    if (names_file) end = static_cast<std::size_t>(key.data() - work.data()) - 1;
    return !names_file;
  });
  return end == work.size() - 1 ? spec_of_work(work) : spec_of_work(std::string(work.substr(0, end)) + '}');
}

}  // namespace workpool
