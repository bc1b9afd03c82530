// SPDX-License-Identifier: MIT
// The jobs of `each`, one jobs line after the other: every combination of its sources, put into its command.
// Memory is what the sources behind the first hold. For one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/each/command_template.h"
#include "dispatcher/each_options.h"
#include "dispatcher/io/jobs/value_source.h"

namespace workpool::dispatcher {

class EachJobs {
 public:
  // Opens the sources, reads all but the first, and checks the command. What is wrong with the command is
  // `bad_command`, which is wrong usage; a source that cannot be read is bad input.
  struct Refused {
    std::string message;
    bool bad_command = false;
  };
  // `options` outlives it.
  static std::variant<EachJobs, Refused> open(const EachOptions& options);

  // Appends the next jobs line with its newline. Returns false at the end, or if problem() says why there is
  // no more. `before_wait`: see ValueSource.
  bool next(std::string& out, const BeforeWait& before_wait);
  const std::string& problem() const { return problem_; }

  // How many jobs there will be, if the sources can tell without waiting.
  std::optional<std::uint64_t> total() const { return total_; }

 private:
  using Row = std::vector<std::string>;
  // Sources that are linked: they go on together, and the shortest ends them.
  struct Group {
    std::vector<ValueSource> sources;
    std::vector<Row> rows;  // of all groups but the first, which is read as it is needed
    std::size_t at = 0;     // in `rows`
  };

  explicit EachJobs(const EachOptions& options) : options_(&options) {}
  std::optional<Refused> open_sources();
  std::optional<Refused> count();
  std::optional<Refused> make_command();
  bool next_row(Group& group, Row& row, const BeforeWait& before_wait);
  bool next_combination(const BeforeWait& before_wait);
  bool next_group(const BeforeWait& before_wait);
  bool next_chunk(std::string& out, const BeforeWait& before_wait);

  const EachOptions* options_;
  std::vector<Group> groups_;
  std::optional<CommandTemplate> command_;
  std::optional<std::uint64_t> total_;
  std::uint64_t number_ = 0;   // of the last job
  Row first_row_;              // of the first group, in the present combination
  std::vector<Row> gathered_;  // rows of a job that takes several
  std::string chunk_;
  std::string held_line_;  // read, and too much for the chunk before it
  bool has_held_line_ = false;
  JobValues job_;
  std::string problem_;
};

}  // namespace workpool::dispatcher
