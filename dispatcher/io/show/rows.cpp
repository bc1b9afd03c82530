// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/rows.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "dispatcher/io/show/result_fields.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {
namespace {

using Fields = std::array<std::string, kColumns>;

constexpr std::array<std::string_view, kColumns> kHeadings = {"LINE",     "ID",     "STATUS",   "EXIT",
                                                              "RUN TIME", "WORKER", "ATTEMPTS", "COMMAND"};
constexpr std::size_t kCommandLeast = 12;  // letters, even if the row is wider than the terminal then
constexpr std::size_t kShownMost = 4096;   // bytes of a field on a terminal

std::string& of(Fields& fields, Column column) { return fields[static_cast<std::size_t>(column)]; }

bool is_to_the_right(std::size_t column) {
  const auto which = static_cast<Column>(column);
  return which == Column::kLine || which == Column::kRunTime || which == Column::kAttempts;
}

// All but the command, printable.
Fields fields_of(const CountingLine& line, const ResultView& view, bool for_people) {
  Fields fields;
  of(fields, Column::kLine) = std::to_string(line.line);
  if (has_given_id(view)) of(fields, Column::kId) = shown_whole(text_in(view.id));
  of(fields, Column::kStatus) = name_of(line.status);
  of(fields, Column::kExit) = shown_whole(ending_of(view));
  if (const auto ran = duration_in(view.run_ms))
    of(fields, Column::kRunTime) = for_people ? run_time_text(*ran) : seconds_text(*ran);
  of(fields, Column::kWorker) = shown_whole(text_in(view.worker));
  of(fields, Column::kAttempts) = digits_in(view.attempt);
  return fields;
}

void append_separated(std::string& out, const Fields& fields) {
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (i > 0) out += '\t';
    out += fields[i].empty() ? "-" : fields[i];
  }
  out += '\n';
}

void append_aligned(std::string& out, const Fields& fields, const RowLayout& layout) {
  std::string row;
  std::size_t used = 0;  // letters
  for (std::size_t i = 0; i + 1 < kColumns; ++i) {
    const std::size_t width = layout.widths.of[i];
    if (width == 0) continue;
    const std::string padding(width - std::min(width, letters_in(fields[i])), ' ');
    row += is_to_the_right(i) ? padding + fields[i] : fields[i] + padding;
    row += "  ";
    used += width + 2;
  }
  const std::size_t left = layout.columns - std::min(layout.columns, used);
  row += fit(fields.back(), std::max(left, kCommandLeast));
  row.erase(row.find_last_not_of(' ') + 1);
  out += row;
  out += '\n';
}

}  // namespace

void Widths::widen(const Widths& other) {
  for (std::size_t i = 0; i < kColumns; ++i) of[i] = std::max(of[i], other.of[i]);
}

void WidthVisitor::take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
                        std::string& /*out*/) {
  const Fields fields = fields_of(line, view, true);
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (fields[i].empty()) continue;
    widths_.of[i] = std::max({widths_.of[i], letters_in(fields[i]), kHeadings[i].size()});
  }
}

RowVisitor::RowVisitor(const std::optional<RowLayout>& layout, const JobsAtHand* jobs) : layout_(layout) {
  if (jobs != nullptr) commands_.emplace(*jobs);
}

void RowVisitor::take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
                      std::string& out) {
  Fields fields = fields_of(line, view, layout_.has_value());
  std::string command;
  if (commands_ && line.job != kNoJob) command = commands_->command_of(line.job);
  const std::string description = description_of(view, std::move(command));
  if (layout_) {
    of(fields, Column::kCommand) = printable(description, kShownMost);
    append_aligned(out, fields, *layout_);
  } else {
    of(fields, Column::kCommand) = shown_whole(description);
    append_separated(out, fields);
  }
}

std::string header_of(const RowLayout& layout) {
  Fields fields;
  for (std::size_t i = 0; i < kColumns; ++i) fields[i] = kHeadings[i];
  std::string out;
  append_aligned(out, fields, layout);
  return out;
}

}  // namespace workpool::dispatcher
