// SPDX-License-Identifier: MIT
// A handler's value: one JSON text, at most kValueBytesMax long, that goes into a result line as it came. So
// it may hold no line break or other control byte, not even as whitespace between tokens. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace workpool {

// What is wrong with `value`, for people; empty if nothing is, or if there is no value. As strict as for a
// jobs file (common/formats/json_text.h). Slow: some 50 MB/s.
std::string value_fault(std::string_view value);

// The quick judge: about 1 GB/s, and a few instructions for `null`, `true` or a short number. It accepts two
// things that value_fault does not, since they cannot harm a result line: a key that stands twice in an
// object, and one more level of nesting if that is empty. For one thread at a time; it keeps the parser's
// memory.
class ValueCheck {
 public:
  ValueCheck();
  ~ValueCheck();
  ValueCheck(const ValueCheck&) = delete;
  ValueCheck& operator=(const ValueCheck&) = delete;

  // Returns false if value_fault finds any other fault.
  bool holds(std::string_view value);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;  // made for the first value that needs it
};

}  // namespace workpool
