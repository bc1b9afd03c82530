// SPDX-License-Identifier: MIT
// RESULTS as a file, up to the first job: opened, locked, replayed (results_replay.h), its torn tail cut, and
// RESULTS.state next to it (docs/reference.md, "Results file"). In this order: construct; check JOBS and
// replay; refuse_if_foreign; open_run; then the journal's thread writes. A part of Journal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/results/store_error.h"

namespace workpool::dispatcher {

struct StoreOptions {
  std::string path;       // as given by the user; "-" = stdout
  std::string jobs_path;  // resolved path of JOBS, or "-" for a pipe
  bool overwrite = false;
  // Called every 200 ms during a wait, with a line that says what for: the local worker of the run before (up
  // to 5 s), a reader of a named pipe, space for the file, its state or its folder's entry. If it returns an
  // exit code, the wait is given up: a StoreError of that code without a message is thrown. If there is no
  // function, the first lack of space and a named pipe without a reader are a StoreError{kResultsFailed}.
  std::function<std::optional<ExitCode>(const std::string& what)> waiting;
};

class ResultsStore {
 public:
  // Opens (creates 0666 & ~umask), resolves and locks RESULTS: byte 0 through a close-on-exec descriptor,
  // then byte 1, the local worker's, for which it waits up to 5 s. Throws StoreError 75 if another process
  // keeps a lock; 74 if the file cannot be written, is a directory, or its folder does not exist. Truncates
  // and writes nothing.
  explicit ResultsStore(const StoreOptions& options);
  ~ResultsStore();
  ResultsStore(const ResultsStore&) = delete;
  ResultsStore& operator=(const ResultsStore&) = delete;

  // Open at the end of the file; a regular one is also readable.
  int fd() const;
  // Whether RESULTS is a regular file given by name: not a pipe, a terminal, /dev/null, or `-`, wherever that
  // leads. Only such a file has a lock and a state and can be resumed.
  bool regular() const;
  const std::string& shown_path() const;  // for people
  const std::string& path() const;        // of a regular file, without links; else empty

  // A descriptor of the second open description, which holds byte 1, for the local worker to inherit (no
  // close-on-exec); -1 if not regular. The caller closes it once the worker runs, and may call again for the
  // next local worker. The store keeps byte 1 locked, too, so that no other run can slip in between two
  // workers. Throws StoreError.
  int lock_for_local_worker();

  // Throws StoreError 73 if these are another run's results, unless overwrite: the state's path of JOBS
  // differs or is not known, and no recorded id is a job's. The ids of a stream are not known yet, so for one
  // RESULTS is refused only if the state's path is known and differs, or if no line is valid.
  void refuse_if_foreign(const ReplaySummary& summary) const;

  // With --overwrite, truncates in place. Else cuts a torn tail, or ends any other tail with a newline. Then
  // loads or makes RESULTS.state (synced, also the folder) and returns the run's id: from the state, else
  // from the last valid line, else `fresh_run`. A state of another run than the last line's, or one that an
  // earlier RESULTS left behind, is discarded. Next to an empty RESULTS it is kept if it names the same JOBS,
  // since a run that was killed before its first result looks like that. Throws StoreError 74.
  RunId open_run(const ReplaySummary& summary, RunId fresh_run);

  // The names that earlier starts of this run have granted. After open_run.
  std::vector<GrantedName> worker_names() const;
  // RESULTS.state, open at its end, for further names; -1 if there is none. After open_run.
  int state_fd() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool::dispatcher
