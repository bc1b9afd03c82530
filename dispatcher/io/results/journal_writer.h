// SPDX-License-Identifier: MIT
// Appends the journal's entries from a thread of its own: formats, writes in groups, syncs, then reports how
// far they are durable. The only writer of RESULTS and RESULTS.state during a run, so no other thread hangs
// with a frozen disk. An idle thread writes an entry at once; what comes meanwhile is the next group, at most
// about 1 MiB. Half a line is completed or cut off again. If a regular file finds no space, it tries again
// every 200 ms. Any other error of either file is final, and so is a RESULTS that is no longer in its place:
// nothing is written after it, and there is no second sync.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/results/job_output.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// Descriptors at the ends of their files; not owned, and open for as long as the writer lives.
struct JournalFiles {
  int results = -1;
  // A regular file: it is cut back after a failed write, waits for space, and can be synced. A stream is
  // always kOs, and no space on it is a final error.
  bool regular = false;
  std::string path = {};  // where a regular file has to stay (else ESTALE); empty: not checked
  int state = -1;         // RESULTS.state, for the names of workers; -1: they are kept nowhere
  RunId run = {};         // stands in every line
  // Prints what the jobs have written once it is recorded, before that counts as durable; may be null.
  std::shared_ptr<JobOutput> output = nullptr;
};

class JournalWriter {
 public:
  // `changed` is called from the writer's thread after a change of the state, never after the destructor; it
  // must be quick (wake a loop). The thread blocks all signals.
  JournalWriter(const JournalFiles& files, Durability durability, std::function<void()> changed);
  ~JournalWriter();  // waits like finish(), at most 2.5 s if a file is blocked (0.2 s after give_up)
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Entries are numbered from 1 in the order given. The time of this call becomes the `finished` of results.
  // Takes the whole vector; never blocks, and has no bound of its own: the caller gives out no more work
  // while `blocked`, and what workers may send before they are acknowledged is bounded (Sessions). After a
  // final error the entries are dropped.
  void append(std::vector<JournalEntry>&& entries);
  // The same with several, in their order, so that the thread wakes once and they may share a sync.
  void append_all(std::vector<std::vector<JournalEntry>>&& parts);
  // `durable`: synced (kSync) or written (kOs). `blocked`: more than 8 MiB, or anything for over 100 ms, is
  // unwritten, or there is no space. This is judged at the call: a write that hangs does not call `changed`,
  // so ask now and then. During a sync the limit is 1 s instead, since a slow disk has taken the lines.
  JournalState state() const;
  // Waits until everything given is durable and printed, an error is final, or `limit` is over. Returns
  // whether all of it is.
  bool finish(Duration limit);
  // After finish(): whether RESULTS is still where it was, whole.
  bool in_place() const;
  // Shortens the destructor's wait.
  void give_up();

 private:
  struct Impl;
  Duration finish_limit_;
  std::shared_ptr<Impl> impl_;  // shared with the thread, which is left behind if it hangs in a dead disk
};

}  // namespace workpool::dispatcher
