// SPDX-License-Identifier: MIT
#include "dispatcher/core/outcome_check.h"

#include <string>

#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

void cut(std::string& output, std::uint64_t& truncated) {
  if (output.size() <= kCaptureBytesMax) return;
  const std::size_t kept = utf8_prefix(output, kCaptureBytesMax).size();
  truncated += output.size() - kept;
  output.resize(kept);
}

}  // namespace

void OutcomeCheck::make_fit(Outcome& outcome) {
  if (outcome.message.size() > kErrorMessageBytesMax)
    outcome.message.resize(utf8_prefix(outcome.message, kErrorMessageBytesMax).size());
  if (outcome.command) {
    cut(outcome.command->standard_output, outcome.command->truncated);
    cut(outcome.command->standard_error, outcome.command->truncated);
  }
  if (values_.holds(outcome.value)) return;
  outcome.message = value_fault(outcome.value);
  outcome.value.clear();
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
}

}  // namespace workpool::dispatcher
