// SPDX-License-Identifier: MIT
// What people write, and what our own files hold.
#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"
#include "common/formats/json_text.h"
#include "common/formats/results_file.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"
#include "tests/support/owned_result.h"

namespace workpool::fuzz {
namespace {

bool printable_only(std::string_view text) {
  return is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

void check_error(const LineError& error, std::size_t line_bytes) {
  CHECK(!error.message.empty() && printable_only(error.message));
  CHECK(error.column >= 1 && error.column <= line_bytes + 1);
}

// A job's work is one compact JSON text, is parsed again by the worker, and hashes to the same spec each
// time.
void check_job(const JobLine& job) {
  CHECK(job.spec == spec_of_job(job.work));
  CHECK(!find_json_fault(job.work));
  CHECK(job.work.find('\n') == std::string::npos);
  CHECK(job.requirement.slots >= 1);
  CHECK(std::is_sorted(job.requirement.labels.begin(), job.requirement.labels.end()));
  CHECK(!std::holds_alternative<LineError>(WorkParser().parse(job.work)));
}

// Any job with defaults is one that has them already, whichever parser reads it.
void check_with_defaults(std::string_view input, JobsFormat format) {
  JobDefaults given;
  given.set_cwd("/d");
  given.set_shell("bash");
  given.set_variable("A", "1");
  given.labels.emplace(1, "l");
  if (is_defaults_line(input)) {
    auto read = read_job_defaults(input);
    if (const auto* error = std::get_if<LineError>(&read)) return check_error(*error, input.size());
    given = std::get<JobDefaults>(std::move(read));
    input = R"({"cmd":"x"})";
    format = JobsFormat::kJsonLines;
  }
  JobLineParser parser(format, std::make_shared<const JobDefaults>(given));
  const auto parsed = parser.parse(input);
  const auto* view = std::get_if<JobView>(&parsed);
  if (view == nullptr) return;
  const JobLine job = view->own();
  check_job(job);
  if (format == JobsFormat::kJsonLines) CHECK(std::get<JobView>(parser.parse_as_any(input)).own() == job);
  JobLineParser json(JobsFormat::kJsonLines, std::make_shared<const JobDefaults>(given));
  CHECK(std::get<JobView>(json.parse(job.work)).work == job.work);
}

void run_job_line(std::string_view input, JobsFormat format) {
  check_with_defaults(input, format);
  JobLineParser parser(format);
  const auto parsed = parser.parse(input);
  if (const auto* error = std::get_if<LineError>(&parsed)) check_error(*error, input.size());
  const auto* view = std::get_if<JobView>(&parsed);
  if (view == nullptr) return;
  const JobLine job = view->own();
  check_job(job);
  CHECK(std::get<JobView>(parser.parse(input)).own() == job);
  if (format == JobsFormat::kJsonLines) CHECK(std::get<JobView>(parser.parse_as_any(input)).own() == job);
}

std::string result_line(const Outcome& outcome, bool is_default) {
  OwnedResult line;
  line.spec = Spec{{1, 2}};
  line.repeat = is_default ? 1 : 0;
  line.id = is_default ? "" : "id \"1\"";
  line.line = 3;
  line.attempt = 1;
  line.outcome = outcome;
  line.worker = "w1";
  line.finished_ms = 1'700'000'000'000;
  line.run = {7};
  std::string out;
  append_result_line(out, line);
  out.pop_back();
  return out;
}

}  // namespace

void run_job_line_json(std::string_view input) { run_job_line(input, JobsFormat::kJsonLines); }
void run_job_line_text(std::string_view input) { run_job_line(input, JobsFormat::kLines); }

void run_parse_work(std::string_view input) {
  WorkParser parser;
  const auto parsed = parser.parse(input);
  CHECK(parser.parse(input).index() == parsed.index());
  const auto as_any = parser.parse_as_any(input);
  CHECK(as_any.index() == parsed.index());
  if (const auto* command = std::get_if<CommandWork>(&parsed)) {
    CHECK(!command->argv.empty());
  } else if (const auto* handler = std::get_if<HandlerWork>(&parsed)) {
    CHECK(!handler->type.empty() && !find_json_fault(handler->args));
    const auto& general = std::get<HandlerWork>(as_any);
    CHECK(general.type == handler->type && general.args == handler->args);
  } else {
    check_error(std::get<LineError>(parsed), input.size());
  }
}

// The bytes as they are, and, since no fuzzer guesses a checksum, with one that fits.
void run_result_line(std::string_view input) {
  ReplayedLine replayed;
  read_result_line(input, replayed);
  std::string fitting(input);
  std::string_view bare(input);
  if (strip_crc(bare)) fitting = bare;
  append_crc(fitting, 0);
  fitting.pop_back();
  if (read_result_line(fitting, replayed) == LineDamage::kNone)
    CHECK(!replayed.id.empty() && is_utf8(replayed.id));
  // And an outcome of these bytes, printed and read.
  Input choices(input);
  Outcome outcome;
  outcome.status = static_cast<Status>(choices.pick(4));
  if (outcome.status != Status::kOk) outcome.kind = static_cast<ErrorKind>(1 + choices.pick(6));
  outcome.message = choices.take(choices.byte());
  if (choices.once(2)) {
    CommandEnd& end = outcome.command.emplace();
    if (choices.once(2)) end.exit = static_cast<std::int32_t>(choices.word());
    if (!end.exit) end.signal = static_cast<std::int32_t>(choices.byte());
    end.standard_output = choices.take(choices.byte());
    end.standard_error = choices.take(100);
  }
  const std::string line = result_line(outcome, outcome.message.size() % 2 == 0);
  CHECK(!find_json_fault(line));
  CHECK(read_result_line(line, replayed) == LineDamage::kNone);
  CHECK(replayed.status == outcome.status && replayed.run == RunId{7} && replayed.spec == (Spec{{1, 2}}));
}

void run_units(std::string_view input) {
  if (const auto duration = parse_duration(input)) {
    CHECK(duration->count() >= 0 && *duration <= seconds(10ll * 366 * 24 * 3600));
    CHECK(parse_duration(format_duration(*duration)) == duration);
  }
  parse_size(input);
  for (const bool zero : {false, true}) {
    const auto address = parse_address(input, zero);
    if (!address) continue;
    CHECK(zero || address->port != 0 || is_folder(address->host));
    const auto again = parse_address(address->text(), zero);
    CHECK(again && again->host == address->host && again->port == address->port);
    CHECK(!is_loopback_literal(address->host) || is_literal(address->host));
  }
}

void run_text(std::string_view input) {
  CHECK(printable_only(printable(input)));
  CHECK(printable(input, 40).size() <= 48);
  CHECK(utf8_valid_bytes(input) <= input.size());
  const std::string_view valid = input.substr(0, utf8_valid_bytes(input));
  CHECK(is_utf8(valid) && is_utf8(input) == (valid.size() == input.size()));
  std::string json;
  append_json_string(json, valid);
  CHECK(json.size() == json_string_bytes(valid) && !find_json_fault(json));
  CHECK(utf8_prefix(input, 7).size() <= 7 && utf8_suffix(input, 7).size() <= 7);
  std::string base64;
  append_base64(base64, input);
  CHECK(base64.size() == (input.size() + 2) / 3 * 4);
  find_json_fault(input);
}

// ---- seeds ----

std::vector<std::string> json_line_seeds() {
  return {
      R"({"id":"a","cmd":["echo","x y"],"env":{"A":"1"},"cwd":"/tmp","stdin":"in","priority":-3,"timeout":"1m"})",
      R"({"cmd":"echo $HOME | wc","slots":2,"labels":["gpu","a"],"retries":2,"timeout":1.5})",
      R"({"type":"echo","args":{"n":[1,2.5e3,null,true,"\u00e9\n"]}})",
      "  ",
      "{}",
      R"({"cmd":[]})",
      R"({"cmd":["a"],"cmd":["b"]})",
      "{\"cmd\":[\"\xff\"]}",
      R"([1,2])",
      R"({"type":"echo","args":[[[[[[[[]]]]]]]]})",
      R"({"defaults": {"cwd":"/d","env":{"A":"1","\u0042":"2"},"shell":"bash","labels":["x"],"retries":1}})"};
}

std::vector<std::string> text_line_seeds() {
  return {"echo hello world",          "# a comment", "", "  \t", "printf '%s' \"$A\"\r",
          std::string("nul\0byte", 8), "\xff\xfe"};
}

std::vector<std::string> work_seeds() {
  return {R"({"cmd":["echo","x"],"env":{"A":"1"},"cwd":"/tmp","stdin":"in"})",
          R"({"cmd":"echo $A"})",
          R"({"type":"echo","args":[1]})",
          R"({"type":"sleep"})",
          "{}",
          "",
          "null"};
}

std::vector<std::string> result_line_seeds() {
  Outcome command;
  command.status = Status::kFailed;
  command.kind = ErrorKind::kExit;
  command.message = "exit status 1";
  command.command.emplace();
  command.command->exit = 1;
  command.command->standard_output = "out\n";
  command.command->standard_error = "\xff";
  Outcome value;
  value.value = R"({"a":1})";
  return {result_line(command, false), result_line(value, true), result_line({}, true), ""};
}

std::vector<std::string> unit_seeds() {
  return {"200ms",
          "1.5s",
          "1h30m",
          "3650d",
          "64KiB",
          "1.5GB",
          "18446744073709551615",
          "tcp://127.0.0.1:5555",
          "tcp://[::1]:1",
          "tcp://*:0",
          "tcp://host.example:65535",
          "tcp://[fe80::1%eth0]:5"};
}

std::vector<std::string> text_seeds() {
  return {"plain",
          "Gr\xc3\xbc\xc3\x9f"
          "e \xe2\x82\xac \xf0\x9f\x98\x80",
          "\xc0\xaf\xed\xa0\x80",
          "\x1b[31m\x07\x7f\xc2\x9b",
          R"({"a":[1,-0.5e+7,"\ud83d\ude00"]})",
          std::string(300, 'x')};
}

}  // namespace workpool::fuzz
