// SPDX-License-Identifier: MIT
#include "common/formats/result_view.h"

#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "common/base/text.h"
#include "common/formats/json_text.h"
#include "common/formats/results_file.h"

namespace workpool {
namespace {

struct Known {
  std::string_view key;
  std::string_view ResultView::*member;
};
// In the order in which they are written.
constexpr std::array kKnown = {
    Known{"\"id\"", &ResultView::id},
    Known{"\"line\"", &ResultView::line},
    Known{"\"status\"", &ResultView::status},
    Known{"\"attempt\"", &ResultView::attempt},
    Known{"\"error\"", &ResultView::error},
    Known{"\"exit\"", &ResultView::exit},
    Known{"\"signal\"", &ResultView::signal},
    Known{"\"stdout\"", &ResultView::standard_output},
    Known{"\"stdout_base64\"", &ResultView::standard_output_base64},
    Known{"\"stderr\"", &ResultView::standard_error},
    Known{"\"stderr_base64\"", &ResultView::standard_error_base64},
    Known{"\"truncated\"", &ResultView::truncated},
    Known{"\"value\"", &ResultView::value},
    Known{"\"worker\"", &ResultView::worker},
    Known{"\"queued_ms\"", &ResultView::queued_ms},
    Known{"\"run_ms\"", &ResultView::run_ms},
    Known{"\"cpu_ms\"", &ResultView::cpu_ms},
    Known{"\"max_rss_kib\"", &ResultView::max_rss_kib},
    Known{"\"finished\"", &ResultView::finished},
    Known{"\"each\"", &ResultView::each},
    Known{"\"run\"", &ResultView::run},
    Known{"\"spec\"", &ResultView::spec},
    Known{"\"digest\"", &ResultView::digest},
};

bool is_string(std::string_view json) {
  return json.size() >= 2 && json.front() == '"' && json.back() == '"';
}

// The members of an object that is a whole value.
template <class Visit>
void visit_object(std::string_view json, Visit&& visit) {
  if (json.size() < 2 || json.back() != '}') return;
  visit_json_members(json.substr(0, json.size() - 1), visit);
}

std::string bytes_of(std::string_view text, std::string_view base64) {
  return base64.empty() ? text_in(text) : base64_bytes(text_in(base64)).value_or("");
}

}  // namespace

bool read_result_view(std::string_view line, ResultView& view) {
  std::string_view body = trim_json_space(line);
  if (!strip_crc(body)) return false;
  view = {};
  std::size_t next = 0;  // of kKnown; members mostly come in its order, so this is nearly always a short look
  return visit_json_members(body, [&view, &next](std::string_view key, std::string_view value) {
    for (std::size_t i = 0; i < kKnown.size(); ++i) {
      const Known& known = kKnown[next];
      next = next + 1 == kKnown.size() ? 0 : next + 1;
      if (known.key != key) continue;
      view.*known.member = value;
      break;
    }
    return true;
  });
}

std::string text_in(std::string_view member) {
  if (!is_string(member)) return "";
  const std::string_view inside = member.substr(1, member.size() - 2);
  return inside.find('\\') == std::string_view::npos ? std::string(inside) : json_string_value(member, 0);
}

std::optional<std::int64_t> number_in(std::string_view member) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(member.data(), member.data() + member.size(), number);
  if (error != std::errc() || end != member.data() + member.size()) return std::nullopt;
  return number;
}

std::optional<Duration> duration_in(std::string_view member) {
  double milliseconds = 0;
  const auto [end, error] = std::from_chars(member.data(), member.data() + member.size(), milliseconds);
  constexpr double kMost = 1e15;  // far from what the microseconds of a Duration hold
  if (error != std::errc() || end != member.data() + member.size() || !(milliseconds < kMost) ||
      milliseconds < 0)
    return std::nullopt;
  return Duration(std::llround(milliseconds * 1000));
}

bool has_given_id(const ResultView& view) {
  if (view.spec.empty() || !is_string(view.id)) return false;
  // "L7": of a job from a pipe, by its line.
  return view.id.size() != view.line.size() + 3 || view.id[1] != 'L' ||
         view.id.substr(2, view.line.size()) != view.line;
}

std::string standard_output_of(const ResultView& view) {
  return bytes_of(view.standard_output, view.standard_output_base64);
}

std::string standard_error_of(const ResultView& view) {
  return bytes_of(view.standard_error, view.standard_error_base64);
}

namespace {

// A string, or {"base64":"…"}.
std::string bytes_in(std::string_view value) {
  std::string bytes = text_in(value);
  visit_object(value, [&bytes](std::string_view inner, std::string_view base64) {
    if (inner == "\"base64\"") bytes = base64_bytes(text_in(base64)).value_or("");
    return true;
  });
  return bytes;
}

std::optional<ResultFile> file_in(std::string_view member) {
  ResultFile file;
  visit_object(member, [&file](std::string_view key, std::string_view value) {
    if (key == "\"file\"") file.path = bytes_in(value);
    if (key == "\"bytes\"") file.bytes = static_cast<std::uint64_t>(number_in(value).value_or(0));
    if (key == "\"xxh128\"") file.digest = text_in(value);
    return true;
  });
  return file.path.empty() ? std::nullopt : std::optional(std::move(file));
}

}  // namespace

std::optional<ResultFile> output_file_of(const ResultView& view) { return file_in(view.standard_output); }
std::optional<ResultFile> error_file_of(const ResultView& view) { return file_in(view.standard_error); }

ResultError error_of(const ResultView& view) {
  ResultError error;
  visit_object(view.error, [&error](std::string_view key, std::string_view value) {
    if (key == "\"kind\"") error.kind = text_in(value);
    if (key == "\"message\"") error.message = text_in(value);
    return true;
  });
  return error;
}

std::vector<std::pair<std::string, std::string>> inputs_of(const ResultView& view) {
  std::vector<std::pair<std::string, std::string>> inputs;
  visit_object(view.each, [&inputs](std::string_view key, std::string_view value) {
    inputs.emplace_back(text_in(key), bytes_in(value));
    return true;
  });
  return inputs;
}

}  // namespace workpool
