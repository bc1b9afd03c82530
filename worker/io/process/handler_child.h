// SPDX-License-Identifier: MIT
// A child that runs the jobs of a handler: its process and its pipes. Owned by one thread, which decides when
// to do what; this knows how. Its memory is bounded whatever the child writes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/outcome.h"
#include "common/formats/line_splitter.h"
#include "common/io/descriptor.h"
#include "worker/io/process/capture_buffer.h"
#include "worker/io/process/process_tree.h"

namespace workpool::worker {

class HandlerChild {
 public:
  // A line may hold the largest value, and the members around it.
  static constexpr std::size_t kAnswerBytesMax = kValueBytesMax + 1024;

  // The pidfd and our ends of the pipes, non-blocking.
  struct Channels {
    Descriptor process;
    Descriptor input;
    Descriptor output;
    Descriptor errors;
  };
  HandlerChild(pid_t pid, Channels channels, std::string attempt_key)
      : pid_(pid),
        channels_(std::move(channels)),
        attempt_key_(std::move(attempt_key)),
        lines_(kAnswerBytesMax, kBlockBytes) {}
  HandlerChild(const HandlerChild&) = delete;
  HandlerChild& operator=(const HandlerChild&) = delete;

  // Appends a request, which feed() writes, and returns where it begins in all that this child is asked.
  // `args`: one compact JSON text. If it throws std::bad_alloc, nothing was appended.
  std::uint64_t ask(std::string_view id, std::uint32_t attempt, std::string_view args);
  enum class Fed : std::uint8_t { kAll, kSome, kRefused };
  // Writes what the pipe takes. kRefused: nobody reads it any more.
  Fed feed();
  // How much of all that it was asked the child, or who else has its stdin, has read out of the pipe; what it
  // keeps in a buffer of its own counts.
  std::uint64_t bytes_read() const;
  // Takes out of the pipe what has not been read, until feed(). Returns bytes_read(), or more if that failed.
  std::uint64_t take_back();
  // After take_back(): what begins there is not to be written.
  void forget_from(std::uint64_t begins);
  void close_input();

  enum class Got : std::uint8_t { kMore, kAll, kClosed };
  // Reads a block of its stdout. kMore: there may be more.
  Got read_output();
  // The next line that was read; lives until the next read_output().
  bool next_line(std::string_view& line, bool& too_long);
  // The line that is being read is over the limit already.
  bool in_long_line() const { return lines_.in_long_line(); }
  // Reads a block of its stderr, into `errors` if that is not null. Returns whether there was any.
  bool read_errors(CaptureBuffer* errors);
  // Reads a block of its stdout and forgets it.
  void drop_output();

  // Takes the status of the process if it has ended; returns whether it has.
  bool reap();
  bool has_exited() const { return exited_; }
  int exit_status() const { return status_; }         // if no signal ended it
  int ended_by_signal() const { return by_signal_; }  // 0: none did
  JobProcesses processes() const { return {pid_, !exited_, attempt_key_}; }

  // For poll(); -1 for what is closed.
  int process_fd() const { return channels_.process.get(); }
  int input_fd() const { return channels_.input.get(); }
  int output_fd() const { return channels_.output.get(); }
  int errors_fd() const { return channels_.errors.get(); }
  bool has_unsent() const { return channels_.input.is_open() && sent_ < unsent_.size(); }
  std::size_t unsent_bytes() const { return unsent_.size() - sent_; }

 private:
  static constexpr std::size_t kBlockBytes = 64 * 1024;  // as much as a pipe holds

  pid_t pid_;
  Channels channels_;
  std::string attempt_key_;
  LineSplitter lines_;
  std::string unsent_;      // requests
  std::size_t sent_ = 0;    // of these
  std::uint64_t fed_ = 0;   // bytes that the pipe has taken, and that were not taken back
  std::uint64_t read_ = 0;  // of these, when stdin was closed
  bool exited_ = false;
  int status_ = 0;
  int by_signal_ = 0;
};

}  // namespace workpool::worker
