// SPDX-License-Identifier: MIT
// A command that runs: its process, its pipes, and what is known of its end so far. Owned by one spawner
// thread, which decides when to do what; this knows how.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/outcome.h"
#include "common/base/time.h"
#include "common/io/descriptor.h"
#include "worker/io/process/capture_buffer.h"
#include "worker/io/process/output_files.h"
#include "worker/io/process/process_tree.h"

namespace workpool::worker {

class Command {
 public:
  enum Channel : std::size_t { kProcess, kInput, kOutput, kErrors };
  static constexpr std::size_t kChannels = 4;
  // The pidfd and our ends of the pipes, non-blocking; the input is closed if there is nothing to feed.
  using Channels = std::array<Descriptor, kChannels>;

  // `ok_exits`: the exit statuses that are no failure. `files`: of the streams that have no channel.
  Command(pid_t pid, Channels channels, std::string attempt_key, std::string input,
          std::uint64_t capture_bytes, const std::bitset<256>& ok_exits = {1}, OutputFiles files = {})
      : ok_exits_(ok_exits),
        pid_(pid),
        channels_(std::move(channels)),
        files_(std::move(files)),
        attempt_key_(std::move(attempt_key)),
        input_(std::move(input)),
        output_(capture_bytes),
        error_output_(capture_bytes) {}
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // From now on `epoll`, which must outlive this, reports an event tagged `tag` + Channel whenever there is
  // something to do.
  void watch(int epoll, std::uint64_t tag);

  // Writes what the pipe takes; closes it at the end of the input or when its reader is gone.
  void feed();
  // Reads until the pipe is empty or a fair share is read; closes our end if the writers are gone. `buffer`
  // is scratch space.
  void drain_output(std::string& buffer) { drain(kOutput, output_, buffer); }
  void drain_errors(std::string& buffer) { drain(kErrors, error_output_, buffer); }
  bool has_open_pipes() const { return channels_[kOutput].is_open() || channels_[kErrors].is_open(); }

  // Takes the status of the job's own process if it has ended; returns whether it has.
  bool reap();
  bool has_exited() const { return exited_; }

  JobProcesses processes() const { return {pid_, !exited_, attempt_key_}; }

  // The signal that ended it; 0 if none did.
  int ended_by_signal() const { return by_signal_ ? status_ : 0; }
  // How the process ended, with what it wrote; without exit and signal if it has not ended. Call it once.
  Outcome take_outcome();
  // The files that it wrote into, for whoever settles them.
  OutputFiles take_files() { return std::move(files_); }
  // For a process that cannot be killed: stops reading and feeding. Only reap() may be called afterwards.
  void abandon();

 private:
  void take_usage(const rusage& used);
  bool is_ok() const { return status_ >= 0 && status_ < 256 && ok_exits_[static_cast<std::size_t>(status_)]; }
  void drain(Channel channel, CaptureBuffer& into, std::string& buffer);
  void close(Channel channel);

  std::bitset<256> ok_exits_;
  pid_t pid_;
  Channels channels_;
  OutputFiles files_;
  int epoll_ = -1;
  std::string attempt_key_;
  std::string input_;
  std::size_t fed_ = 0;
  CaptureBuffer output_;
  CaptureBuffer error_output_;
  bool exited_ = false;
  bool by_signal_ = false;
  Duration processor_time_{0};
  std::uint64_t memory_kib_ = 0;
  int status_ = 0;  // exit status, or the number of the signal
};

}  // namespace workpool::worker
