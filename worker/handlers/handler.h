// SPDX-License-Identifier: MIT
// The handler interface: a handler runs the jobs of one type in the worker's own process. A thread cannot be
// ended from outside, so a handler that may run long has to ask its stop token.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/base/progress.h"
#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool::worker {

// Thrown by a handler: the job has failed, with this message (UTF-8, for people).
class HandlerError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Set at the job's timeout and when it is stopped; never unset again for this job.
class StopToken {
 public:
  virtual ~StopToken() = default;
  virtual bool is_stopped() const = 0;
  // Sleeps until `duration` has passed (true) or the token is set (false).
  virtual bool sleep_for(Duration duration) const = 0;
  // Calls `act` when the token is set, at once if it is, and not if the job ends before. The thread that sets
  // it calls, with locks held: `act` must be quick and not throw. Once for a job.
  virtual void when_set(std::function<void()> act) const = 0;
};

// Takes how far a job is, of which only the last word counts. Any thread.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // `token`: the attempt's. Says nothing if that has ended.
  virtual void say(std::uint64_t token, Progress&& progress) = 0;
};

struct HandlerContext {
  const StopToken& stop;
  std::optional<Time> deadline;  // CLOCK_BOOTTIME; the token is set then
  const JobOrder& order;
  ProgressSink& progress;
  std::uint64_t token = 0;  // of the attempt

  std::uint32_t attempt() const { return order.attempt; }  // from 1
  // Of the job. Made when it is asked for: to print a default id costs more than a no-op.
  std::string id() const { return order.full_id(); }
};

// One object serves all threads at once.
class Handler {
 public:
  virtual ~Handler() = default;
  // The `type` of the jobs that it runs.
  virtual std::string name() const = 0;
  // Whether it always returns within microseconds. Before a handler that does not, the thread hands over the
  // results it has, so that they do not wait for it.
  virtual bool is_quick() const { return false; }
  // `args`: one compact JSON text, `null` if the job has none. Returns the job's value: one JSON text
  // without control bytes, at most 1 MiB; empty = null. Throws HandlerError, or anything else that is a
  // std::exception.
  virtual std::string run(std::string_view args, const HandlerContext& context) const = 0;
};

}  // namespace workpool::worker
