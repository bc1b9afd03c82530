// SPDX-License-Identifier: MIT
// How an attempt of a job ended: what a result line reports (docs/reference.md, "Results file").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/boxed.h"
#include "common/base/ids.h"
#include "common/base/time.h"

namespace workpool {

inline constexpr std::size_t kValueBytesMax = 1 << 20;      // of a handler's value
inline constexpr std::size_t kErrorMessageBytesMax = 4096;  // of an error message
// The most that is kept of stdout, and of stderr: --capture may not ask for more, and a worker keeps no more.
inline constexpr std::uint64_t kCaptureBytesMax = 16 << 20;

enum class Status : std::uint8_t { kOk = 0, kFailed = 1, kTimeout = 2, kQuarantined = 3, kInvalid = 4 };

enum class ErrorKind : std::uint8_t {
  kNone = 0,
  kExit = 1,
  kSignal = 2,
  kSpawn = 3,
  kHandler = 4,
  kTimeout = 5,
  kCrash = 6,
  kInvalid = 7,
  kOutput = 8,  // what a command wrote could not be put into its file
};

const char* name_of(Status status);  // "ok", "failed", "timeout", "quarantined", "invalid"
// "exit", "signal", "spawn", "handler", "timeout", "crash", "invalid", "output"; "" for kNone.
const char* name_of(ErrorKind kind);

// The inverse of name_of(Status); nullopt for any other text.
std::optional<Status> status_named(const std::string& name);

// A file on the worker that holds what a command printed.
struct OutputFile {
  std::string path;  // absolute; arbitrary bytes
  std::uint64_t bytes = 0;
  Hash128 digest;  // of its content
  bool operator==(const OutputFile&) const = default;
};

// How the process of a command ended, and what it printed.
struct CommandEnd {
  std::optional<std::int32_t> exit;    // its exit status, if it ended by itself
  std::optional<std::int32_t> signal;  // or the signal that ended it
  std::string standard_output;         // arbitrary bytes, bounded by --capture
  std::string standard_error;
  // If a file holds it instead.
  Boxed<OutputFile> output_file;
  Boxed<OutputFile> error_file;
  // Whether it was kept at all, here or in a file.
  bool keeps_output = true;
  bool keeps_errors = true;
  std::uint64_t truncated = 0;  // bytes cut from both together
  // Of the process and those that it waited for; 0 if not known.
  Duration processor_time{0};
  std::uint64_t memory_kib = 0;  // the most that one of them had resident
  bool operator==(const CommandEnd&) const = default;
};

struct Outcome {
  Status status = Status::kOk;
  ErrorKind kind = ErrorKind::kNone;  // kNone exactly when status is kOk
  std::string message;                // for people; at most kErrorMessageBytesMax of UTF-8
  // Set for a command, also for one that could not be started, and for a handler whose program wrote to its
  // stderr: then it holds nothing else. Not set for other handlers, or for a job that died with its worker,
  // because nobody knows what it printed.
  Boxed<CommandEnd> command;
  // Of a handler: one JSON text without control bytes; empty = null, or none if `command` is set.
  std::string value;

  // Roughly how many bytes it takes to keep or to send.
  std::size_t size_bytes() const {
    const std::size_t printed =
        command ? command->standard_output.size() + command->standard_error.size() : 0;
    return 64 + message.size() + printed + value.size();
  }
};

}  // namespace workpool
