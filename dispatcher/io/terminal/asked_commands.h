// SPDX-License-Identifier: MIT
// The commands of the few jobs that a person is told of. Each is asked of the source of the jobs once, and
// comes when it has been read.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dispatcher/core/job_facts.h"
#include "dispatcher/io/terminal/command_words.h"

namespace workpool::dispatcher {

class AskedCommands {
 public:
  // Does nothing if this job has been asked for.
  void ask(JobNumber number) {
    if (commands_.try_emplace(number).second) questions_.push_back(number);
  }
  // What is to be asked, once.
  std::vector<JobNumber> take_questions() { return std::exchange(questions_, {}); }
  // `work`: see DescribedJob.
  void answer(JobNumber number, std::string_view work) {
    const auto place = commands_.find(number);
    if (place == commands_.end() || place->second) return;
    place->second = work.empty() ? std::string() : short_command(work);
    ++answers_;
  }

  bool awaits_answers() const { return answers_ < commands_.size(); }
  bool awaits(JobNumber number) const {
    const auto place = commands_.find(number);
    return place != commands_.end() && !place->second;
  }
  // Empty if it is not known.
  std::string find(JobNumber number) const {
    const auto place = commands_.find(number);
    return place == commands_.end() ? "" : place->second.value_or("");
  }

 private:
  std::map<JobNumber, std::optional<std::string>> commands_;
  std::vector<JobNumber> questions_;
  std::size_t answers_ = 0;
};

}  // namespace workpool::dispatcher
