// SPDX-License-Identifier: MIT
// Appends the journal's entries from a thread of its own: format, write in groups, sync, then tell how far it
// is durable. The only writer of RESULTS and RESULTS.state while a run goes on, so nobody else hangs with a
// disk that is frozen. A single entry is written at once when the thread is idle; what comes meanwhile is the
// next group, at most about 1 MiB. Half a line is completed or cut off again; no space on a regular file
// pauses and tries again every 200 ms; any other error, of either file, is final (nothing is written after
// it, never a second sync), also that RESULTS is not there any more.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/formats/results_file.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

using JournalEntry = std::variant<ResultLine, GrantedName>;

// Open at their ends, not owned, open for as long as the writer lives.
struct JournalFiles {
  int results = -1;
  // A regular file: it is cut back after a failed write, waits for space, and can be synced. A stream is
  // always kOs, and no space on it is a final error.
  bool regular = false;
  std::string path = {};  // where a regular file has to stay (else ESTALE); empty: that is not asked
  int state = -1;         // RESULTS.state, for the names of workers; -1: they are kept nowhere
};

class JournalWriter {
 public:
  // `changed` is called from the writer's thread after a change of the state, never after the destructor; it
  // must be quick (wake a loop). The thread blocks all signals.
  JournalWriter(const JournalFiles& files, Durability durability, std::function<void()> changed);
  ~JournalWriter();  // as finish(), bounded to 2.5 s if a file is blocked (0.2 s after give_up)
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Entries are numbered from 1 in the order given. Takes the whole vector; never blocks, and has no bound of
  // its own: the caller gives out no more work while `blocked`, and what workers may send before they are
  // acknowledged is bounded (Sessions). After a final error the entries are dropped.
  void append(std::vector<JournalEntry>&& entries);
  // `durable`: synced (kSync) or written (kOs). `blocked`: more than 8 MiB, or anything for over 100 ms, is
  // unwritten, or there is no space. That is judged at the call: a write that hangs shows it without a call
  // of `changed`, so ask now and then. While a sync is under way the limit is 1 s: a slow disk has taken the
  // lines, and is no reason to flap.
  JournalState state() const;
  // Waits until everything given is durable, an error is final, or `limit` is over. True if it is durable.
  bool finish(Duration limit);
  // After finish(): whether RESULTS is still where it was, whole.
  bool in_place() const;
  // The destructor is to wait for 0.1 s only.
  void give_up();

 private:
  struct Impl;
  Duration finish_limit_;
  std::shared_ptr<Impl> impl_;  // also the thread's: one that hangs in a dead disk is left behind
};

}  // namespace workpool::dispatcher
