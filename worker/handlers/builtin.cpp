// SPDX-License-Identifier: MIT
// The handlers that every worker has (docs/reference.md, "Built-in handlers").
#include "common/base/text.h"
#include "common/base/units.h"
#include "worker/handlers/arguments.h"
#include "worker/handlers/registry.h"
#include "worker/handlers/sha256.h"

namespace workpool::worker {
namespace {

class Echo : public Handler {
 public:
  std::string name() const override { return "echo"; }
  bool is_quick() const override { return true; }
  std::string run(std::string_view args, const HandlerContext&) const override { return std::string(args); }
};

class Noop : public Handler {
 public:
  std::string name() const override { return "noop"; }
  bool is_quick() const override { return true; }
  std::string run(std::string_view, const HandlerContext&) const override { return ""; }
};

// {"for": "50ms"}
class Sleep : public Handler {
 public:
  std::string name() const override { return "sleep"; }
  std::string run(std::string_view args, const HandlerContext& context) const override {
    const Arguments arguments(args, {"for"});
    const auto given = arguments.raw("for");
    if (!given) throw HandlerError("args must say how long to sleep: {\"for\": \"50ms\"}");
    // A bare number is seconds, as in a job's own `timeout`.
    const std::string text = given->starts_with('"') ? *arguments.text("for") : std::string(*given);
    const auto duration = parse_duration(text);
    if (!duration)
      throw HandlerError("args: \"for\" must be a duration such as \"50ms\" or \"1.5s\", not " +
                         std::string(*given));
    if (!context.stop.sleep_for(*duration)) throw HandlerError("stopped while it slept");
    return "";
  }
};

// {"path": FILE} or {"text": TEXT} -> {"sha256": 64 hex digits}
class Sha256 : public Handler {
 public:
  std::string name() const override { return "sha256"; }
  std::string run(std::string_view args, const HandlerContext& context) const override {
    const Arguments arguments(args, {"path", "text"});
    const auto path = arguments.text("path");
    const auto text = arguments.text("text");
    if (path.has_value() == text.has_value()) {
      throw HandlerError("args must have either {\"path\": FILE} or {\"text\": TEXT}");
    }
    const std::string digest = path ? sha256_of_file(*path, context.stop) : sha256_of_text(*text);
    return "{\"sha256\":\"" + digest + "\"}";
  }
};

// {"message": TEXT, "times": N}: fails the first N attempts, without "times" every one.
class Fail : public Handler {
 public:
  std::string name() const override { return "fail"; }
  bool is_quick() const override { return true; }
  std::string run(std::string_view args, const HandlerContext& context) const override {
    const Arguments arguments(args, {"message", "times"});
    const auto message = arguments.text("message");
    const auto times = arguments.count("times");
    if (!times || context.attempt() <= *times) throw HandlerError(message.value_or("failed as asked"));
    return "";
  }
};

}  // namespace

HandlerRegistry builtin_handlers() {
  HandlerRegistry registry;
  registry.add(std::make_unique<Echo>());
  registry.add(std::make_unique<Fail>());
  registry.add(std::make_unique<Noop>());
  registry.add(std::make_unique<Sha256>());
  registry.add(std::make_unique<Sleep>());
  return registry;
}

}  // namespace workpool::worker
