// SPDX-License-Identifier: MIT
#include "worker/core/handler_answer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/outcome.h"
#include "common/base/text.h"
#include "common/formats/json_text.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kShownBytesMost = 200;

bool is_number(std::string_view json) {
  return !json.empty() && (json[0] == '-' || (json[0] >= '0' && json[0] <= '9'));
}

bool is_of_a_word(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') || letter == '_';
}

// How the non-finite numbers are written by Python, JavaScript, C, Go and others.
std::string_view no_number_at(std::string_view text) {
  for (const std::string_view word : {"NaN", "nan", "Infinity", "infinity", "Inf", "inf", "-NaN", "-nan",
                                      "-Infinity", "-infinity", "-Inf", "-inf"}) {
    if (text.starts_with(word) && (text.size() == word.size() || !is_of_a_word(text[word.size()])))
      return word;
  }
  return "";
}

// `value` with a null for each number that is none, and the first of these in `word`.
std::string without_no_numbers(std::string_view value, std::string_view& word) {
  std::string plain;
  for (std::size_t at = 0; at < value.size();) {
    if (value[at] == '"') {
      const std::size_t end = std::max(at + 1, json_string_end(value, at));
      plain += value.substr(at, end - at);
      at = end;
      continue;
    }
    const std::string_view found = no_number_at(value.substr(at));
    if (found.empty()) {
      plain += value[at++];
    } else {
      if (word.empty()) word = found;
      plain += "null";
      at += found.size();
    }
  }
  return plain;
}

}  // namespace

// The JSON text of each member; empty if the line does not have it.
struct HandlerAnswerReader::Members {
  std::string_view value, error, progress, text, id;
  std::string no_number;  // what the value has in place of one

  std::string_view* named(std::string_view key) {
    if (key == "\"value\"") return &value;
    if (key == "\"error\"") return &error;
    if (key == "\"progress\"") return &progress;
    if (key == "\"text\"") return &text;
    return key == "\"id\"" ? &id : nullptr;
  }
};

AnswerFault HandlerAnswerReader::fault_in(std::string_view line, const std::string& why) const {
  const bool is_talk = !trim_json_space(line).starts_with('{');
  return {"the handler's program wrote a line that is no answer, " + why +
          (is_talk ? " (everything else belongs on stderr): " : ": ") +
          (line.empty() ? "an empty line" : printable(line, kShownBytesMost))};
}

// Returns what is wrong with the member, or "".
std::string HandlerAnswerReader::take(std::string_view key, std::string_view value, Members& members) {
  std::string_view* const member = members.named(key);
  if (member == nullptr) return "unknown member " + printable(key, kShownBytesMost);
  if (!member->empty()) return printable(key) + " stands twice in it";
  if (!values_.holds(value)) {
    std::string_view word;
    const bool holds = member == &members.value && value.size() <= kValueBytesMax &&
                       values_.holds(without_no_numbers(value, word));
    if (!holds) return value_fault(value);
    members.no_number = word;
  }
  *member = value;
  if (member == &members.value) return "";
  const bool right = member == &members.progress ? is_number(value) : value.starts_with('"');
  return right ? "" : printable(key) + (member == &members.progress ? " is no number" : " is no string");
}

HandlerAnswer HandlerAnswerReader::read(std::string_view line) {
  const std::string_view object = trim_json_space(line);
  Members members;
  std::string wrong;
  const bool whole = object.ends_with('}') &&
                     visit_json_members(object.substr(0, object.size() - 1), [&](auto key, auto value) {
                       wrong = take(key, value, members);
                       return wrong.empty();
                     });
  if (!whole && wrong.empty()) wrong = R"({"value": …} or {"error": "message"})";
  if (!wrong.empty()) return {fault_in(line, wrong), {}};
  const int answers =
      (members.value.empty() ? 0 : 1) + (members.error.empty() ? 0 : 1) + (members.progress.empty() ? 0 : 1);
  if (answers != 1 || (!members.text.empty() && members.progress.empty()))
    return {fault_in(line, R"(it has to have one of "value", "error" and "progress")"), {}};
  if (!members.no_number.empty()) {
    return {AnswerError{"the value has " + members.no_number +
                        ", which is no number in JSON: the handler has to write null or a string instead"},
            members.id};
  }
  if (!members.value.empty()) return {AnswerValue{members.value}, members.id};
  if (!members.error.empty()) {
    std::string message = json_string_value(members.error, 0);
    if (message.empty()) message = "the handler's program says that it failed, and not why";
    return {AnswerError{std::move(message)}, members.id};
  }
  double done = 0;
  std::from_chars(members.progress.data(), members.progress.data() + members.progress.size(), done);
  const std::string text = members.text.empty() ? "" : json_string_value(members.text, 0);
  return {AnswerProgress{progress_of(done, text)}, members.id};
}

}  // namespace workpool::worker
