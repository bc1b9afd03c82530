// SPDX-License-Identifier: MIT
#include "common/io/log.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/clock.h"

namespace workpool {

namespace {

// At most this many lines of one event in a window. The first line of a later window says how many were left
// out.
constexpr std::uint64_t kRepeatsInWindow = 5;
constexpr Duration kWindow = seconds(10);
// Events are literals of ours, so this is never reached; it bounds a mistake.
constexpr std::size_t kEventsMax = 512;
constexpr std::size_t kValueBytesMax = 1024;

// With a mutex: the formatter keeps the time that it has printed last.
class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    console_.line({text.data(), text.size()});
  }
  void flush_() override {}

  Console& console_;
};

struct Level {
  std::string_view name;  // as --log-level and each line spell it
  spdlog::level::level_enum spdlog_level;
};

// By LogLevel.
constexpr std::array<Level, 5> kLevels = {{{"error", spdlog::level::err},
                                           {"warn", spdlog::level::warn},
                                           {"info", spdlog::level::info},
                                           {"debug", spdlog::level::debug},
                                           {"trace", spdlog::level::trace}}};

void append_value(std::string& out, std::string_view value) {
  const std::string shown = printable(value, kValueBytesMax);
  if (!shown.empty() && shown.find_first_of(" \"=") == std::string::npos) {
    out += shown;
    return;
  }
  out += '"';
  for (const char c : shown) {
    if (c == '"') out += '\\';
    out += c;
  }
  out += '"';
}

std::string with_blanks(std::string_view text) {
  std::string words(text);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

// "warning: cannot kill: they go on without their job (pids 7,8)".
std::string spoken(LogLevel level, std::string_view event, Fields fields, std::string_view words,
                   std::uint64_t left_out) {
  std::string text = level == LogLevel::kError ? "error: " : level == LogLevel::kWarn ? "warning: " : "";
  if (!words.empty()) {
    text += printable(words, kValueBytesMax);
  } else {
    text += with_blanks(event);
    std::string facts;
    for (const Field& field : fields) {
      const std::string value = printable(field.value, kValueBytesMax);
      if (field.key == "detail" || field.key == "reason") {
        text += ": " + value;
      } else {
        facts += (facts.empty() ? "" : ", ") + with_blanks(field.key) + ' ' + value;
      }
    }
    if (!facts.empty()) text += " (" + facts + ')';
  }
  if (left_out != 0) text += " (" + counted(left_out, "more such line") + " left out)";
  return text;
}

struct Repeats {
  Time window_start;
  std::uint64_t shown = 0;
  std::uint64_t left_out = 0;
};

}  // namespace

std::optional<LogLevel> log_level_named(std::string_view name) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i].name == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

Field::Field(std::string_view field_key, Duration duration)
    : key(field_key), value(format_duration(duration)) {}

struct Log::Impl {
  Impl(Console& console_given, std::function<Time()> given_clock)
      : console(console_given),
        logger("workpool", std::make_shared<ConsoleSink>(console_given)),
        clock(given_clock ? std::move(given_clock) : boot_time) {
    logger.set_level(spdlog::level::trace);
    // Lines go out through Console::line, which ends them.
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %v",
                                                                     spdlog::pattern_time_type::utc, ""));
  }

  // How many lines of this event were left out before this one; nullopt if this one is left out too.
  std::optional<std::uint64_t> admit(std::string_view event) {
    const Time now = clock();
    const std::lock_guard lock(mutex);
    if (repeats.size() >= kEventsMax) repeats.clear();
    const auto [place, fresh] = repeats.try_emplace(std::string(event));
    Repeats& state = place->second;
    if (fresh || now - state.window_start >= kWindow) {
      const std::uint64_t before = state.left_out;
      state = {now, 1, 0};
      return before;
    }
    if (state.shown >= kRepeatsInWindow) {
      ++state.left_out;
      return std::nullopt;
    }
    ++state.shown;
    return 0;
  }

  Console& console;
  spdlog::logger logger;
  std::function<Time()> clock;
  std::mutex mutex;
  std::map<std::string, Repeats> repeats;  // by event
};

Log::Log(Console& console, LogLevel level, std::function<Time()> clock, LogStyle style)
    : level_(level), style_(style), impl_(std::make_unique<Impl>(console, std::move(clock))) {}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view event, Fields fields, std::string_view words) {
  if (!shows(level)) return;
  std::uint64_t left_out = 0;
  if (level <= LogLevel::kInfo) {
    const auto admitted = impl_->admit(event);
    if (!admitted) return;
    left_out = *admitted;
  }
  if (style_ == LogStyle::kWords) {
    impl_->console.line(spoken(level, event, fields, words, left_out));
    return;
  }
  const Level& shown_level = kLevels[static_cast<std::size_t>(level)];
  std::string text(shown_level.name);
  text += ' ';
  text += event;
  for (const Field& field : fields) {
    text += ' ';
    text += field.key;
    text += '=';
    append_value(text, field.value);
  }
  if (left_out != 0) text += " repeats_left_out=" + std::to_string(left_out);
  impl_->logger.log(shown_level.spdlog_level, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace workpool
