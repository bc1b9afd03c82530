// SPDX-License-Identifier: MIT
// The worker that a dispatcher starts itself. It is a process group of its own, tied to the dispatcher by a
// pipe (end of file means: stop now) and to RESULTS by a lock that it inherits. If it dies it is started
// again after 0.1 to 5 s, until it is clear that it cannot work here: its exit status says so, its program
// cannot be run, it died eight times in a row within 10 s without a result, or it has not registered within a
// minute. For the loop's thread only.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/formats/handler_program.h"
#include "common/io/descriptor.h"

namespace workpool::dispatcher {

// The limits that we change for ourselves, and that the local worker and its jobs get back: on open
// descriptors, which this raises, and on core dumps, which protect_process() has set to none.
class OwnLimits {
 public:
  explicit OwnLimits(std::uint64_t callers_core_bytes);  // raises
  std::uint64_t descriptors() const { return raised_.rlim_cur; }
  void give_back() const;  // while a child is started
  void take_again() const;

 private:
  rlimit original_{};
  rlimit raised_{};
  rlimit core_{};
  rlimit no_core_{};
};

// Throws std::system_error if workpool-worker, in the folder of our own program, cannot be executed.
void require_local_worker();

struct LocalWorkerOptions {
  std::uint32_t slots = 1;
  std::string address;  // ipc://FOLDER
  bool allow_new_privs = false;
  std::vector<HandlerProgram> handlers{};
  std::uint32_t handler_jobs = 0;  // 0: no limit
  std::string log_level = "auto";  // of the worker's messages
};

class LocalWorker {
 public:
  // `lock`: returns a descriptor to inherit, or -1 (Journal::lock_for_local_worker). Starts the worker, whose
  // program is in the folder of our own. Throws std::system_error if that fails, and what `lock` throws.
  LocalWorker(const LocalWorkerOptions& options, const OwnLimits& limits, std::function<int()> lock);
  // If the worker still runs: shut_down() with a patience of 1.5 s.
  ~LocalWorker();
  LocalWorker(const LocalWorker&) = delete;
  LocalWorker& operator=(const LocalWorker&) = delete;

  // Readable once the worker has died; -1 while none runs.
  int death_fd() const { return pidfd_.get(); }
  // Readable when the worker has written to its stderr, which tend() returns line by line; -1 while none
  // runs.
  int stderr_fd() const { return stderr_.get(); }
  struct News {
    std::vector<std::string> lines;      // messages for people
    std::optional<std::string> problem;  // why the worker cannot work here: it is not started again
  };
  // What the run has seen so far.
  struct Progress {
    bool registered = false;    // some worker has
    std::uint64_t records = 0;  // results recorded in this start
    bool over = false;          // the run is
  };
  // Reads the worker's stderr and checks whether it lives; starts it again when that is due, unless the run
  // is over.
  News tend(Time now, const Progress& progress);
  std::optional<Time> next_start() const { return start_at_; }
  // Ends the worker: closes the pipe, and sends KILL after `patience`. Waits for its end; 5 s after the KILL
  // no longer, since a process may hang in the kernel.
  void shut_down(Duration patience);

 private:
  std::vector<std::string> command_line(bool has_lock) const;
  void start();
  void closed();
  // Waits for the worker's end and reaps it. False if it has not come within `patience`.
  bool ends_within(Duration patience) const;
  News ended(Time now, int status, const Progress& progress, News news);
  std::string last_words() const;
  void take_lines(std::vector<std::string>& lines);

  LocalWorkerOptions options_;
  const OwnLimits& limits_;
  std::function<int()> lock_;
  std::string program_;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  Descriptor pipe_;        // our end
  Descriptor stderr_;      // our end of the worker's stderr
  std::string line_;       // of its stderr: the beginning of the next one
  std::string last_line_;  // the last whole one
  Time started_;
  Duration pause_ = milliseconds(100);
  std::optional<Time> start_at_;
  int failed_starts_ = 0;
  int short_lives_ = 0;  // in a row, none of which brought a result
  std::uint64_t records_at_start_ = 0;
  std::optional<Time> register_by_;
  bool has_worked_ = false;  // a start of it brought a result
};

}  // namespace workpool::dispatcher
