// SPDX-License-Identifier: MIT
#include "worker/io/runner/handler_run.h"

#include <exception>
#include <utility>

#include "common/base/text.h"
#include "common/formats/value_json.h"

namespace workpool::worker {
Outcome handler_failure(const std::string& message) {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
  outcome.message = is_utf8(message) ? std::string(utf8_prefix(message, kErrorMessageBytesMax))
                                     : printable(message, kErrorMessageBytesMax);
  return outcome;
}

void run_handler(const Handler& handler, std::string_view args, const HandlerContext& context,
                 Outcome& outcome) {
  try {
    outcome.value = handler.run(args, context);
    const std::string fault = value_fault(outcome.value);
    if (!fault.empty()) outcome = handler_failure(handler.name() + ": " + fault);
  } catch (const HandlerError& error) {
    outcome = handler_failure(error.what());
  } catch (const std::exception& error) {
    outcome = handler_failure(handler.name() + ": " + error.what());
  } catch (...) {
    outcome = handler_failure(handler.name() + " threw something that is no std::exception");
  }
}

}  // namespace workpool::worker
