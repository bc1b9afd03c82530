// SPDX-License-Identifier: MIT
// A worker with functions of your own (docs/handlers.md). All flags, messages and exit codes are those of
// workpool-worker.
//
//   int main(int argc, char** argv) {
//     workpool::Worker worker("shout", argc, argv);
//     worker.handle("shout", [](const workpool::Job& job) { return job.arg<std::string>("text") + "!"; });
//     return worker.run();
//   }
#pragma once

#include <workpool/json.h>
#include <workpool/version.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace workpool {

// Thrown by a handler: the job has failed, with this message (UTF-8, for people). Any other exception fails
// the job too; the message then begins with the name of the handler.
class WORKPOOL_API Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  Failure(const Failure&) = default;
  Failure& operator=(const Failure&) = default;
  ~Failure() override;
};

// A job that runs now. It lives as long as the call of its handler, and is for the thread of that call.
class Job {
 public:
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  WORKPOOL_API std::string id() const;
  WORKPOOL_API int attempt() const;       // from 1
  WORKPOOL_API const json& args() const;  // null if the job has none

  // A member of the args, of any type that json::as() has. Throws Failure if it is of another type, or if it
  // is missing and no default is given.
  template <class T>
  T arg(std::string_view name) const {
    const json* const value = member(name);
    if (value == nullptr) throw Failure("args must have \"" + std::string(name) + "\", " + json::wanted<T>());
    return read<T>(name, *value);
  }
  template <class T>
  T arg(std::string_view name, T otherwise) const {
    const json* const value = member(name);
    return value == nullptr ? std::move(otherwise) : read<T>(name, *value);
  }
  // Throws Failure if the args have a member that is not listed: a misspelled one would be ignored else.
  WORKPOOL_API void expect_args(std::initializer_list<std::string_view> known) const;

  // When its timeout is reached; nullopt if it has none.
  WORKPOOL_API std::optional<std::chrono::steady_clock::time_point> deadline() const;
  // How long until then; never below 0.
  std::optional<std::chrono::milliseconds> remaining() const {
    const auto at = deadline();
    if (!at) return std::nullopt;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(*at - std::chrono::steady_clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

  // Says how far the job is: `done` from 0 to 1 (below 0 and NaN count as 0, above 1 as 1), and a text of at
  // most 200 bytes of UTF-8, of which more is cut. The last of these goes out with the worker's next
  // heartbeat, every tenth of --worker-timeout, and `status` shows it: calling this often costs a lock and no
  // message. Unlike the rest of a Job it may be called by other threads, until the handler returns.
  WORKPOOL_API void progress(double done, std::string_view text = {}) const;
  // Asked to stop at the job's timeout, and when the job is cancelled. No thread can be ended from outside,
  // so a handler that may take long has to look at it. One that does not return within 5 s keeps its thread,
  // and the worker gets a new process as soon as no other slot is left. Callbacks of all jobs run on one
  // thread, one after the other: they have to be quick.
  WORKPOOL_API std::stop_token stop_token() const;

 private:
  friend class JobAccess;
  struct Impl;
  explicit Job(Impl& impl) : impl_(impl) {}

  // Null if there is none. Throws Failure if the args are neither an object nor null.
  WORKPOOL_API const json* member(std::string_view name) const;
  template <class T>
  static T read(std::string_view name, const json& value) {
    try {
      return value.as<T>();
    } catch (const std::invalid_argument& error) {
      throw Failure("args: \"" + std::string(name) + "\" " + error.what());
    }
  }

  Impl& impl_;
};

// Made at the beginning of main; run() at its end. A worker is several processes that fork from each other in
// run(): what was there before is copied, what handlers change stays in the process that runs jobs.
class Worker {
 public:
  // `name`: what help and messages call the program.
  Worker(std::string_view name, int argc, char** argv) {
    workpool_worker_needs(kVersionMajor, kVersionMinor);
    impl_ = make(name, argc, argv);
  }
  WORKPOOL_API ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Jobs of the type `name` are run by `function`, on as many threads at once as the worker has slots, so it
  // must bear that. What it returns, anything that a json can be made of, is the job's value; null if it
  // returns nothing. A name that is no type of a job, or taken, is reported by run().
  template <class Function>
  requires std::invocable<const Function&, const Job&>
  void handle(std::string_view name, Function function) {
    add(name, [function = std::move(function)](const Job& job) -> json {
      if constexpr (std::is_void_v<std::invoke_result_t<const Function&, const Job&>>) {
        function(job);
        return nullptr;
      } else {
        return function(job);
      }
    });
  }

  // Called in each process that is to run jobs, before the first one: the place to start threads and to load
  // what is large. There may be a second such process after a crash. If it throws, the worker ends with 71.
  WORKPOOL_API void at_start(std::function<void()> function);

  // Reads the flags and serves a dispatcher until its run is over. Returns the exit code. The program must
  // not have started threads yet.
  WORKPOOL_API int run();

 private:
  struct Impl;
  WORKPOOL_API static Impl* make(std::string_view name, int argc, char** argv);
  WORKPOOL_API void add(std::string_view name, std::function<json(const Job&)> function);

  Impl* impl_ = nullptr;
};

}  // namespace workpool
