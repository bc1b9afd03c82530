// SPDX-License-Identifier: MIT
// The file of `--summary`, if one was asked for. Says on the console why it cannot be written.
#pragma once

#include <optional>
#include <string>

#include "common/io/console.h"
#include "common/io/whole_file.h"

namespace workpool::dispatcher {

class SummaryFile {
 public:
  // `path`: empty if none was asked for. Changes nothing. Throws Ended if it cannot be written.
  SummaryFile(const std::string& path, Console& console);

  bool wanted() const { return file_.has_value(); }
  // The run takes place: removes the summary of an earlier one. Throws Ended if that does not work.
  void begin();
  // Returns whether it was written. REQUIRES: wanted().
  bool write(const std::string& json);

 private:
  void tell_problem() const;

  Console& console_;
  std::optional<WholeFile> file_;
};

}  // namespace workpool::dispatcher
