// SPDX-License-Identifier: MIT
// A runner with real threads and processes, in the language of its tests: run(command) gives the ending.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "tests/unit_io/processes.h"
#include "worker/io/process/process_tree.h"
#include "worker/io/runner/runner.h"

namespace workpool::worker {

inline std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

// {"cmd":[…]MORE}
inline std::string argv(const std::vector<std::string>& arguments, const std::string& more = "") {
  std::string out;
  for (const std::string& argument : arguments) out += (out.empty() ? "" : ",") + json(argument);
  return "{\"cmd\":[" + out + "]" + more + "}";
}

// {"cmd":"…"MORE}
inline std::string shell(std::string_view script, const std::string& more = "") {
  return "{\"cmd\":" + json(script) + more + "}";
}

// Collects endings by token; a job may have two.
class EndingBox {
 public:
  void put(std::vector<AttemptEnded>&& endings) {
    const std::lock_guard lock(mutex_);
    for (AttemptEnded& ending : endings) by_token_[ending.token].push_back(std::move(ending));
    ++calls_;
    changed_.notify_all();
  }
  std::size_t count(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    return by_token_[token].size();
  }
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // The ending number `index` of a job; one of kind kNotStarted with token 0 if it does not come.
  AttemptEnded wait(std::uint64_t token, std::size_t index = 0) {
    const Time until = boot_time() + kPatience;
    std::unique_lock lock(mutex_);
    while (by_token_[token].size() <= index && boot_time() < until)
      changed_.wait_for(lock, until - boot_time());
    if (by_token_[token].size() > index) return by_token_[token][index];
    ADD_FAILURE() << "no ending of job " << token;
    AttemptEnded none;
    none.how = AttemptEnd::kNotStarted;
    return none;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::vector<AttemptEnded>> by_token_;
  std::size_t calls_ = 0;
};

class RunnerTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kPlaces = 200;

  RunnerTest() : page_(kPlaces, kPlaces) {
    options_.slots = 4;
    options_.page = &page_;
    options_.kill_grace = milliseconds(300);
  }

  // Made with the first job, so that a test may set options_ before.
  Runner& runner() {
    if (!runner_) {
      runner_ = std::make_unique<Runner>(options_, [this](auto&& endings) { box_.put(std::move(endings)); });
      runner_->set_lease(boot_time() + seconds(3600));
    }
    return *runner_;
  }

  std::uint64_t start(const std::string& work, Duration timeout = Duration(0)) {
    std::vector<StartAttempt> orders;
    orders.push_back(order(work, timeout));
    const std::uint64_t token = orders.back().token;
    runner().start(std::move(orders));
    return token;
  }
  StartAttempt order(const std::string& work, Duration timeout = Duration(0)) {
    StartAttempt result;
    result.token = ++last_token_;
    result.order.id = "job-" + std::to_string(result.token);
    result.order.key.low = result.token;
    result.order.attempt = 3;
    result.order.kind = work.starts_with("{\"cmd\":") ? JobKind::kCommand : JobKind::kHandler;
    result.order.work = work;
    result.order.timeout = timeout;
    return result;
  }
  AttemptEnded wait(std::uint64_t token, std::size_t index = 0) { return box_.wait(token, index); }
  AttemptEnded run(const std::string& work, Duration timeout = Duration(0)) {
    return wait(start(work, timeout));
  }

  // The outcome of a job that has to end well.
  std::string output_of(const std::string& work) {
    const AttemptEnded ending = run(work);
    EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
    EXPECT_EQ(ending.outcome.status, Status::kOk)
        << ending.outcome.message << ending.outcome.command->standard_error;
    return ending.outcome.command->standard_output;
  }
  std::size_t running() const { return page_.running(); }

  SharedPage page_;
  RunnerOptions options_;
  EndingBox box_;
  Folder folder_;
  std::uint64_t last_token_ = 0;
  std::unique_ptr<Runner> runner_;  // last: it goes first
};

}  // namespace workpool::worker
