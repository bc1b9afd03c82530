// SPDX-License-Identifier: MIT
#include "dispatcher/io/summary_file.h"

#include "dispatcher/io/run_input.h"

namespace workpool::dispatcher {

SummaryFile::SummaryFile(const std::string& path, Console& console) : console_(console) {
  if (path.empty()) return;
  file_.emplace(path);
  if (file_->problem().empty()) return;
  tell_problem();
  throw Ended{ExitCode::kResultsFailed};
}

void SummaryFile::begin() {
  if (!wanted() || file_->begin()) return;
  tell_problem();
  throw Ended{ExitCode::kResultsFailed};
}

bool SummaryFile::write(const std::string& json) {
  console_.flush(seconds(2));  // the file may be stderr
  if (file_->write(json + '\n')) return true;
  tell_problem();
  return false;
}

void SummaryFile::tell_problem() const {
  console_.line("workpool-dispatcher: --summary: " + file_->problem());
}

}  // namespace workpool::dispatcher
