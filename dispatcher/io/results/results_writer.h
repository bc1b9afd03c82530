// SPDX-License-Identifier: MIT
// Appends result lines from a thread of its own: format, write in groups, sync, then tell how far it is
// durable. The only writer of RESULTS. A single line is written at once when the thread is idle; what comes
// meanwhile is the next group, at most about 1 MiB. Half a line is completed or cut off again; no space on a
// regular file pauses and tries again every 200 ms; any other error is final (nothing is written after it,
// never a second sync), also that the file is not there any more.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/formats/results_file.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

struct WriterState {
  std::uint64_t durable = 0;  // records 1..durable are synced (kSync) or written (kOs)
  bool blocked = false;       // more than 8 MiB, or anything for over 100 ms, is unwritten, or no_space
  bool no_space = false;      // the reason is ENOSPC or EDQUOT
  int error = 0;              // errno of a final error, 0 while there is none
  bool operator==(const WriterState&) const = default;
};

class ResultsWriter {
 public:
  // `fd`: open at its end, not owned, open for as long as this lives. `regular`: a regular file (cut back
  // after a failed write, waits for space, sync possible: a stream is always kOs, and no space on it is a
  // final error). `path`: where such a file has to stay (ESTALE is the error when it does not); empty: that
  // is not asked. `changed` is called from the writer's thread after a change of the state, never after the
  // destructor; it must be quick (wake a loop). The thread blocks all signals.
  ResultsWriter(int fd, bool regular, Durability durability, std::function<void()> changed,
                const std::string& path = "");
  ~ResultsWriter();  // as finish(), bounded to 2.5 s where the file is blocked (0.2 s after give_up)
  ResultsWriter(const ResultsWriter&) = delete;
  ResultsWriter& operator=(const ResultsWriter&) = delete;

  // Records are numbered from 1 in the order given. Takes the whole vector; never blocks, and has no bound of
  // its own: the caller gives out no more work while `blocked`. After a final error the lines are dropped.
  void append(std::vector<ResultLine>&& lines);
  // `blocked` is judged at the call: a write that hangs shows it without a call of `changed`, so ask now and
  // then. While a sync is under way the limit is 1 s: a slow disk has taken the lines, and is no reason to
  // flap.
  WriterState state() const;
  // Waits until everything given is durable, an error is final, or `limit` is over. True where it is durable.
  bool finish(Duration limit);
  // After finish(): whether the file is still where it was, whole.
  bool in_place() const;
  // The destructor is to wait for 0.1 s only.
  void give_up();

 private:
  struct Impl;
  Duration finish_limit_;
  std::shared_ptr<Impl> impl_;  // also the thread's: one that hangs in a dead disk is left behind
};

}  // namespace workpool::dispatcher
