// SPDX-License-Identifier: MIT
// Most lines are plain (common/formats/plain_lines.h). Any other is judged by simdjson's DOM, which holds the
// values. The bytes that `spec` hashes are copied from the text, which is known to be valid by then. Only a
// refused line pays for the validator that knows places (common/formats/json_text.h).
#include "common/formats/jobs_file.h"

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/formats/job_members.h"
#include "common/formats/json_text.h"
#include "common/formats/plain_lines.h"

namespace workpool {

namespace dom = simdjson::dom;

namespace {

bool is_blank(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

}  // namespace

// ---- a line of a jobs file ----

struct JobLineParser::State {
  using Parsed = std::variant<JobView, NoJob, LineError>;

  State(JobsFormat chosen, std::shared_ptr<const JobDefaults> given) : format(chosen) {
    if (!given) return;
    if (given->limits) rules = given;
    if (!given->change_lines()) return;
    defaults = std::move(given);
    if (defaults->labels) default_labels.assign(defaults->labels->begin(), defaults->labels->end());
  }

  Parsed parse_shell_line(std::string_view line) {
    const auto first = std::find_if_not(line.begin(), line.end(), is_blank);
    if (first == line.end() || *first == '#') return NoJob{};
    if (format == JobsFormat::kGuessedLines && (*first == '{' || *first == '[')) {
      return fault_at(
          static_cast<std::size_t>(first - line.begin()),
          std::string("begins with `") + *first +
              "`, as JSON does, among shell commands: say --format lines if it is a command too, or "
              "--format jsonl if all lines are jobs");
    }
    const std::size_t valid = utf8_valid_bytes(line);
    if (valid != line.size()) return fault_at(valid, "not UTF-8: save the file as UTF-8");
    const std::size_t nul = line.find('\0');
    if (nul != std::string_view::npos)
      return fault_at(nul, "a NUL byte in a command: no program can be given one");
    if (auto fault = check_argument(line, "a command", {line, 0})) return *std::move(fault);
    job.work = "{\"cmd\":";
    append_spec_string(job.work, line);
    job.work += '}';
    return view();
  }

  Parsed parse_json_line(std::string_view line) {
    if (auto read = plain.read(line)) return *read;
    return parse_any_json_line(line);
  }

  Parsed parse_line(std::string_view line) {
    return format == JobsFormat::kJsonLines ? parse_json_line(line) : parse_shell_line(line);
  }

  struct Says {
    bool labels = false;
    bool limit = false;
  };

  Parsed complete(Parsed&& parsed, std::string_view line, const Says& says) {
    auto* const view = std::get_if<JobView>(&parsed);
    if (view == nullptr || (!defaults && view->requirement.limits.empty())) return std::move(parsed);
    if (auto fault = find_limits(*view, line, says.limit)) return *std::move(fault);
    return defaults ? with_defaults(std::move(parsed), *view, says.labels) : std::move(parsed);
  }

  // Looks up what the keys of the job allow.
  Fault find_limits(JobView& job_view, std::string_view line, bool says_limit) {
    limits.clear();
    const auto find = [this](std::string_view key) {
      const auto rule = rules->limits->find(key);
      if (rule) limits.push_back({key, *rule});
      return rule.has_value();
    };
    const auto fault = [&](std::string_view key) {
      const std::string known = rules->limits->names();
      return LineError{member_column(line, kLimit),
                       "nothing says what the limit " + quoted(key) + " allows" +
                           (known.empty() ? "" : " (there are " + printable(known, 200) + ")") +
                           ": say so with --limit, or in the first line with \"limits\""};
    };
    if (rules && rules->limits->rate()) limits.push_back({"", *rules->limits->rate()});
    if (rules && !says_limit && rules->limit) {
      for (const std::string& key : *rules->limit) {
        if (!find(key)) return fault(key);
      }
    } else if (rules) {
      for (const LimitView& named : job_view.requirement.limits) {
        if (!find(named.key)) return fault(named.key);
      }
    }
    job_view.requirement.limits = limits;
    return std::nullopt;
  }

