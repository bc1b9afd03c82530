// SPDX-License-Identifier: MIT
#include "common/formats/value_json.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "common/base/outcome.h"
#include "common/formats/job_members.h"
#include "common/formats/json_text.h"
#include "common/formats/plain_lines.h"

namespace workpool {
namespace {

bool has_control(std::string_view value) {
  return std::any_of(value.begin(), value.end(),
                     [](char letter) { return static_cast<unsigned char>(letter) < 0x20; });
}

// Most values are short or plain, and the general parser would take most of the time of their jobs.
bool is_plainly_good(std::string_view value) {
  return value.empty() || (value.size() <= kValueBytesMax && PlainLines::is_value(value));
}

}  // namespace

std::string value_fault(std::string_view value) {
  if (is_plainly_good(value)) return "";
  if (value.size() > kValueBytesMax) {
    return "the value has " + std::to_string(value.size()) + " bytes, the limit is " +
           std::to_string(kValueBytesMax) + ": larger things travel as files";
  }
  if (has_control(value)) {
    return "the value has control bytes (a line break, say) that a result line cannot hold";
  }
  if (const auto fault = find_json_fault(value, JsonText::kValue)) {
    return "the value is not one JSON text, byte " + std::to_string(fault->offset + 1) + ": " +
           fault->message;
  }
  return "";
}

struct ValueCheck::Parser {
  DomParser dom;
};

ValueCheck::ValueCheck() = default;
ValueCheck::~ValueCheck() = default;

bool ValueCheck::holds(std::string_view value) {
  if (is_plainly_good(value)) return true;
  if (value.size() > kValueBytesMax || has_control(value)) return false;
  if (parser_ == nullptr) parser_ = std::make_unique<Parser>();
  simdjson::dom::element root;
  // value_fault is the rule: what simdjson refuses and it accepts is good.
  return parser_->dom.parse(value, root) || value_fault(value).empty();
}

}  // namespace workpool
