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
  // Called every 200 ms while something is waited for, with a line that says what: the local worker of the
  // run before (up to 5 s), a reader of a named pipe, space for the file, its state or its folder's entry.
  // With an exit code it gives up: a StoreError of that code without a message is thrown. Without the
  // function the first lack of space and a named pipe without a reader are a StoreError{kResultsFailed}.
  std::function<std::optional<ExitCode>(const std::string& what)> waiting;
};

class ResultsStore {
 public:
  // Opens (creates 0666 & ~umask), resolves and locks: byte 0 by this process through a close-on-exec
  // descriptor (held by another: StoreError 75 at once), then byte 1, the local worker's, waited for up to 5
  // s (75). Unwritable, a directory, no such folder: 74. Nothing is truncated or written here.
  explicit ResultsStore(const StoreOptions& options);
  ~ResultsStore();
  ResultsStore(const ResultsStore&) = delete;
  ResultsStore& operator=(const ResultsStore&) = delete;

  // Open at the end of the file; a regular one is also readable.
  int fd() const;
  // A regular file given by name. Not a pipe, a terminal, /dev/null, nor `-` wherever that leads: those have
  // no lock, state or resume.
  bool regular() const;
  const std::string& shown_path() const;  // for people
  const std::string& path() const;        // of a regular file, without links; else empty

  // A descriptor of the second open description, which holds byte 1, for the local worker to inherit (no
  // close-on-exec); -1 if not regular. The caller closes it once the worker runs; may be called again for
  // the next local worker. The store keeps byte 1 too, so that no other run can slip in between two of them.
  int lock_for_local_worker();

  // Whether another run's results are here: the state's path of JOBS differs or is not known, and no recorded
  // id is a job's. Throws StoreError 73 then, unless overwrite. Of jobs from a stream nothing can be known to
  // match: only a known and different path, or a file without one valid line, is refused.
  void refuse_if_foreign(const ReplaySummary& summary) const;

  // With --overwrite: truncates in place. Else cuts the torn tail, or ends a tail that is none with a
  // newline. Then loads or makes RESULTS.state (synced, also the folder) and gives the run's id: from the
  // state, else from the last valid line, else `fresh_run`. A state of another run than the last line's, or
  // that an earlier RESULTS left behind, is discarded; next to an empty RESULTS it is kept where it names the
  // same JOBS, since a run that was killed before its first result looks so. Throws StoreError 74.
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
