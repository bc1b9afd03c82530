// SPDX-License-Identifier: MIT
// Handlers of a user's program (include/workpool): what they see of a job, what they may return and throw,
// and how they learn of a stop.
#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <stop_token>
#include <thread>

#include "include/workpool/worker.h"
#include "tests/unit_io/runner_fixture.h"
#include "worker/handlers/registry.h"
#include "worker/library/own_handler.h"

namespace workpool::worker {
namespace {

using Value = workpool::json;

class OwnHandlerTest : public RunnerTest {
 protected:
  OwnHandlerTest() { options_.registry = registry_; }

  void handle(std::function<Value(const Job&)> function) {
    registry_->add(own_handler("own", std::move(function), relay_));
  }
  static std::string job(const std::string& args = "") {
    return "{\"type\":\"own\"" + (args.empty() ? "" : ",\"args\":" + args) + "}";
  }
  std::string value_of(const std::string& args = "") {
    const AttemptEnded ending = run(job(args));
    EXPECT_EQ(ending.outcome.status, Status::kOk) << ending.outcome.message;
    return ending.outcome.value;
  }
  std::string failure_of(const std::string& args = "") {
    const AttemptEnded ending = run(job(args));
    EXPECT_EQ(ending.outcome.status, Status::kFailed);
    EXPECT_EQ(ending.outcome.kind, ErrorKind::kHandler);
    return ending.outcome.message;
  }

