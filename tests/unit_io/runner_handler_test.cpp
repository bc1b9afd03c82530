// SPDX-License-Identifier: MIT
// Handlers on the thread pool: built-in ones, what they may return and throw, stops and timeouts.
#include <atomic>
#include <functional>

#include "tests/unit_io/runner_fixture.h"
#include "worker/handlers/registry.h"
#include "worker/io/runner/handler_executor.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {
namespace {

std::string handler(const std::string& type, const std::string& args = "") {
  return "{\"type\":" + json(type) + (args.empty() ? "" : ",\"args\":" + args) + "}";
}

class RunnerHandlerTest : public RunnerTest {
 protected:
  std::string value_of(const std::string& work) {
    const AttemptEnded ending = run(work);
    EXPECT_EQ(ending.outcome.status, Status::kOk) << ending.outcome.message;
    EXPECT_FALSE(ending.outcome.command);
    return ending.outcome.value;
  }
  std::string failure_of(const std::string& work) {
    const AttemptEnded ending = run(work);
    EXPECT_EQ(ending.outcome.status, Status::kFailed);
    EXPECT_EQ(ending.outcome.kind, ErrorKind::kHandler);
    return ending.outcome.message;
  }
};

TEST_F(RunnerHandlerTest, EchoAndNoop) {
  EXPECT_EQ(value_of(handler("echo", R"({"a":[1,"é",null]})")), R"({"a":[1,"é",null]})");
  EXPECT_EQ(value_of(handler("echo")), "null");
  EXPECT_EQ(value_of(handler("noop")), "");
  EXPECT_EQ(value_of(handler("noop", "[1]")), "");
}

TEST_F(RunnerHandlerTest, SleepTakesItsTimeAndTellsWhatIsWrong) {
  const AttemptEnded ending = run(handler("sleep", R"({"for":"50ms"})"));
  EXPECT_EQ(ending.outcome.status, Status::kOk);
  EXPECT_GE(ending.ran, milliseconds(50));
  EXPECT_EQ(value_of(handler("sleep", R"({"for":0.01})")), "");
  EXPECT_EQ(failure_of(handler("sleep")), R"(args must say how long to sleep: {"for": "50ms"})");
  EXPECT_NE(failure_of(handler("sleep", R"({"for":"soon"})")).find("\"soon\""), std::string::npos);
  EXPECT_EQ(failure_of(handler("sleep", R"({"fro":"1s"})")),
            R"(args have an unknown member "fro"; known are for)");
  EXPECT_EQ(failure_of(handler("sleep", "[]")), "args must be an object with for");
}

TEST_F(RunnerHandlerTest, Sha256OfTextAndFile) {
  EXPECT_EQ(value_of(handler("sha256", R"({"text":"abc"})")),
            R"({"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"})");
  EXPECT_EQ(value_of(handler("sha256", R"({"text":"\u0061\u0062c"})")),
            value_of(handler("sha256", R"({"text":"abc"})")));
  folder_.write("million", std::string(1'000'000, 'a'));
  EXPECT_EQ(value_of(handler("sha256", "{\"path\":" + json(folder_.path("million")) + "}")),
            R"({"sha256":"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"})");
  EXPECT_EQ(failure_of(handler("sha256", "{\"path\":" + json(folder_.path("none")) + "}")),
            folder_.path("none") + ": No such file or directory");
  EXPECT_EQ(failure_of(handler("sha256", R"({"path":"/"})")), "/: Is a directory");
  EXPECT_EQ(failure_of(handler("sha256", R"({"path":"/dev/zero"})")), "/dev/zero: not a regular file");
  EXPECT_NE(failure_of(handler("sha256", R"({"text":"a","path":"b"})")).find("either"), std::string::npos);
  EXPECT_EQ(failure_of(handler("sha256", R"({"text":7})")), R"(args: "text" must be a string)");
}

TEST_F(RunnerHandlerTest, FailFailsAsManyAttemptsAsAsked) {
  EXPECT_EQ(failure_of(handler("fail")), "failed as asked");
  EXPECT_EQ(failure_of(handler("fail", R"({"message":"no \u00fc \ud83d\ude00\n","times":3})")), "no ü 😀\n");
  EXPECT_EQ(value_of(handler("fail", R"({"times":2})")), "") << "the attempt is the third";
  EXPECT_EQ(failure_of(handler("fail", R"({"times":-1})")), R"(args: "times" must be an integer from 0)");
}

TEST_F(RunnerHandlerTest, AnUnknownTypeIsAResult) {
  EXPECT_EQ(failure_of(handler("thumbnail")), "this worker has no handler \"thumbnail\"");
  EXPECT_EQ(Runner::handler_types(), (std::vector<std::string>{"echo", "fail", "noop", "sha256", "sleep"}));
}

TEST_F(RunnerHandlerTest, ATimeoutIsReportedAtOnceAndTheSlotLater) {
  const auto token = start(handler("sleep", R"({"for":"1h"})"), milliseconds(200));
  const AttemptEnded first = wait(token, 0);
  EXPECT_EQ(first.how, AttemptEnd::kOutcome);
  EXPECT_EQ(first.outcome.status, Status::kTimeout);
  EXPECT_EQ(first.outcome.message, "timed out after 200ms");
  EXPECT_TRUE(first.slot_lost);
  EXPECT_GE(first.ran, milliseconds(200));
  EXPECT_EQ(wait(token, 1).how, AttemptEnd::kStopped);
  EXPECT_TRUE(wait_for([&] { return running() == 0; }));
}

TEST_F(RunnerHandlerTest, KillSetsTheToken) {
  const auto token = start(handler("sleep", R"({"for":"1h"})"));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(token, JobKind::kHandler, KillWhen::kGently);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
}

// ---- handlers of the tests ----

class Given : public Handler {
 public:
  using Body = std::function<std::string(const HandlerContext&)>;
  Given(std::string name, Body body) : name_(std::move(name)), body_(std::move(body)) {}
  std::string name() const override { return name_; }
  std::string run(std::string_view, const HandlerContext& context) const override { return body_(context); }

