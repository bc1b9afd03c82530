// SPDX-License-Identifier: MIT
// Reports failures during a run, and sums it up at the end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/terminal/asked_commands.h"

namespace workpool::dispatcher {

// What to print about a job that is not ok, printable: "line 12: vipsthumbnail 'a b.jpg' …: exit status 1 on
// node3: cannot open a b.jpg". `command`: as short_command has it, empty if it is not known.
std::string failure_text(const JobEnded& job, const std::string& command, bool with_stderr);

// Whether the source of the job can be asked for its command, and that would say more than what is known.
bool can_be_described(const JobEnded& job);

// Why jobs are not ok, for programs.
struct FailureReason {
  std::string reason;
  std::uint64_t count = 0;
  std::uint64_t line = 0;  // of the first such job
  std::string id;          // of that one, if it was given
  std::string command;     // the same, if it is known
  std::string worker;      // that all of them were on; empty if there were several
};

// Jobs that are not ok: the first ones are shown one by one, all are grouped by reason at the end.
class Failures {
 public:
  static constexpr std::uint64_t kShownOnce = 10;

  // Counts one that is not ok. Returns whether it is to be shown.
  bool add(const JobEnded& job);
  // This one does not count any more; it was added before.
  void take_back(const JobEnded& job);
  std::uint64_t count() const { return count_; }
  // The jobs whose commands groups() shows if they are known.
  std::vector<JobNumber> examples() const;
  // The most frequent reasons, one line each, indented; "" if nothing failed. `several_workers`: also names
  // the worker if all failures of a reason were on one, which may be the cause.
  std::string groups(bool several_workers, const AskedCommands& commands) const;
  // The most frequent reasons, at most kReasonsMost.
  static constexpr std::size_t kReasonsMost = 100;
  std::vector<FailureReason> reasons(const AskedCommands& commands) const;
  // By the name of the worker.
  const std::map<std::string, std::uint64_t>& by_worker() const { return by_worker_; }
  std::uint64_t standing() const { return standing_; }

 private:
  struct Group {
    std::uint64_t count = 0;
    std::string example;                // id and line of the first one
    std::uint64_t line = 0;             // the same
    std::string id;                     // of the first one, if it was given
    std::string command;                // of that one, if it had come with its work
    std::optional<JobNumber> number;    // to ask for its command
    std::optional<std::string> worker;  // that all of them were on; nullopt if there were several
  };
  using Reason = std::pair<const std::string, Group>;
  // The most frequent first.
  std::vector<const Reason*> in_order() const;

  std::map<std::string, Group> by_reason_;  // bounded; what does not fit is counted only
  std::map<std::string, std::uint64_t> by_worker_;
  std::uint64_t other_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t standing_ = 0;  // of these, what was not taken back
};

// Why a run ended early, for people; "" if it did not.
std::string reason_of(const RunEnd& end);

struct SummaryFacts {
  RunEnd end;
  Snapshot snapshot;
  Duration elapsed{0};
  double per_second = 0;
  std::optional<double> slot_use;  // busy slot time over slot time, 0 to 1
  std::string failure_groups;
  std::vector<FailureReason> reasons;                     // the same for programs
  std::uint64_t failures_left_out = 0;                    // that are not among them
  std::map<std::string, std::uint64_t> not_ok_by_worker;  // in this start
  std::vector<std::string> given_up;                      // what no worker could run, a line each
  std::string lacking_handler;       // one of their types; "" if there is a program for it
  std::string results;               // path or "-"
  bool resumable = true;             // RESULTS is a regular file
  std::vector<std::string> command;  // argv as given
  bool overwrite_variable = false;   // WORKPOOL_OVERWRITE is set
  std::size_t flags_end = SIZE_MAX;  // see command_again
  bool prints_output = false;        // of the jobs
};

// Several lines without the last newline, printable.
std::string summary_text(const SummaryFacts& facts);

// "12 jobs of type 'thumbnail' with the label gpu that need 4 slots".
std::string describe(const JobUnsatisfiable& jobs);

}  // namespace workpool::dispatcher
