// SPDX-License-Identifier: MIT
// The journal of a run: RESULTS, and RESULTS.state next to it. Opened and locked (results_store.h), read
// (results_replay.h), then appended to from a thread of its own (journal_writer.h). Call in this order:
// construct; replay; begin; start; append. For one thread, which never waits for a write or a sync once it
// has called start.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
  const std::string& path() const { return store_.path(); }  // of a regular file, without links; else empty
  const std::string& shown_path() const { return store_.shown_path(); }  // for people

  // What earlier starts have recorded, into an index or a register of ids. Throws StoreError if RESULTS
  // cannot be read or belongs to another jobs file. Reads nothing with --overwrite, or if RESULTS is not a
  // regular file.
  template <class Past>
  ReplaySummary replay(Past& past) const {
    if (!regular() || overwrite_) return {};
    ReplaySummary summary = replay_into(store_.fd(), past);
    store_.refuse_if_foreign(summary);
    return summary;
  }
  // Makes the files ready for new entries, as ResultsStore::open_run says, and returns the id of the run.
  RunId begin(const ReplaySummary& summary, RunId fresh_run) {
    return run_ = store_.open_run(summary, fresh_run);
  }
  // The names that earlier starts of the run have granted. After begin.
  std::vector<GrantedName> worker_names() const { return store_.worker_names(); }

  // Starts the thread, which calls `changed` until the journal is gone (see JournalWriter). `durability`:
  // nullopt means kSync for a regular file, else kOs.
  // `output`: prints what the jobs have written; may be null.
  void start(std::optional<Durability> durability, std::function<void()> changed,
             std::shared_ptr<JobOutput> output = nullptr) {
    const JournalFiles files{store_.fd(), store_.regular(), store_.path(), store_.state_fd(),
                             run_,        std::move(output)};
    writer_.emplace(files, durability.value_or(regular() ? Durability::kSync : Durability::kOs),
                    std::move(changed));
  }
  // After start. JournalWriter describes them.
  void append(std::vector<JournalEntry>&& entries) { writer_->append(std::move(entries)); }
  void append_all(std::vector<std::vector<JournalEntry>>&& parts) { writer_->append_all(std::move(parts)); }
  JournalState state() const { return writer_->state(); }
  bool in_place() const { return writer_->in_place(); }
  bool finish(Duration limit) { return writer_->finish(limit); }
  void give_up() { writer_->give_up(); }

  // A descriptor for the local worker to inherit, or -1: see ResultsStore.
  int lock_for_local_worker() { return store_.lock_for_local_worker(); }

 private:
  bool overwrite_;
  ResultsStore store_;
  RunId run_;
  std::optional<JournalWriter> writer_;  // last, so destroyed before the files that it uses
};

}  // namespace workpool::dispatcher
