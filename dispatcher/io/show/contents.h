// SPDX-License-Identifier: MIT
// What jobs printed or returned, as bytes; or their result lines as they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dispatcher/io/show/line_walk.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// Appends `bytes` with `tag` and a tab before each of their lines. The last one gets a newline if it has
// none, since the next tag follows it.
void append_tagged(std::string& out, std::string_view tag, std::string_view bytes);

// What was cut from output when it was captured, and so cannot be shown.
struct CutOutput {
  std::uint64_t jobs = 0;
  std::uint64_t bytes = 0;
  std::uint64_t first_line = 0;  // of the jobs file; 0 = none

  void add(const CountingLine& line, const ResultView& view);
  void add(const CutOutput& other);
  // For people: how many, and what to do; empty if nothing was cut.
  std::string text() const;
};

// stdout, stderr and value of each job, those that the options name, in this order.
class ContentVisitor final : public LineVisitor {
 public:
  // `options` outlives the visitor.
  explicit ContentVisitor(const ShowOptions& options) : options_(options) {}
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;
  std::vector<FilePart> take_files() override { return std::exchange(files_, {}); }
  const CutOutput& cut() const { return cut_; }

 private:
  const ShowOptions& options_;
  CutOutput cut_;
  std::vector<FilePart> files_;
};

class JsonVisitor final : public LineVisitor {
 public:
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;
};

}  // namespace workpool::dispatcher
