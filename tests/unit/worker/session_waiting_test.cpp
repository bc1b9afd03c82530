// SPDX-License-Identifier: MIT
// A session without a dispatcher: how long it waits, what it says meanwhile, and that it never spins.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/session.h"

namespace workpool::worker {
namespace {

constexpr RunId kRun{7};

class SessionWaiting : public ::testing::Test {
 protected:
  enum class Answer { kNone, kNobody, kLater, kNotAllowed, kWelcome };

  SessionWaiting() {
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
    if (auto* hello = std::get_if<Register>(&action)) asked_ = hello->hello.attempt;
    if (auto* open = std::get_if<OpenSession>(&action)) lane_ = {open->welcome.run, open->welcome.session, 1};
    if (auto* sent = std::get_if<SendSink>(&action)) sent_ = sent->header.seq;
    if (auto* started = std::get_if<StartRun>(&action)) running_.push_back(started->token);
    if (auto* killed = std::get_if<KillRun>(&action)) killed_.push_back(killed->token);
    if (auto* said = std::get_if<Say>(&action)) said_.push_back(said->event);
    if (auto* end = std::get_if<Exit>(&action)) code_ = end->code;
  }
  void answer(Answer how) {
    if (!asked_ || how == Answer::kNone) return;
    const std::uint32_t attempt = *std::exchange(asked_, std::nullopt);
    ++answered_;
    if (how == Answer::kNobody) step(RegistrationFailed{attempt, "connection refused"});
    if (how == Answer::kNotAllowed) step(RegistrationFailed{attempt, "say --insecure", true});
    if (how == Answer::kLater) step(RefusedBy{attempt, {kProtocol, Refusal::kLater, "no port is left"}});
    if (how == Answer::kWelcome) {
      Welcome welcome;
      welcome.run = kRun;
      welcome.session = {++sessions_};
      welcome.worker_timeout = seconds(10);
      welcome.result_window = 1 << 20;
      step(Welcomed{attempt, welcome});
    }
  }
  void deliver(LaneMessage&& message) {
    step(LaneReceived{lane_, std::move(message)});
    ++lane_.seq;
  }
  // Runs one job, from a dispatcher that has asked for it just now.
  void run_a_job() {
    answer(Answer::kWelcome);
    JobOrder order;
    order.handle = {1};
    order.attempt = 1;
    order.work = R"({"cmd":["true"]})";
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
  std::size_t times_said(const std::string& event) const {
    return static_cast<std::size_t>(std::count(said_.begin(), said_.end(), event));
  }

  SessionOptions options_;
  std::optional<Session> session_;
  Time now_{seconds(1000)};
  std::optional<std::uint32_t> asked_;  // a HELLO that has no answer
  int answered_ = 0;
  std::uint64_t sessions_ = 0;
  Header lane_;
  std::uint64_t sent_ = 0;  // the last sink message
  std::vector<std::uint64_t> running_;
  std::vector<std::uint64_t> killed_;
  std::vector<std::string> said_;
  std::optional<int> code_;
};

TEST_F(SessionWaiting, FirstContactHasNoLimit) {
  start();
  pass(seconds(3600), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_NEAR(static_cast<double>(times_said("waiting_for_dispatcher")), 360, 10);
}

// An engine that died before any contact leaves nothing to be orphaned of.
TEST_F(SessionWaiting, FirstContactHasNoLimitForALaterEngineEither) {
  options_.engine = 3;
  start();
  pass(seconds(600), Answer::kNobody);
  EXPECT_FALSE(code_);
}

TEST_F(SessionWaiting, ALaterEngineOfAWorkerThatHadADispatcherHasTheGrace) {
  options_.engine = 2;
  options_.run = kRun;
  start();
  pass(seconds(59), Answer::kNobody);
  EXPECT_FALSE(code_);
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(code_, 69);
}

// The keys of an earlier engine's death say nothing about the jobs of another run.
TEST_F(SessionWaiting, DeathsOfAnotherRunAreForgotten) {
  options_.engine = 2;
  options_.run = {kRun.value + 1};
  step(DeathsKnown{{{1, "signal 11", {Key{{1, 2}}}}}});
  start();
  Actions actions;
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {1};
  welcome.worker_timeout = seconds(10);
  session().step(Welcomed{*asked_, welcome}, now_, actions);
  bool forgot = false;
  for (const Action& action : actions) {
    forgot = forgot || std::holds_alternative<ForgetDeaths>(action);
    const auto* sent = std::get_if<SendSink>(&action);
    EXPECT_FALSE(sent != nullptr && std::holds_alternative<Died>(sent->message));
  }
  EXPECT_TRUE(forgot);
}

TEST_F(SessionWaiting, AGraceOfNothingStillMakesOneTry) {
  options_.first_contact = options_.orphan_grace = Duration(0);
  start();
  pass(seconds(4), Answer::kNone);
  EXPECT_FALSE(code_);
  answer(Answer::kNobody);
  step(Drained{});
  EXPECT_EQ(code_, 69);
}

TEST_F(SessionWaiting, ASilentPortCostsNothingUntilItsTryIsOver) {
  start();
  step(Drained{});
  EXPECT_FALSE(session().next_deadline()) << "the answer of the registrar is an event";
}

TEST_F(SessionWaiting, KeepNeverLeavesAndNeverSpins) {
  options_.keep = true;
  start();
  run_a_job();
  pass(seconds(200), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_EQ(killed_.size(), 1U);
  EXPECT_EQ(times_said("orphaned"), 1U);
}

TEST_F(SessionWaiting, AnOrphanKillsWhatRunsAndLeaves) {
  start();
  run_a_job();
  pass(seconds(69), Answer::kNobody);  // 10 s of silence, then registering, of the 60 s since the last frame
  EXPECT_FALSE(code_ && killed_.empty());
  EXPECT_EQ(killed_.size(), 1U);
  step(RunEnded{killed_.front(), EndOfRun::kStopped, {}, {}, false});
  step(Drained{});
  EXPECT_EQ(code_, 69);
}

// Both ends were stopped for longer than the grace: the dispatcher is there a moment later.
TEST_F(SessionWaiting, AFreezeOfBothEndsIsNoLossOfTheDispatcher) {
  start();
  run_a_job();
  now_ += seconds(600);
  step(SinkGone{{sessions_}});
  step(Drained{});
  EXPECT_FALSE(code_);
  pass(seconds(49), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty()) << "at most D of the past counts";
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(killed_.size(), 1U);
}

TEST_F(SessionWaiting, AfterAFreezeAGraceShorterThanDNeedsATryToo) {
  options_.orphan_grace = seconds(1);
  start();
  answer(Answer::kNobody);  // a failure of long ago
  pass(seconds(1), Answer::kNone);
  run_a_job();
  now_ += seconds(600);
  step(Drained{});
  pass(seconds(1), Answer::kNone);
  EXPECT_TRUE(killed_.empty());
  ASSERT_TRUE(asked_);
  answer(Answer::kWelcome);
  step(Drained{});
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
}

// The try of before the freeze ends in it; that says nothing about who is there now.
TEST_F(SessionWaiting, AFreezeWhileRegisteringNeedsAnotherTry) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  pass(seconds(20), Answer::kNobody);
  now_ += seconds(600);
  if (asked_) answer(Answer::kNobody);
  step(Drained{});
  EXPECT_FALSE(code_);
  pass(seconds(45), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
}

TEST_F(SessionWaiting, LaterIsAnAnswerOfADispatcherThatIsThere) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  const std::size_t before = times_said("waiting_for_dispatcher");
  pass(seconds(300), Answer::kLater);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
  EXPECT_NEAR(static_cast<double>(times_said("waiting_for_dispatcher") - before), 30, 2);
  pass(seconds(59), Answer::kNobody);
  EXPECT_TRUE(killed_.empty());
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(killed_.size(), 1U);
}

TEST_F(SessionWaiting, AForbiddenAddressEndsFirstContact) {
  start();
  answer(Answer::kNotAllowed);
  step(Drained{});
  EXPECT_EQ(code_, 78);
  EXPECT_EQ(times_said("not_allowed"), 1U);
}

// The name leads elsewhere now: what runs and what is kept here waits for it to come back, as for any try
// that fails.
TEST_F(SessionWaiting, AForbiddenAddressAfterContactIsATryThatFailed) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  pass(seconds(30), Answer::kNotAllowed);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
  pass(seconds(1), Answer::kWelcome);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(session().active());
}

// GOODBYE is out shortly before the stop's time is over: its answer is not waited for beyond that.
TEST_F(SessionWaiting, AStopEndsInTimeAlsoWhileItIsLeaving) {
  options_.grace = seconds(1);
  start();
  run_a_job();
  const Time stopped = now_;
  step(StopAsked{});
  pass(seconds(6), Answer::kNone);
  step(RunEnded{running_.front(), EndOfRun::kStopped, {}, {}, false});
  step(Drained{});
  deliver(LaneBeat{1, sent_, sent_});
  step(Drained{});
  EXPECT_FALSE(session().active());
  EXPECT_FALSE(code_);
  pass(seconds(2), Answer::kNone);
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(now_, stopped + seconds(7));
}

}  // namespace
}  // namespace workpool::worker