  std::shared_ptr<HandlerRegistry> registry_ = std::make_shared<HandlerRegistry>(builtin_handlers());
  std::shared_ptr<StopRelay> relay_ = std::make_shared<StopRelay>();
};

TEST_F(OwnHandlerTest, SeesItsJob) {
  handle([](const Job& job) {
    EXPECT_FALSE(job.deadline());
    EXPECT_FALSE(job.remaining());
    EXPECT_FALSE(job.stop_token().stop_requested());
    return Value{{"id", job.id()}, {"attempt", job.attempt()}, {"args", job.args()}};
  });
  EXPECT_EQ(value_of(R"({"a":[1]})"), R"({"id":"job-1","attempt":3,"args":{"a":[1]}})");
  EXPECT_EQ(value_of(), R"({"id":"job-2","attempt":3,"args":null})");
  EXPECT_EQ(run(R"({"type":"echo","args":1})").outcome.value, "1") << "the built-in ones are there, too";
}

TEST_F(OwnHandlerTest, SaysHowFarItIs) {
  handle([this](const Job& job) {
    job.progress(0.25, "first");
    job.progress(0.5, "se\xff");
    std::vector<JobProgressed> said = runner().take_progress();
    EXPECT_EQ(said.size(), 1U) << "only the last word counts";
    EXPECT_EQ(said.at(0).progress, (Progress{500, "se\\xff"}));
    std::thread([&] { job.progress(1.5); }).join();
    EXPECT_EQ(runner().take_progress().at(0).progress, (Progress{1000, ""}));
    EXPECT_TRUE(runner().take_progress().empty());
    return said.at(0).token;
  });
  EXPECT_EQ(value_of(), "1");
}

TEST_F(OwnHandlerTest, ArgsThatAreMissingOrOfAnotherType) {
  handle([](const Job& job) {
    job.expect_args({"source", "width", "parts"});
    return Value::array{job.arg<std::string>("source"), job.arg("width", 640),
                        job.arg("parts", std::vector<std::string>{"all"})};
  });
  EXPECT_EQ(value_of(R"({"source":"a"})"), R"(["a",640,["all"]])");
  EXPECT_EQ(value_of(R"({"source":"\u00fc\n","width":-7,"parts":[]})"), "[\"ü\\n\",-7,[]]");
  EXPECT_EQ(failure_of(), R"(args must have "source", a string)");
  EXPECT_EQ(failure_of("[1]"), "args must be an object with source, width, parts");
  EXPECT_EQ(failure_of(R"({"source":1})"), R"(args: "source" must be a string)");
  EXPECT_EQ(failure_of(R"({"source":"a","width":2.5})"),
            R"(args: "width" must be an integer from -2147483648 to 2147483647)");
  EXPECT_EQ(failure_of(R"({"source":"a","width":2147483648})"),
            R"(args: "width" must be an integer from -2147483648 to 2147483647)");
  EXPECT_EQ(failure_of(R"({"source":"a","parts":["b",null]})"),
            R"(args: "parts" must be an array of which each element is a string)");
  EXPECT_EQ(failure_of(R"({"source":"a","widht":3})"),
            R"(args have an unknown member "widht"; known are source, width, parts)");
}

TEST_F(OwnHandlerTest, WhatItThrowsOrReturnsIsItsResultAndNothingElse) {
  handle([](const Job& job) -> Value {
    const auto what = job.arg<std::string>("do");
    if (what == "failure") throw Failure("no such picture");
    if (what == "exception") throw std::out_of_range("index 7");
    if (what == "number") throw 7;
    if (what == "bytes") return "\xff";
    if (what == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (what == "long") return std::string(1 << 20, 'x');
    return nullptr;
  });
  EXPECT_EQ(failure_of(R"({"do":"failure"})"), "no such picture");
  EXPECT_EQ(failure_of(R"({"do":"exception"})"), "own: index 7");
  EXPECT_EQ(failure_of(R"({"do":"number"})"), "own threw something that is no std::exception");
  EXPECT_NE(failure_of(R"({"do":"bytes"})").find("UTF-8"), std::string::npos);
  EXPECT_NE(failure_of(R"({"do":"nan"})").find("NaN"), std::string::npos);
  EXPECT_NE(failure_of(R"({"do":"long"})").find("the limit is 1048576"), std::string::npos);
  EXPECT_EQ(value_of(R"({"do":"nothing"})"), "");
}

TEST_F(OwnHandlerTest, WaitsForItsStopTokenWithWhatTheLibraryHas) {
  std::atomic<int> stopped = 0;
  handle([&](const Job& job) -> Value {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait(lock, job.stop_token(), [] { return false; });
    ++stopped;
    throw Failure("stopped");
  });
  EXPECT_EQ(run(job(), milliseconds(50)).outcome.status, Status::kTimeout);
  EXPECT_TRUE(wait_for([&] { return stopped == 1; }));
  const auto token = start(job());
  EXPECT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(token, JobKind::kHandler, KillWhen::kGently);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
  EXPECT_EQ(stopped, 2);
}

TEST_F(OwnHandlerTest, ACallbackThatTakesLongHoldsUpNobodyOfOurs) {
  std::atomic<bool> let_go = false;
  std::atomic<int> called = 0;
  handle([&](const Job& job) -> Value {
    const std::stop_callback callback(job.stop_token(), [&] {
      ++called;
      while (!let_go) std::this_thread::yield();
    });
    while (!job.stop_token().stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return nullptr;
  });
  start(job(), milliseconds(20));
  EXPECT_TRUE(wait_for([&] { return called == 1; }));
  EXPECT_EQ(run(R"({"type":"sleep","args":{"for":"1h"}})", milliseconds(20)).outcome.status,
            Status::kTimeout);
  let_go = true;
  EXPECT_TRUE(wait_for([&] { return running() == 0; }));
}

TEST_F(OwnHandlerTest, KnowsHowLongItHas) {
  handle([](const Job& job) -> Value {
    EXPECT_TRUE(job.deadline());
    return job.remaining()->count();
  });
  const auto left = std::stol(run(job(), seconds(100)).outcome.value);
  EXPECT_LE(left, 100'000);
  EXPECT_GT(left, 50'000);
}

// ---- json ----

TEST(OwnJson, ReadsAndWritesTheSame) {
  for (const std::string text :
       {"null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808",
        "18446744073709551615", "0.5", "1.5e+300", "\"\"", R"("a\"\\\n\u0001ü")", "[]", "{}", "[[],[{}]]",
        R"({"b":1,"a":[true,null,"x"],"":{"c":-0.25}})"}) {
    EXPECT_EQ(Value::parse(text).dump(), text);
  }
  EXPECT_EQ(Value::parse(" { \"a\" : [ 1 , 2 ] } "), (Value{{"a", Value::array{1, 2}}}));
  EXPECT_THROW(Value::parse("[1,]"), std::invalid_argument);
  EXPECT_THROW(Value::parse("18446744073709551616"), std::invalid_argument);
  EXPECT_THROW(Value::parse(std::string(100, '[') + std::string(100, ']')), std::invalid_argument);
  EXPECT_THROW(Value(std::numeric_limits<double>::infinity()).dump(), std::invalid_argument);
}

TEST(OwnJson, IsMadeOfWhatCppHas) {
  const Value made{{"number", 3},
                   {"large", std::numeric_limits<std::uint64_t>::max()},
                   {"text", std::string_view("t")},
                   {"inner", {{"yes", true}, {"none", nullptr}}},
                   {"list", std::vector<int>{1, 2}},
                   {"map", std::map<std::string, double>{{"half", 0.5}}}};
  EXPECT_EQ(made.dump(), R"({"number":3,"large":18446744073709551615,"text":"t",)"
                         R"("inner":{"yes":true,"none":null},"list":[1,2],"map":{"half":0.5}})");
  Value grown;
  grown["a"]["b"] = 1;
  grown["list"].push_back("x");
  grown["a"]["b"] = 2;
  EXPECT_EQ(grown.dump(), R"({"a":{"b":2},"list":["x"]})");
  EXPECT_EQ(grown.find("a")->find("b")->as<int>(), 2);
  EXPECT_EQ(grown.find("none"), nullptr);
  EXPECT_EQ(Value(3u), Value(3)) << "signed or not: one number";
}

TEST(OwnJson, GivesATypeOrSaysWhatItMustBe) {
  EXPECT_EQ(Value(7).as<double>(), 7.0);
  EXPECT_EQ(Value(255).as<std::uint8_t>(), 255);
  EXPECT_FALSE(Value(256).as_if<std::uint8_t>());
  EXPECT_FALSE(Value(-1).as_if<std::uint64_t>());
  EXPECT_FALSE(Value(2.0).as_if<int>());
  EXPECT_FALSE(Value(true).as_if<int>());
  EXPECT_FALSE(Value("a").as_if<bool>());
  EXPECT_EQ((Value::parse(R"({"a":[1]})").as<std::map<std::string, std::vector<int>>>().at("a").at(0)), 1);
  const auto wanted = [](auto read) -> std::string {
    try {
      read();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(wanted([] { Value(1).as<bool>(); }), "must be true or false");
  EXPECT_EQ(wanted([] { Value("1").as<float>(); }), "must be a number");
  EXPECT_EQ(wanted([] { Value(-1).as<std::uint64_t>(); }), "must be an integer from 0");
  EXPECT_EQ(wanted([] { Value(1).as<std::map<std::string, int>>(); }),
            "must be an object of which each member is an integer from -2147483648 to 2147483647");
}

}  // namespace
}  // namespace workpool::worker
