// SPDX-License-Identifier: MIT
// Reads the lines that most jobs files are made of in one pass over their bytes, at a quarter of what the
// general parser costs: ASCII without escapes, the members that most jobs have, few keys per object. It makes
// of them exactly what the general parser does (common/formats/jobs_file.cpp), and says nothing about any
// other line, good or bad. The same for works and values. Pure; used by one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/job.h"
#include "common/formats/job_line_limits.h"

namespace workpool {

class PlainLines {
 public:
  // Nullopt: not a plain line. The views live as long as the bytes of `line`, and until the next call.
  std::optional<JobView> read(std::string_view line);
  // Whether the line read last has the member `labels` or `limit`, be it empty.
  bool says_labels() const { return says_labels_; }
  bool says_limit() const { return says_limit_; }

  // Of a handler's job. The views are parts of `work`; `args` is empty if it has none.
  struct Work {
    std::string_view type;
    std::string_view args;
  };
  // Nullopt: not a plain work, or a command's.
  static std::optional<Work> read_work(std::string_view work);
  // Whether `text` is one plain value, without whitespace.
  static bool is_value(std::string_view text);

 private:
  class Scanner;
  static bool read_bare(std::string_view line, JobView& job);
  bool read_member(Member member, Scanner& from, JobView& job);
  bool read_labels(Scanner& from);
  bool read_limit(Scanner& from);

  std::string work_;
  std::vector<std::string_view> labels_;
  std::vector<LimitView> limits_;
  bool says_labels_ = false;
  bool says_limit_ = false;
};

}  // namespace workpool
