// SPDX-License-Identifier: MIT
#include "dispatcher/core/outcome_check.h"

#include <string>

#include "common/base/text.h"
#include "common/formats/output_path.h"

namespace workpool::dispatcher {
namespace {

void cut(std::string& output, std::uint64_t& truncated) {
  if (output.size() <= kCaptureBytesMax) return;
  const std::size_t kept = utf8_prefix(output, kCaptureBytesMax).size();
  truncated += output.size() - kept;
  output.resize(kept);
}

// Nobody could find such a file, or somebody would read another one.
bool drop_without_place(Boxed<OutputFile>& file, bool& keeps) {
  if (!file || is_absolute_path(file->path)) return false;
  file.reset();
  keeps = false;
  return true;
}

void check_files(Outcome& outcome) {
  CommandEnd& end = *outcome.command;
  const bool output_dropped = drop_without_place(end.output_file, end.keeps_output);
  const bool errors_dropped = drop_without_place(end.error_file, end.keeps_errors);
  if ((!output_dropped && !errors_dropped) || outcome.status != Status::kOk) return;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kOutput;
  outcome.message = std::string("the worker does not say in which file its ") +
                    (output_dropped ? "stdout" : "stderr") + " is: it gave no absolute path";
}

}  // namespace

void OutcomeCheck::make_fit(Outcome& outcome) {
  if (outcome.message.size() > kErrorMessageBytesMax)
    outcome.message.resize(utf8_prefix(outcome.message, kErrorMessageBytesMax).size());
  if (outcome.command) {
    cut(outcome.command->standard_output, outcome.command->truncated);
    cut(outcome.command->standard_error, outcome.command->truncated);
    check_files(outcome);
  }
  if (values_.holds(outcome.value)) return;
  outcome.message = value_fault(outcome.value);
  outcome.value.clear();
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
}

}  // namespace workpool::dispatcher
