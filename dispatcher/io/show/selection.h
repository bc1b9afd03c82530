// SPDX-License-Identifier: MIT
// Which results are shown: by ids, patterns and lines that a user names, and by status. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/outcome.h"

namespace workpool::dispatcher {

// What is named: `logs` is an id, `sim-*` a pattern as in a shell, `:12` and `:12-20` are lines of the jobs
// file, and `12` is one as well unless it is an id. First every id is offered, then settle(), then lines.
class Selection {
 public:
  // `statuses`: empty for all.
  Selection(const std::vector<std::string>& wanted, const std::vector<Status>& statuses);

  // Whether the results of this id are wanted by it. `invalid` lines are offered as well.
  bool takes_id(const std::string& id);
  // All ids were offered: a number that is none of them is a line from now on.
  void settle();
  // Whether results of this line are wanted by it.
  bool takes_line(std::uint64_t line);

  bool takes_status(Status status) const { return statuses_ == 0 || (statuses_ >> bit(status) & 1) != 0; }
  // Whether nothing was named, so that every id is wanted.
  bool names_all() const { return wanted_.empty(); }
  // Those named that nothing was taken for, as they were written.
  std::vector<std::string> unmatched() const;

 private:
  struct Lines {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::size_t wanted = 0;  // which of wanted_
  };
  static unsigned bit(Status status) { return static_cast<unsigned>(status); }

  std::vector<std::string> wanted_;
  std::vector<bool> matched_;                         // by wanted_
  std::unordered_map<std::string, std::size_t> ids_;  // each with its place in wanted_
  std::vector<std::size_t> patterns_;                 // places in wanted_
  std::vector<Lines> lines_;
  unsigned statuses_ = 0;  // a bit for each
};

}  // namespace workpool::dispatcher
