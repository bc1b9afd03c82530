// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/result_fields.h"

#include <string.h>

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {
namespace {

bool is_number(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool ends_by_itself(std::string_view kind) { return kind == "exit" || kind == "signal" || kind == "timeout"; }

}  // namespace

std::string ending_of(const ResultView& view) {
  if (!view.exit.empty()) return digits_in(view.exit);
  if (const auto signal = number_in(view.signal)) {
    const char* const name =
        *signal > 0 && *signal < 64 ? ::sigabbrev_np(static_cast<int>(*signal)) : nullptr;
    return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(*signal);
  }
  if (view.error.empty()) return "";
  std::string kind = error_of(view).kind;
  const bool is_told = ends_by_itself(kind) || kind == "invalid";
  return is_told ? "" : kind;
}

std::string inputs_text(const ResultView& view) {
  std::string text;
  for (const auto& [name, value] : inputs_of(view)) {
    if (!text.empty()) text += ' ';
    if (!is_number(name)) text += name + '=';
    text += value;
  }
  return text;
}

std::string tag_of(const CountingLine& line, const ResultView& view) {
  if (has_given_id(view)) return text_in(view.id);
  std::string inputs = view.each.empty() ? "" : inputs_text(view);
  return inputs.empty() ? std::to_string(line.line) : inputs;
}

std::string description_of(const ResultView& view, std::string command) {
  if (command.empty() && !view.each.empty()) command = inputs_text(view);
  if (view.error.empty()) return command;
  const ResultError error = error_of(view);
  if (error.message.empty() || ends_by_itself(error.kind)) return command;
  return command + (command.empty() ? "# " : "  # ") + error.message;
}

std::string run_time_text(Duration duration) {
  const double ms = static_cast<double>(duration.count()) / 1000;
  if (duration < milliseconds(1)) return fmt::format("{}us", duration.count());
  if (ms < 9.95) return fmt::format("{:.1f}ms", ms);
  if (ms < 999.5) return fmt::format("{:.0f}ms", ms);
  return format_roughly(duration);
}

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(duration.count() / 1'000'000);
  const std::int64_t rest = duration.count() % 1'000'000;
  if (rest == 0) return text;
  const std::string decimals = std::to_string(1'000'000 + rest);  // with a 1 before its six digits
  return text + '.' + decimals.substr(1, decimals.find_last_not_of('0'));
}

std::string digits_in(std::string_view member) {
  return number_in(member) || duration_in(member) ? std::string(member) : "";
}

std::string shown_whole(std::string_view bytes) { return printable(bytes, bytes.size() * 4); }

}  // namespace workpool::dispatcher
