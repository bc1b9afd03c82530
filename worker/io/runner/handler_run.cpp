// SPDX-License-Identifier: MIT
#include "worker/io/runner/handler_run.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "common/base/text.h"
#include "common/formats/jobs_file.h"
#include "common/formats/json_text.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;

bool is_control(char letter) { return static_cast<unsigned char>(letter) < 0x20; }

// What is wrong with `value` as part of a result line; empty where nothing is.
std::string fault_of(const std::string& value) {
  if (value.empty()) return "";
  if (value.size() > kValueBytesMax) {
    return "the value has " + std::to_string(value.size()) + " bytes, the limit is " +
           std::to_string(kValueBytesMax) + ": larger things travel as files";
  }
  if (std::any_of(value.begin(), value.end(), is_control)) {
    return "the value has control bytes (a line break, say) that a result line cannot hold";
  }
  if (const auto fault = find_json_fault(value)) {
    return "the value is not one JSON text, byte " + std::to_string(fault->offset + 1) + ": " +
           fault->message;
  }
  return "";
}

}  // namespace

Outcome handler_failure(const std::string& message) {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
  outcome.message = is_utf8(message) ? std::string(utf8_prefix(message, kMessageBytesMax))
                                     : printable(message, kMessageBytesMax);
  return outcome;
}

Outcome run_handler(const Handler& handler, std::string_view args, const HandlerContext& context) {
  try {
    Outcome outcome;
    outcome.value = handler.run(args, context);
    const std::string fault = fault_of(outcome.value);
    return fault.empty() ? outcome : handler_failure(handler.name() + ": " + fault);
  } catch (const HandlerError& error) {
    return handler_failure(error.what());
  } catch (const std::exception& error) {
    return handler_failure(handler.name() + ": " + error.what());
  } catch (...) {
    return handler_failure(handler.name() + " threw something that is no std::exception");
  }
}

}  // namespace workpool::worker
