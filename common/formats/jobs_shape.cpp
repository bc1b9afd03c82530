// SPDX-License-Identifier: MIT
#include "common/formats/jobs_shape.h"

#include <algorithm>
#include <cstddef>

#include "common/base/check.h"
#include "common/formats/json_text.h"

namespace workpool {
namespace {

bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

// Cuts what comes before the first line that holds a job: a byte order mark, blank lines, and for `lines`
// comments.
std::string_view from_first_job(std::string_view text, JobsFormat format) {
  text.remove_prefix(byte_order_mark_bytes(text));
  for (;;) {
    const auto first = std::find_if_not(text.begin(), text.end(), is_space);
    text.remove_prefix(static_cast<std::size_t>(first - text.begin()));
    if (text.empty() || text.front() != '#' || format == JobsFormat::kJsonLines) return text;
    const std::size_t newline = text.find('\n');
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline);
  }
}

// How an object of JSON begins: `{`, a string and a colon, perhaps after the `[` of an array.
class Opening {
 public:
  enum class Found : std::uint8_t { kYes, kNo, kCut };

  Found read(std::string_view text) {
    text_ = text;
    const std::size_t begin = at_;
    if (next() == '[') {
      array_ = true;
      ++at_;
    }
    if (next() != '{') return other();
    ++at_;
    one_word_ = text_.substr(begin, at_ + 1 - begin) == (array_ ? "[{\"" : "{\"");
    if (next() != '"') return other();
    if (!pass_string()) return at_ == text_.size() ? Found::kCut : Found::kNo;
    return next() == ':' ? Found::kYes : other();
  }
  bool array() const { return array_; }
  // True if there is no space before the key: a shell would take all of it as the name of a program.
  bool one_word() const { return one_word_; }
  std::size_t end() const { return at_; }

 private:
  char next() {
    at_ = skip_json_space(text_, at_);
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  Found other() const { return at_ == text_.size() ? Found::kCut : Found::kNo; }
  // Passes a JSON string, which ends on its line. If this one does not, returns false with `at_` at that
  // place.
  bool pass_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool array_ = false;
  bool one_word_ = false;
};

// Whether the JSON that the first line leaves open continues on the next one. If it does not, the line was
// cut short.
bool goes_on(std::string_view text, std::size_t newline) {
  const auto fault = find_json_fault(text);
  return !fault || fault->offset > skip_json_space(text, newline);
}

}  // namespace

std::size_t first_job_place(std::string_view start, JobsFormat format) {
  return start.size() - from_first_job(start, format).size();
}

JobsShape jobs_shape(std::string_view start, bool whole, JobsFormat format) {
  const std::string_view text = from_first_job(start, format);
  Opening opening;
  switch (text.empty() ? Opening::Found::kCut : opening.read(text)) {
    case Opening::Found::kNo:
      return JobsShape::kAsExpected;
    case Opening::Found::kCut:
      return whole ? JobsShape::kAsExpected : JobsShape::kUndecided;
    case Opening::Found::kYes:
      break;
  }
  const std::size_t newline = text.find('\n', opening.end());
  const std::string_view first_line = text.substr(0, newline);
  const bool cut = newline == std::string_view::npos && !whole;
  const auto fault = find_json_fault(first_line);
  const bool several_lines = first_line.find('\n') != std::string_view::npos;
  const bool unfinished = fault && fault->offset >= first_line.size();
  if (format != JobsFormat::kJsonLines) {
    const bool never_shell = opening.one_word() || several_lines || unfinished ||
                             (!opening.array() && first_line.find_first_of(";&(") == std::string_view::npos);
    if (!never_shell && fault) return cut ? JobsShape::kUndecided : JobsShape::kAsExpected;
  } else if (!opening.array()) {
    if (!several_lines && !unfinished) return cut ? JobsShape::kUndecided : JobsShape::kAsExpected;
    const std::size_t next_line = skip_json_space(text, first_line.size());
    if (next_line == text.size()) return whole ? JobsShape::kAsExpected : JobsShape::kUndecided;
    if (!goes_on(text, next_line)) return JobsShape::kAsExpected;
  }
  if (opening.array()) return JobsShape::kJsonArray;
  if (cut && !several_lines) return JobsShape::kUndecided;
  return several_lines || unfinished ? JobsShape::kIndentedObjects : JobsShape::kJsonLines;
}

JobsFormat guessed_format(std::string_view start) {
  const std::size_t place = first_job_place(start, JobsFormat::kLines);
  const bool is_json = place < start.size() && (start[place] == '{' || start[place] == '[');
  return is_json ? JobsFormat::kJsonLines : JobsFormat::kGuessedLines;
}

const char* advice_for(JobsShape shape, JobsFormat format) {
  const bool lines = format != JobsFormat::kJsonLines;
  switch (shape) {
    case JobsShape::kJsonLines:
      return "this is JSON, which would be run as shell commands: say --format jsonl, or give the file a "
             "name that "
             "ends in .jsonl";
    case JobsShape::kJsonArray:
      return lines ? "this is a JSON array, which would be run as shell commands: turn it into one JSON "
                     "object per "
                     "line (jq -c '.[]') and say --format jsonl"
                   : "this is a JSON array: turn it into one JSON object per line (jq -c '.[]'); if it is a "
                     "shell "
                     "command, say --format lines";
    case JobsShape::kIndentedObjects:
      return lines ? "this is JSON over several lines, which would be run as shell commands: turn it into "
                     "one JSON "
                     "object per line (jq -c .) and say --format jsonl"
                   : "this JSON object goes over several lines: turn it into one JSON object per line (jq -c "
                     ".); if it is a shell command, say --format lines";
    case JobsShape::kAsExpected:
    case JobsShape::kUndecided:
      break;
  }
  CHECK(false);
  return "";
}

}  // namespace workpool
