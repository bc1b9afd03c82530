// SPDX-License-Identifier: MIT
// A session of the worker under a clock of the test, with whatever dispatcher the test plays.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/core/session.h"

namespace workpool::worker {

inline constexpr RunId kRun{7};

class SessionFixture : public ::testing::Test {
 protected:
  enum class Answer { kNone, kNobody, kLater, kNotAllowed, kWelcome };

  SessionFixture() {
    options_.worker = {5};
    options_.name = "w";
    options_.slots = 2;
  }

  Session& session() {
    if (!session_) session_.emplace(options_);
    return *session_;
  }
  void start() { step(Started{}); }
  void step(Event&& event) {
    Actions actions;
    session().step(std::move(event), now_, actions);
    const bool is_drained = std::holds_alternative<Drained>(event);
    for (Action& action : actions) take(action);
    if (is_drained && !code_) {
      const auto due = session().next_deadline();
      EXPECT_TRUE(!due || *due > now_) << "the loop would spin";
    }
  }
  void take(Action& action) {
    if (auto* hello = std::get_if<Register>(&action)) asked_ = hello->hello.try_number;
    if (auto* open = std::get_if<OpenSession>(&action)) lane_ = {open->welcome.run, open->welcome.session, 1};
    if (auto* sent = std::get_if<SendSink>(&action)) {
      sent_ = sent->header.seq;
      if (auto* returned = std::get_if<Returned>(&sent->message)) {
        returned_ += returned->jobs.size();
        if (!returned->jobs.empty()) last_reason_ = returned->jobs.back().reason;
        returned_most_ = std::max(returned_most_, returned->jobs.size());
      }
      if (auto* held = std::get_if<Held>(&sent->message)) held_ = held->jobs.size();
      if (auto* ready = std::get_if<Ready>(&sent->message)) accepting_ = ready->accepting;
      if (auto* beat = std::get_if<Beat>(&sent->message)) {
        ++beats_;
        for (const BegunJob& job : beat->begun) begun_.push_back(job);
        for (const JobProgress& job : beat->progress) progress_.push_back(job);
        for (const Handle handle : beat->ended) ended_.push_back(handle.value);
      }
    }
    if (auto* sent = std::get_if<SendResults>(&action)) {
      sent_ = sent->header.seq;
      results_ += sent->results->results.size();
    }
    if (auto* started = std::get_if<StartAttempts>(&action)) {
      for (const StartAttempt& start : started->attempts) running_.push_back(start.token);
    }
    if (auto* unstart = std::get_if<UnstartAttempt>(&action)) unstarted_.push_back(unstart->token);
    if (auto* killed = std::get_if<KillAttempt>(&action)) killed_.push_back(killed->token);
    if (auto* said = std::get_if<Say>(&action)) said_.push_back(std::move(*said));
    if (auto* end = std::get_if<Exit>(&action)) code_ = end->code;
  }
  void answer(Answer how) {
    if (!asked_ || how == Answer::kNone) return;
    const std::uint32_t try_number = *std::exchange(asked_, std::nullopt);
    ++answered_;
    if (how == Answer::kNobody) step(RegistrationFailed{try_number, "connection refused"});
    if (how == Answer::kNotAllowed) step(RegistrationFailed{try_number, "say --insecure", true});
    if (how == Answer::kLater) step(RefusedBy{try_number, {kProtocol, Refusal::kLater, "no port is left"}});
    if (how == Answer::kWelcome) {
      Welcome welcome;
      welcome.run = kRun;
      welcome.session = {++sessions_};
      welcome.worker_timeout = seconds(10);
      welcome.result_window = 1 << 20;
      welcome.lane_port = 5601;
      welcome.sink_port = 5600;
      step(Welcomed{try_number, welcome});
    }
  }
  void deliver(LaneMessage&& message) {
    step(LaneReceived{lane_, std::move(message)});
    ++lane_.seq;
  }
  // Runs one job, from a dispatcher that has asked for it just now.
  void run_a_job(const std::string& work = R"({"cmd":["true"]})") {
    answer(Answer::kWelcome);
    JobOrder order;
    order.handle = {1};
    order.attempt = 1;
    order.work = work;
    order.kind = work.starts_with(R"({"cmd":)") ? JobKind::kCommand : JobKind::kHandler;
    deliver(Jobs{0, 1, {order}});
    step(Drained{});
    ASSERT_EQ(running_.size(), 1U);
  }
  // Time passes: a Drained at each deadline, every try answered so.
  void pass(Duration time, Answer how) {
    const Time end = now_ + time;
    for (int turns = 0; !code_; ++turns) {
      ASSERT_LT(turns, 100'000);
      step(Drained{});
      if (code_) return;
      if (asked_ && how != Answer::kNone) {
        answer(how);
        continue;
      }
      const auto due = session().next_deadline();
      if (now_ >= end) return;
      now_ = std::min(end, due ? std::max(*due, now_) : end);
    }
  }
  template <class What>
  std::size_t times_said() const {
    return static_cast<std::size_t>(std::count_if(
        said_.begin(), said_.end(), [](const Say& say) { return std::holds_alternative<What>(say); }));
  }
  // The last of its kind. REQUIRES: it was said.
  template <class What>
  const What& last_said() const {
    const auto last = std::find_if(said_.rbegin(), said_.rend(),
                                   [](const Say& say) { return std::holds_alternative<What>(say); });
    return std::get<What>(*last);
  }

  SessionOptions options_;
  std::optional<Session> session_;
  Time now_{seconds(1000)};
  std::optional<std::uint32_t> asked_;  // a HELLO that has no answer
  int answered_ = 0;
  std::uint64_t sessions_ = 0;
  Header lane_;
  std::uint64_t sent_ = 0;                               // the last sink message
  std::size_t returned_ = 0;                             // jobs
  std::size_t returned_most_ = 0;                        // in one message
  ReturnReason last_reason_ = ReturnReason::kUnstarted;  // of these
  std::size_t results_ = 0;
  std::size_t beats_ = 0;
  std::vector<JobProgress> progress_;
  std::vector<BegunJob> begun_;       // that beats named as running
  std::vector<std::uint64_t> ended_;  // handles, as named by beats
  bool accepting_ = false;            // as last told
  std::vector<std::uint64_t> running_;
  std::vector<std::uint64_t> killed_;
  std::vector<std::uint64_t> unstarted_;  // asked back from the runner
  std::size_t held_ = 0;                  // jobs that the last HELD named
  std::vector<Say> said_;
  std::optional<int> code_;
};

}  // namespace workpool::worker
