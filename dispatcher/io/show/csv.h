// SPDX-License-Identifier: MIT
// Results as comma-separated values (RFC 4180): a header, then a record for each. The inputs of jobs that
// were made for them are columns of their own, so that a parameter study is one table.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dispatcher/io/show/contents.h"
#include "dispatcher/io/show/job_commands.h"
#include "dispatcher/io/show/line_walk.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// The names of all inputs, in the order of the first line that has each.
class InputNames {
 public:
  void add(const CountingLine& line, const ResultView& view);
  void add(const InputNames& others);
  std::vector<std::string> in_order() const;

 private:
  using Place = std::pair<std::uint64_t, std::size_t>;  // the line, and which of its inputs
  std::map<std::string, Place, std::less<>> places_;
};

class InputNamesVisitor final : public LineVisitor {
 public:
  bool wants(std::string_view text) const override { return text.find("each") != std::string_view::npos; }
  void take(const CountingLine& line, std::string_view /*text*/, const ResultView& view,
            std::string& /*out*/) override {
    if (!view.each.empty()) names_.add(line, view);
  }
  const InputNames& names() const { return names_; }

 private:
  InputNames names_;
};

// `options`: which columns of what jobs printed there are.
std::string csv_header(const ShowOptions& options, const std::vector<std::string>& inputs);

class CsvVisitor final : public LineVisitor {
 public:
  // `jobs`: null if the jobs file is not at hand. All outlive the visitor.
  CsvVisitor(const ShowOptions& options, const std::vector<std::string>& inputs, const JobsAtHand* jobs);
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;
  const CutOutput& cut() const { return cut_; }

 private:
  const ShowOptions& options_;
  CutOutput cut_;
  const std::vector<std::string>& inputs_;
  std::optional<JobsAtHand::Reader> commands_;
};

}  // namespace workpool::dispatcher