  // REQUIRES: there are defaults. `job_view`: in `parsed`.
  Parsed with_defaults(Parsed&& parsed, JobView& job_view, bool says_labels) {
    if (!says_labels && defaults->labels) job_view.requirement.labels = default_labels;
    if (!defaults->change_works()) return std::move(parsed);
    whole_work.clear();
    append_work_with_defaults(whole_work, job_view.work, *defaults);
    if (whole_work.size() > kLineBytesMax)
      return fault_at(0, "with its defaults a job of more than 1 MiB: put what is large into a file");
    job_view.work = whole_work;
    job_view.spec = spec_of_job(whole_work);
    return parsed;
  }

  Parsed parse_any_json_line(std::string_view line) {
    const std::size_t start = skip_json_space(line, 0);
    if (start == line.size()) return NoJob{};
    dom::element root;
    if (!dom.parse(line, root)) return placed_fault(line, "not valid JSON");
    dom::object object;
    if (root.get(object) != simdjson::SUCCESS) {
      return fault_at(start, "a job is one JSON object per line, such as {\"cmd\": [\"true\"]}");
    }
    Present present;
    job = {};
    if (auto fault = read_members(line, start, object, present)) return *std::move(fault);
    says = {present.has[kLabels], present.has[kLimit]};
    if (auto fault = present.combination(start)) return *std::move(fault);
    if (present.has[kShell] && line[json_member_value(line, present.key_at[kCmd])] == '[')
      return fault_at(present.key_at[kShell], "\"shell\" belongs to a \"cmd\" that is a string");
    build_work(present);
    return view();
  }

  // Takes values from the DOM and bytes from the text, member by member, in the order of the line.
  Fault read_members(std::string_view line, std::size_t start, const dom::object& object, Present& present) {
    compact.clear();
    std::size_t at = start + 1;
    for (const auto member : object) {
      const std::size_t key_at = skip_json_space(line, at);
      const std::size_t value_at = json_member_value(line, key_at);
      const auto known = member_named(member.key);
      if (!known && (member.key == "defaults" || member.key == "limits"))
        return fault_at(key_at, quoted(member.key) + " must be in the first line of the jobs, without a job");
      if (!known) return fault_at(key_at, unknown_key(member.key));
      if (present.has[*known]) {
        return fault_at(key_at,
                        "the key \"" + std::string(kMemberNames[*known]) + "\" occurs twice: keep one");
      }
      present.has.set(*known);
      present.key_at[*known] = key_at;
      if (auto fault = read_member(*known, member.value, {line, value_at}, job)) return fault;
      if (*known == kType) job.requirement.type = std::string_view(member.value);
      const std::size_t begin = compact.size();
      at = append_compact_json(compact, line, value_at);
      bytes_of[*known] = {begin, compact.size() - begin};
      if (*known == kEach || *known == kMeta) {
        if (auto fault = take_note(*known, {line, value_at})) return fault;
      }
      at = skip_json_space(line, at) + 1;  // past the comma, or the brace
    }
    return std::nullopt;
  }

  // Keeps the member for the result line, as the last value in `compact`.
  Fault take_note(Member member, const Place& place) {
    const std::size_t most = member == kEach ? kEachBytesMax : kMetaBytesMax;
    const std::string_view value(compact.data() + bytes_of[member].first, bytes_of[member].second);
    const std::string name(kMemberNames[member]);
    if (value.size() > most) {
      return place.error('"' + name + "\" of " + std::to_string(value.size()) + " bytes: at most " +
                         std::to_string(most) + " are copied into a result");
    }
    std::string& notes = job.notes.members;
    notes.append(notes.empty() ? "\"" : ",\"").append(name).append("\":").append(value);
    return std::nullopt;
  }

  void build_work(const Present& present) {
    job.work.reserve(compact.size() + 64);
    for (std::size_t member = 0; member < kWorkMembers; ++member) {
      if (!present.has[member]) continue;
      job.work += job.work.empty() ? "{\"" : ",\"";
      job.work += kMemberNames[member];
      job.work += "\":";
      job.work.append(compact, bytes_of[member].first, bytes_of[member].second);
    }
    job.work += '}';
  }

