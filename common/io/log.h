// SPDX-License-Identifier: MIT
// The log: `event key=value …` lines on the console, for whoever operates a program, or the same in words for
// a person who watches a terminal. error = a person must
// act, warn = something was lost, retried or refused, info = lifecycle, debug = per job, trace = per message.
// Secrets and payloads are never logged. Thread-safe. An event that repeats is rate-limited, except at debug
// and trace.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/time.h"
#include "common/io/console.h"

namespace workpool {

enum class LogLevel : std::uint8_t { kError, kWarn, kInfo, kDebug, kTrace };

// "error", "warn", "info", "debug", "trace"; nullopt for any other text.
std::optional<LogLevel> log_level_named(std::string_view name);

// One `key=value`. The value is quoted if it has spaces, and never carries a control character to the
// terminal.
struct Field {
  Field(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  Field(std::string_view field_key, const char* text) : key(field_key), value(text) {}
  Field(std::string_view field_key, const std::string& text) : key(field_key), value(text) {}
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Field(std::string_view field_key, Number number) : key(field_key), value(std::to_string(number)) {}
  Field(std::string_view field_key, bool truth) : key(field_key), value(truth ? "yes" : "no") {}
  Field(std::string_view field_key, Duration duration);

  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

enum class LogStyle : std::uint8_t { kEvents, kWords };

class Log {
 public:
  // `console` outlives the log. `clock` paces repeated events; boot_time() if it is empty.
  Log(Console& console, LogLevel level, std::function<Time()> clock = {}, LogStyle style = LogStyle::kEvents);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Ask before building costly fields.
  bool shows(LogLevel level) const { return level <= level_; }

  // `event`: a short literal in snake_case, the same one for the same kind of thing: repeats are recognised
  // by it. `words`: the same for a person; made of the event and its fields if empty.
  void write(LogLevel level, std::string_view event, Fields fields = {}, std::string_view words = {});
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::kError, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { write(LogLevel::kWarn, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(LogLevel::kInfo, event, fields); }
  void debug(std::string_view event, Fields fields = {}) { write(LogLevel::kDebug, event, fields); }
  void trace(std::string_view event, Fields fields = {}) { write(LogLevel::kTrace, event, fields); }

 private:
  struct Impl;
  LogLevel level_;
  LogStyle style_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool
