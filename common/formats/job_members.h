// SPDX-License-Identifier: MIT
// The members of a job in a jobs line: what each value may be. The values are in simdjson's DOM. The text
// that they came from is at hand too, so that an error can name its place. Pure; included by the files of the
// jobs format only (simdjson costs seconds to compile).
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/job.h"
#include "common/formats/job_line_limits.h"
#include "common/formats/json_text.h"

namespace workpool {

using Fault = std::optional<LineError>;

// `offset` in bytes from 0.
inline LineError fault_at(std::size_t offset, std::string message) {
  return {offset + 1, std::move(message)};
}

// A value (or key) of a line: the whole text, and the offset in it.
struct Place {
  std::string_view line;
  std::size_t at = 0;
  LineError error(std::string message) const { return fault_at(at, std::move(message)); }
  Place element(std::size_t index) const { return {line, json_element_place(line, at, index)}; }
  Place value_of_member() const { return {line, json_member_value(line, at)}; }
};

// Which members a line has, and where their keys are.
struct Present {
  std::bitset<kMembers> has;
  std::array<std::size_t, kMembers> key_at{};
  // The error if these members do not go together. `object_at`: where the object starts.
  Fault combination(std::size_t object_at) const;
};

// `text` in double quotes, cut if it is long.
std::string quoted(std::string_view text);
// "unknown key …", with the nearest known one.
std::string unknown_key(std::string_view name);

// Checks the value at `place`. The value of a member outside `work` is stored in `job`.
Fault read_member(Member member, const simdjson::dom::element& value, const Place& place, JobLine& job);

// A text that may hold any bytes: a string, or {"base64": "…"}. Returns the error if `value` is neither:
// `otherwise`, or what is wrong with the base64. `bytes` is a view of the DOM, or of `decoded`.
Fault read_bytes(const simdjson::dom::element& value, const Place& place, const char* otherwise,
                 std::string& decoded, std::string_view& bytes);

// Checks a command's text: at most what Linux executes, and no NUL byte. `what` names it in the error.
Fault check_argument(std::string_view text, const char* what, const Place& place);

// The fault that the slow validator finds in `line`, which the fast one refused; `otherwise` if it finds
// none.
LineError placed_fault(std::string_view line, const char* otherwise);

// A simdjson parser and the padded copy of a text that it needs.
class DomParser {
 public:
  // Returns false if `text` is not JSON. `root` lives until the next call.
  bool parse(std::string_view text, simdjson::dom::element& root) {
    // simdjson refuses a container at its limit unless it is empty, so one more admits depth 64. An empty
    // level 65 then passes, too; has_hidden_fault catches it.
    if (!ready_) ready_ = parser_.allocate(kFirstBytes, kJsonDepthMax + 1) == simdjson::SUCCESS;
    if (!ready_) return false;
    if (padded_.size() < text.size() + simdjson::SIMDJSON_PADDING) {
      padded_.resize(std::max(kFirstBytes, text.size() * 2) + simdjson::SIMDJSON_PADDING);
    }
    std::copy(text.begin(), text.end(), padded_.begin());
    return parser_.parse(padded_.data(), text.size(), false).get(root) == simdjson::SUCCESS;
  }

 private:
  static constexpr std::size_t kFirstBytes = 4096;
  simdjson::dom::parser parser_;
  std::string padded_;
  bool ready_ = false;
};

}  // namespace workpool
