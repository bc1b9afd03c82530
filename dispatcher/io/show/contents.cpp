// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/contents.h"

#include <algorithm>
#include <optional>

#include "common/base/text.h"
#include "dispatcher/io/show/result_fields.h"

namespace workpool::dispatcher {

void append_tagged(std::string& out, std::string_view tag, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    out.append(tag).append("\t").append(bytes.substr(0, end)).append("\n");
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
}

void CutOutput::add(const CountingLine& line, const ResultView& view) {
  if (view.truncated.empty()) return;
  const auto cut = number_in(view.truncated);
  add({1, cut && *cut > 0 ? static_cast<std::uint64_t>(*cut) : 0, line.line});
}

void CutOutput::add(const CutOutput& other) {
  if (other.jobs == 0) return;
  first_line = jobs == 0 ? other.first_line : std::min(first_line, other.first_line);
  jobs += other.jobs;
  bytes += other.bytes;
}

std::string CutOutput::text() const {
  if (jobs == 0) return "";
  return "the output of " + counted(jobs, "job") + " was cut when it was captured, in the middle, by " +
         counted(bytes, "byte") + " (the first is the job of line " + std::to_string(first_line) +
         "): let the command write to a file, or run it again with a larger --capture";
}

void ContentVisitor::take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
                          std::string& out) {
  const std::string tag = options_.tag ? shown_whole(tag_of(line, view)) : "";
  const auto append = [this, &tag, &out](std::string_view bytes) {
    if (options_.tag) {
      append_tagged(out, tag, bytes);
    } else {
      out += bytes;
    }
  };
  if (options_.standard_output || options_.standard_error) cut_.add(line, view);
  const auto append_printed = [&](const char* stream, std::optional<ResultFile> file,
                                  std::string (*captured)(const ResultView&)) {
    if (!file) return append(captured(view));
    files_.push_back({out.size(), *std::move(file), stream, text_in(view.worker), tag, line.line});
  };
  if (options_.standard_output) append_printed("stdout", output_file_of(view), standard_output_of);
  if (options_.standard_error) append_printed("stderr", error_file_of(view), standard_error_of);
  if (options_.value && !view.value.empty()) append(std::string(view.value) + "\n");
}

void JsonVisitor::take(const CountingLine& /*line*/, std::string_view text, const ResultView& /*view*/,
                       std::string& out) {
  out.append(text).append("\n");
}

}  // namespace workpool::dispatcher
