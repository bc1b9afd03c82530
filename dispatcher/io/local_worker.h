// SPDX-License-Identifier: MIT
// The worker that a dispatcher starts itself: a process group of its own, tied to the dispatcher by a pipe
// whose end of file means stop now, and to RESULTS by a lock that it inherits. One that dies is started
// again, 0.1 to 5 s apart, until it is clear that it cannot work here: it says so by its exit status, its
// program cannot be run, it died eight times in a row within 10 s without a result, or it has not registered
// within a minute. The loop's thread only.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/io/descriptor.h"

namespace workpool::dispatcher {

// The soft limit on open descriptors as the caller had it, and as this process raised it: the local worker
// and its jobs get the first back.
class DescriptorLimit {
 public:
  DescriptorLimit();  // raises
  std::uint64_t raised() const { return raised_.rlim_cur; }
  void give_back() const;  // for as long as a child is made
  void raise_again() const;

 private:
  rlimit original_{};
  rlimit raised_{};
};

// Throws std::system_error if the program of a local worker, beside our own, cannot be executed.
void require_local_worker();

struct LocalWorkerOptions {
  std::uint32_t slots = 1;
  std::string address;  // tcp://127.0.0.1:PORT
  bool insecure = false;
  std::string log_level = "warn";  // of what it has to say
};

class LocalWorker {
 public:
  // `lock`: gives a descriptor to inherit, or -1 (Journal::lock_for_local_worker). Starts it; throws
  // std::system_error if that is not possible (the program is looked for beside our own).
  LocalWorker(const LocalWorkerOptions& options, const DescriptorLimit& limit, std::function<int()> lock);
  // Closes the pipe and waits, at most `patience` from shut_down(), for its end.
  ~LocalWorker();
  LocalWorker(const LocalWorker&) = delete;
  LocalWorker& operator=(const LocalWorker&) = delete;

  // A descriptor that is readable when it has died; -1 while none runs.
  int death_fd() const { return pidfd_.get(); }
  // A descriptor that is readable when it has said something on its stderr, which tend() tells a line a time;
  // -1 while none runs.
  int stderr_fd() const { return stderr_.get(); }
  struct News {
    std::vector<std::string> lines;  // what there is to say
    bool for_good = false;           // it cannot work here, and is not started again
  };
  // What the run has seen by now.
  struct Progress {
    bool registered = false;    // some worker has
    std::uint64_t records = 0;  // results recorded in this start
    bool over = false;          // the run is
  };
  // Looks what it says and whether it lives; starts it again when it is time, unless the run is over.
  News tend(Time now, const Progress& progress);
  std::optional<Time> next_start() const { return start_at_; }
  // Ends it: the pipe is closed, then KILL after `patience`.
  void shut_down(Duration patience);

 private:
  std::vector<std::string> command_line(bool has_lock) const;
  void start();
  void closed();
  News ended(Time now, int status, const Progress& progress, News news);
  std::string last_words() const;
  void take_lines(std::vector<std::string>& lines);

  LocalWorkerOptions options_;
  const DescriptorLimit& limit_;
  std::function<int()> lock_;
  std::string program_;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  Descriptor pipe_;        // our end
  Descriptor stderr_;      // our end of its
  std::string line_;       // the beginning of one
  std::string last_line_;  // the last whole one
  Time started_;
  Duration pause_ = milliseconds(100);
  std::optional<Time> start_at_;
  int failed_starts_ = 0;
  int short_lives_ = 0;  // in a row, none of which brought a result
  std::uint64_t records_at_start_ = 0;
  std::optional<Time> register_by_;
};

}  // namespace workpool::dispatcher
