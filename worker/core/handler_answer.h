// SPDX-License-Identifier: MIT
// What the program of a handler writes, line by line (docs/handlers.md). Pure; a reader is used by one
// thread.
//
//   {"value": JSON}   {"error": "message"}   {"progress": 0.4, "text": "…"}
//
// Each may repeat the "id" of its request. Nothing else may stand in it. A value with NaN or Infinity, which
// many languages write although JSON has neither, is an answer, too: an error.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "common/base/progress.h"
#include "common/formats/value_json.h"

namespace workpool::worker {

struct AnswerValue {
  std::string_view value;  // a part of the line, as it came: one JSON text
};
struct AnswerError {
  std::string message;
};
struct AnswerProgress {
  Progress progress;
};
struct AnswerFault {
  std::string message;  // what is wrong with the line, for people
};

struct HandlerAnswer {
  std::variant<AnswerValue, AnswerError, AnswerProgress, AnswerFault> says;
  std::string_view id;  // the JSON text of its "id"; empty if it has none
};

class HandlerAnswerReader {
 public:
  // `line`: any bytes, without the newline.
  HandlerAnswer read(std::string_view line);

 private:
  struct Members;
  std::string take(std::string_view key, std::string_view value, Members& members);
  AnswerFault fault_in(std::string_view line, const std::string& why) const;

  ValueCheck values_;
};

}  // namespace workpool::worker
