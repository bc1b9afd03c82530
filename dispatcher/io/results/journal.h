// SPDX-License-Identifier: MIT
// The journal of a run: RESULTS, and RESULTS.state next to it. Opened and locked (results_store.h), read
// (results_replay.h), then appended to from a thread of its own (journal_writer.h). In this order: construct;
// replay; begin; start; append. By one thread, which never waits for a disk once start has been called.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/io/results/journal_writer.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/results/results_store.h"

namespace workpool::dispatcher {

class Journal {
 public:
  // Opens and locks RESULTS; throws StoreError.
  explicit Journal(const StoreOptions& options) : overwrite_(options.overwrite), store_(options) {}

  // Whether it is a file that a later start can resume.
  bool regular() const { return store_.regular(); }
  int results_fd() const { return store_.fd(); }
  const std::string& shown_path() const { return store_.shown_path(); }  // for people

  // What earlier starts have recorded, into an index or a register of ids. Throws StoreError if RESULTS
  // cannot be read or is another jobs file's. With --overwrite, and of what is not a regular file, nothing is
  // read.
  template <class Past>
  ReplaySummary replay(Past& past) const {
    if (!regular() || overwrite_) return {};
    ReplaySummary summary = replay_into(store_.fd(), past);
    store_.refuse_if_foreign(summary);
    return summary;
  }
  // Makes the files ready for new entries, as ResultsStore::open_run says, and returns the id of the run.
  RunId begin(const ReplaySummary& summary, RunId fresh_run) { return store_.open_run(summary, fresh_run); }
  // The names that earlier starts of the run have granted. After begin.
  std::vector<GrantedName> worker_names() const { return store_.worker_names(); }

  // Starts the thread; `changed` is called from it until the journal is gone, see JournalWriter. nullopt:
  // kSync if regular.
  void start(std::optional<Durability> durability, std::function<void()> changed) {
    const JournalFiles files{store_.fd(), store_.regular(), store_.path(), store_.state_fd()};
    writer_.emplace(files, durability.value_or(regular() ? Durability::kSync : Durability::kOs),
                    std::move(changed));
  }
  // After start; all of them as JournalWriter says.
  void append(std::vector<JournalEntry>&& entries) { writer_->append(std::move(entries)); }
  JournalState state() const { return writer_->state(); }
  bool in_place() const { return writer_->in_place(); }
  void give_up() { writer_->give_up(); }

  // A descriptor for the local worker to inherit, or -1: see ResultsStore.
  int lock_for_local_worker() { return store_.lock_for_local_worker(); }

 private:
  bool overwrite_;
  ResultsStore store_;
  std::optional<JournalWriter> writer_;  // before the files, which it uses, are closed
};

}  // namespace workpool::dispatcher