  // A view of what is in `job`.
  JobView view() {
    labels.assign(job.requirement.labels.begin(), job.requirement.labels.end());
    keys.clear();
    for (const Limit& limit : job.requirement.limits) keys.push_back({limit.key, {}});
    return {job.id,
            job.work,
            spec_of_job(job.work),
            {job.requirement.type, labels, job.requirement.slots, keys},
            job.priority,
            job.timeout,
            job.retries,
            job.notes == JobNotes{} ? nullptr : &job.notes};
  }

  // Exactly as docs/reference.md defines the spec of a shell line: `"` and `\` escaped, control characters
  // (U+0000 to U+001F) as \u00xx.
  static void append_spec_string(std::string& out, std::string_view text) {
    static constexpr char kHexDigits[] = "0123456789abcdef";
    out.reserve(out.size() + text.size() + 16);
    out += '"';
    for (const char letter : text) {
      const auto byte = static_cast<unsigned char>(letter);
      if (byte < 0x20) {
        out += "\\u00";
        out += kHexDigits[byte >> 4];
        out += kHexDigits[byte & 0xf];
        continue;
      }
      if (letter == '"' || letter == '\\') out += '\\';
      out += letter;
    }
    out += '"';
  }

  JobsFormat format;
  std::shared_ptr<const JobDefaults> defaults;  // null if they change no line
  std::shared_ptr<const JobDefaults> rules;     // null if nobody cares for limits
  std::vector<std::string_view> default_labels;
  std::string whole_work;  // with defaults
  PlainLines plain;
  // For lines that are not plain.
  DomParser dom;
  std::string compact;  // the values of the line, without whitespace
  std::array<std::pair<std::size_t, std::size_t>, kMembers>
      bytes_of{};  // of each: where in `compact`, how many bytes
  JobLine job;
  Says says;                             // which of these members `job` has
  std::vector<std::string_view> labels;  // of `job`
  std::vector<LimitView> keys;           // the same
  std::vector<LimitView> limits;         // what its keys allow
};

JobLineParser::JobLineParser(JobsFormat format, std::shared_ptr<const JobDefaults> defaults)
    : state_(std::make_unique<State>(format, std::move(defaults))) {}
JobLineParser::~JobLineParser() = default;

std::variant<JobView, NoJob, LineError> JobLineParser::parse(std::string_view line) {
  if (line.size() > kLineBytesMax) return line_too_long();
  state_->says = {};
  auto parsed = state_->parse_line(line);
  const bool says_limit = state_->says.limit || state_->plain.says_limit();
  return state_->complete(std::move(parsed), line,
                          {state_->says.labels || state_->plain.says_labels(), says_limit});
}

std::variant<JobView, NoJob, LineError> JobLineParser::parse_as_any(std::string_view line) {
  if (line.size() > kLineBytesMax) return line_too_long();
  auto parsed = state_->parse_any_json_line(line);
  return state_->complete(std::move(parsed), line, state_->says);
}

LineError line_too_long() {
  return fault_at(kLineBytesMax,
                  "a line of more than 1 MiB: put what is large into a file and pass its name");
}

std::uint64_t id_column(std::string_view line) { return member_column(line, kId); }

std::uint64_t member_column(std::string_view line, Member which) {
  std::size_t at = skip_json_space(line, 0);
  if (at == line.size() || line[at] != '{' || find_json_fault(line)) return 1;
  DomParser dom;
  dom::element root;
  dom::object object;
  if (!dom.parse(line, root) || root.get(object) != simdjson::SUCCESS) return 1;
  for (const auto member : object) {
    const std::size_t value_at = json_member_value(line, skip_json_space(line, at + 1));
    if (member.key == kMemberNames[which]) return value_at + 1;
    at = skip_json_space(line, json_value_end(line, value_at));
  }
  return 1;
}

// ---- the worker's side ----

namespace {

// The value has been checked.
std::string owned(const dom::element& value) {
  std::string decoded;
  std::string_view text;
  read_bytes(value, {}, "", decoded, text);
  return std::string(text);
}

void take_cmd(const dom::element& value, CommandWork& command) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) {
    command.for_shell = true;
    command.argv = {"/bin/sh", "-c", owned(value)};
    // A command that starts like an option would be taken for one.
    const std::string& text = command.argv.back();
    if (text.starts_with('-') || text.starts_with('+')) command.argv.insert(command.argv.begin() + 2, "--");
    return;
  }
  for (const dom::element element : array) command.argv.push_back(owned(element));
}

void take_env(const dom::element& value, CommandWork& command) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return;
  for (const auto member : object) command.env.emplace_back(member.key, owned(member.value));
}