 private:
  std::string name_;
  Body body_;
};

class HandlerExecutorTest : public RunnerTest {
 protected:
  void handle(const std::string& name, Given::Body body) {
    handlers_->add(std::make_unique<Given>(name, std::move(body)));
  }
  HandlerExecutor& pool(std::uint32_t threads = 2) {
    if (!pool_) {
      services_ =
          std::make_shared<RunServices>(options_, [this](auto&& endings) { box_.put(std::move(endings)); });
      services_->lease_us = (boot_time() + seconds(3600)).time_since_epoch().count();
      pool_ = std::make_unique<HandlerExecutor>(threads, services_, handlers_);
    }
    return *pool_;
  }
  std::uint64_t give(const std::string& type, Duration timeout = Duration(0)) {
    std::vector<StartAttempt> orders;
    orders.push_back(order(handler(type), timeout));
    pool().start(std::move(orders));
    return last_token_;
  }
  Outcome outcome_of(const std::string& type) { return wait(give(type)).outcome; }

  std::shared_ptr<HandlerRegistry> handlers_ = std::make_shared<HandlerRegistry>(builtin_handlers());
  std::shared_ptr<RunServices> services_;
  std::unique_ptr<HandlerExecutor> pool_;
};

TEST_F(HandlerExecutorTest, WhatAHandlerThrowsIsItsResult) {
  handle("error", [](auto&) -> std::string { throw HandlerError("no such picture"); });
  handle("exception", [](auto&) -> std::string { throw std::out_of_range("index 7"); });
  handle("number", [](auto&) -> std::string { throw 7; });
  handle("bytes", [](auto&) -> std::string { throw HandlerError("a\xff"); });
  handle("long", [](auto&) -> std::string { throw HandlerError(std::string(10'000, 'x')); });
  EXPECT_EQ(outcome_of("error").message, "no such picture");
  EXPECT_EQ(outcome_of("error").kind, ErrorKind::kHandler);
  EXPECT_EQ(outcome_of("exception").message, "exception: index 7");
  EXPECT_EQ(outcome_of("number").message, "number threw something that is no std::exception");
  EXPECT_EQ(outcome_of("bytes").message, "a\\xff");
  EXPECT_EQ(outcome_of("long").message.size(), 4096U);
  EXPECT_EQ(outcome_of("noop").status, Status::kOk) << "the thread goes on";
}

// No memory in the pool's own part, which is no failure of the handler's.
class WithoutMemory : public Given {
 public:
  WithoutMemory() : Given("hungry", [](auto&) { return "1"; }) {}
  bool is_quick() const override { throw std::bad_alloc(); }
};

TEST_F(HandlerExecutorTest, NoMemoryInAPoolThreadReturnsTheJob) {
  handlers_->add(std::make_unique<WithoutMemory>());
  const AttemptEnded ending = wait(give("hungry"));
  EXPECT_EQ(ending.how, AttemptEnd::kNoResources);
  EXPECT_EQ(ending.outcome.message, "Cannot allocate memory");
  EXPECT_EQ(outcome_of("noop").status, Status::kOk) << "the thread goes on";
  EXPECT_EQ(running(), 0U);
}

TEST_F(HandlerExecutorTest, AValueIsOneJsonText) {
  handle("text", [](auto&) { return "hello"; });
  handle("two", [](auto&) { return "1 2"; });
  handle("broken", [](auto&) { return R"({"a":)"; });
  handle("lines", [](auto&) { return "{\n}"; });
  handle("utf8", [](auto&) { return "\"\xff\""; });
  handle("number", [](auto&) { return "NaN"; });
  handle("comma", [](auto&) { return "[1,]"; });
  handle("key-twice", [](auto&) { return R"({"a":1,"a":2})"; });
  handle("surrogate", [](auto&) { return R"("\ud800")"; });
  handle("mark", [](auto&) { return "\xef\xbb\xbf{}"; });
  handle("blank", [](auto&) { return " "; });
  handle("deep", [](auto&) { return std::string(65, '[') + std::string(65, ']'); });
  handle("large", [](auto&) { return '"' + std::string(1 << 20, 'x') + '"'; });
  handle("limit", [](auto&) { return '"' + std::string((1 << 20) - 2, 'x') + '"'; });
  for (const char* type : {"text", "two", "broken", "utf8", "number", "comma", "key-twice", "surrogate",
                           "mark", "blank", "deep"}) {
    const Outcome outcome = outcome_of(type);
    EXPECT_EQ(outcome.kind, ErrorKind::kHandler) << type;
    EXPECT_NE(outcome.message.find(std::string(type) + ": the value is not one JSON text, byte "),
              std::string::npos)
        << outcome.message;
    EXPECT_EQ(outcome.value, "");
  }
  EXPECT_NE(outcome_of("lines").message.find("control bytes"), std::string::npos);
  EXPECT_EQ(outcome_of("large").message,
            "large: the value has 1048578 bytes, the limit is 1048576: larger things travel as files");
  EXPECT_EQ(outcome_of("limit").value.size(), 1048576U);
}

TEST_F(HandlerExecutorTest, AHandlerKnowsItsAttemptIdAndDeadline) {
  handle("tell", [](const HandlerContext& context) {
    return '"' + context.id() + ' ' + std::to_string(context.attempt()) + (context.deadline ? " until" : "") +
           '"';
  });
  EXPECT_EQ(wait(give("tell")).outcome.value, "\"job-1 3\"");
  EXPECT_EQ(wait(give("tell", seconds(60))).outcome.value, "\"job-2 3 until\"");
}

TEST_F(HandlerExecutorTest, NoOrderWaitsBehindALongOne) {
  std::atomic<bool> go{false};
  handle("long", [&](auto&) {
    while (!go) std::this_thread::sleep_for(milliseconds(1));
    return "1";
  });
  std::vector<StartAttempt> orders;
  for (const char* type : {"long", "noop", "noop", "noop", "noop"}) orders.push_back(order(handler(type)));
  pool(2).start(std::move(orders));
  for (std::uint64_t token = 2; token <= 5; ++token) EXPECT_EQ(wait(token).outcome.status, Status::kOk);
  EXPECT_EQ(box_.count(1), 0U);
  go = true;
  EXPECT_EQ(wait(1).outcome.value, "1");
}

TEST_F(HandlerExecutorTest, WhatHasFinishedDoesNotWaitForALongOne) {
  std::atomic<bool> go{false};
  handle("long", [&](auto&) {
    while (!go) std::this_thread::sleep_for(milliseconds(1));
    return "1";
  });
  std::vector<StartAttempt> orders;
  for (const char* type : {"noop", "noop", "long"}) orders.push_back(order(handler(type)));
  pool(1).start(std::move(orders));
  EXPECT_EQ(wait(1).outcome.status, Status::kOk);
  EXPECT_EQ(wait(2).outcome.status, Status::kOk);
  EXPECT_EQ(box_.count(3), 0U);
  go = true;
  wait(3);
}

TEST_F(HandlerExecutorTest, EndingsOfQuickJobsAreHandedOverInBatches) {
  std::vector<StartAttempt> orders;
  for (int i = 0; i < 1000; ++i) orders.push_back(order(handler("noop")));
  pool(1).start(std::move(orders));
  for (std::uint64_t token = 1; token <= 1000; ++token) wait(token);
  EXPECT_LE(box_.calls(), 20U);
}

TEST_F(HandlerExecutorTest, KillTakesOutWhatHasNotBegun) {
  std::atomic<bool> go{false};
  std::atomic<int> ran{0};
  handle("long", [&](auto&) {
    while (!go) std::this_thread::sleep_for(milliseconds(1));
    return "1";
  });
  handle("count", [&](auto&) { return std::to_string(++ran); });
  std::vector<StartAttempt> orders;
  for (const char* type : {"long", "count", "count", "count"}) orders.push_back(order(handler(type)));
  pool(1).start(std::move(orders));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  pool().kill(2, KillWhen::kGently);
  pool().kill(3, KillWhen::kUnlessBegun);
  pool().kill(1, KillWhen::kUnlessBegun);  // has begun: goes on
  // At once: the thread may never come back.
  EXPECT_EQ(wait(2).how, AttemptEnd::kNotStarted);
  EXPECT_EQ(wait(3).how, AttemptEnd::kNotStarted);
  go = true;
  EXPECT_EQ(wait(1).how, AttemptEnd::kOutcome);
  EXPECT_EQ(wait(4).how, AttemptEnd::kOutcome);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(box_.count(2), 1U);
  EXPECT_EQ(box_.count(3), 1U);
}

// However the threads and the calls meet, each order ends once.
TEST_F(HandlerExecutorTest, AHandlerThatIgnoresItsTokenLosesItsSlot) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  handle("stubborn", [go](auto&) {
    while (!*go) std::this_thread::sleep_for(milliseconds(1));
    return "1";
  });
  const std::uint64_t token = give("stubborn");
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  const Time killed = boot_time();
  pool().kill(token, KillWhen::kGently);
  const AttemptEnded lost = wait(token);
  EXPECT_EQ(lost.how, AttemptEnd::kStopped);
  EXPECT_TRUE(lost.slot_lost);
  EXPECT_GE(boot_time() - killed, options_.kill_grace);
  pool().kill(token, KillWhen::kGently);  // once more says nothing more
  *go = true;
  const AttemptEnded back = wait(token, 1);
  EXPECT_EQ(back.how, AttemptEnd::kStopped);
  EXPECT_FALSE(back.slot_lost);
}

TEST_F(HandlerExecutorTest, WhatIsTakenOutWhileThreadsClaimEndsOnce) {
  constexpr std::uint64_t kOrders = 5000;
  std::vector<StartAttempt> orders;
  for (std::uint64_t i = 0; i < kOrders; ++i) orders.push_back(order(handler("noop")));
  pool(2).start(std::move(orders));
  for (std::uint64_t token = kOrders; token > 0; token -= 50) {
    if (token % 100 == 0) {
      pool().kill(token, KillWhen::kUnlessBegun);
    } else {
      pool().kill(token, KillWhen::kGently);
    }
  }
  for (std::uint64_t token = 1; token <= kOrders; ++token) wait(token);
  pool_.reset();
  for (std::uint64_t token = 1; token <= kOrders; ++token) ASSERT_EQ(box_.count(token), 1U) << token;
}

TEST_F(HandlerExecutorTest, OrdersThatComeOneByOneEachHaveAThread) {
  std::atomic<int> inside{0};
  handle("meet", [&](auto&) {
    ++inside;
    wait_for([&] { return inside >= 4; });
    return std::to_string(inside);
  });
  // Once is not enough: the idle thread must not have woken yet when the second order comes.
  for (int round = 0; round < 50; ++round) {
    inside = 0;
    pool(4);
    wait(give("noop"));  // one thread is idle when the others come
    std::vector<std::uint64_t> tokens;
    for (int i = 0; i < 4; ++i) tokens.push_back(give("meet"));
    for (const std::uint64_t token : tokens) ASSERT_EQ(wait(token).outcome.value, "4");
    pool_.reset();
  }
}

TEST_F(HandlerExecutorTest, TheEndDoesNotWaitForAHandlerThatNeverReturns) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  auto gone = std::make_shared<std::atomic<bool>>(false);
  handle("stuck", [go](auto&) {
    while (!*go) std::this_thread::sleep_for(milliseconds(1));
    return "1";
  });
  give("stuck");
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  const Time begin = boot_time();
  services_->sink.close();
  pool_.reset();
  EXPECT_LT(boot_time() - begin, seconds(8));
  *go = true;  // what it left must not be used after the test: the thread holds all it needs but the page
  EXPECT_TRUE(wait_for([&] { return services_.use_count() == 1; }));
}

}  // namespace
}  // namespace workpool::worker
