// SPDX-License-Identifier: MIT
// Results as rows for people and for grep: line, id, status, exit, run time, worker, attempts, command.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "dispatcher/io/show/job_commands.h"
#include "dispatcher/io/show/line_walk.h"

namespace workpool::dispatcher {

enum class Column : std::uint8_t { kLine, kId, kStatus, kExit, kRunTime, kWorker, kAttempts, kCommand };
inline constexpr std::size_t kColumns = 8;

// How many letters each column needs, but for the command, which takes what is left.
struct Widths {
  std::array<std::size_t, kColumns> of{};
  void widen(const Widths& other);
};

// A row on a terminal is as wide as its widest neighbours need, and cut at `columns`; columns in which no row
// has anything are left out. nullopt, for a pipe or a file: fields are whole and separated by tabs, an empty
// one is `-`, and the run time is in seconds.
struct RowLayout {
  Widths widths;
  std::size_t columns = 80;
};

// Gathers the widths of rows, before they are printed.
class WidthVisitor final : public LineVisitor {
 public:
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;
  const Widths& widths() const { return widths_; }

 private:
  Widths widths_;
};

class RowVisitor final : public LineVisitor {
 public:
  // `jobs`: null if the jobs file is not at hand. All outlive the visitor.
  RowVisitor(const std::optional<RowLayout>& layout, const JobsAtHand* jobs);
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;

 private:
  const std::optional<RowLayout>& layout_;
  std::optional<JobsAtHand::Reader> commands_;
};

// The line above the rows on a terminal, with its newline.
std::string header_of(const RowLayout& layout);

}  // namespace workpool::dispatcher