void take_ok_exit(const dom::element& value, CommandWork& command) {
  command.ok_exits.reset();
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return;
  for (const dom::element element : array) {
    std::int64_t status = 0;
    if (element.get(status) == simdjson::SUCCESS) command.ok_exits.set(static_cast<std::size_t>(status));
  }
}

constexpr std::size_t kParserKeptBytes = 64 * 1024;  // a parser that read a longer text is not kept

std::variant<CommandWork, HandlerWork, LineError> parse_work(DomParser& dom, std::string_view work) {
  dom::element root;
  dom::object object;
  if (work.size() > kLineBytesMax + kLineBytesMax / 8) return line_too_long();
  if (!dom.parse(work, root)) return placed_fault(work, "not valid JSON");
  if (root.get(object) != simdjson::SUCCESS || work[0] != '{')
    return fault_at(0, "the work of a job must be an object");

  CommandWork command;
  HandlerWork handler;
  Present present;
  JobLine ignored;
  std::string compact;
  std::size_t at = 1;
  std::size_t next = kCmd;  // members come in their order, each at most once
  for (const auto member : object) {
    const auto known = member_named(member.key);
    if (!known || *known < next || *known >= kWorkMembers)
      return fault_at(at, "not a member of work, or out of order");
    next = *known + 1;
    present.has.set(*known);
    present.key_at[*known] = at;
    const std::size_t value_at = at + member.key.size() + 3;
    if (json_member_value(work, at) != value_at) return fault_at(at, "the work of a job must be compact");
    if (auto fault = read_member(*known, member.value, {work, value_at}, ignored)) return *std::move(fault);
    compact.clear();
    const std::size_t end = append_compact_json(compact, work, value_at);
    if (compact.size() != end - value_at || end >= work.size() || (work[end] != ',' && work[end] != '}')) {
      return fault_at(value_at, "the work of a job must be compact");
    }
    at = end + 1;
    if (*known == kCmd) take_cmd(member.value, command);
    if (*known == kType) handler.type = owned(member.value);
    if (*known == kArgs) handler.args = work.substr(value_at, end - value_at);
    if (*known == kEnv) take_env(member.value, command);
    if (*known == kCwd) command.cwd = owned(member.value);
    if (*known == kStdin) command.standard_input = owned(member.value);
    if (*known == kShell) command.argv.front() = owned(member.value);
    if (*known == kOkExit) take_ok_exit(member.value, command);
    if (*known == kStdout) command.output_path = owned(member.value);
    if (*known == kStderr) command.error_path = owned(member.value);
  }
  if (auto fault = present.combination(0)) return *std::move(fault);
  if (at != work.size()) return fault_at(at, "the work of a job must be compact");
  if (present.has[kShell] && !command.for_shell)
    return fault_at(present.key_at[kShell], "\"shell\" belongs to a \"cmd\" that is a string");
  if (present.has[kCmd]) return command;
  if (!present.has[kArgs]) handler.args = "null";
  return handler;
}

}  // namespace

struct WorkParser::State {
  DomParser dom;
};

WorkParser::WorkParser() : state_(std::make_unique<State>()) {}
WorkParser::~WorkParser() = default;

std::variant<CommandWork, HandlerWork, LineError> WorkParser::parse(std::string_view work) {
  if (const auto plain = PlainLines::read_work(work))
    return HandlerWork{std::string(plain->type), plain->args.empty() ? "null" : plain->args};
  return parse_as_any(work);
}

std::variant<CommandWork, HandlerWork, LineError> WorkParser::parse_as_any(std::string_view work) {
  if (work.size() <= kParserKeptBytes) return parse_work(state_->dom, work);
  DomParser dom;
  return parse_work(dom, work);
}

}  // namespace workpool
