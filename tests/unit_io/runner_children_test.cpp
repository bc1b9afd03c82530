// SPDX-License-Identifier: MIT
// Handlers that programs run, in a runner with real children.
#include <sys/resource.h>

#include <fstream>
#include <thread>

#include "tests/unit_io/runner_fixture.h"

namespace workpool::worker {
namespace {

// What a child does with a request that has this in it. It answers the number of jobs that it has had.
constexpr const char* kScript = R"(n=0
while read -r line; do
  n=$((n + 1))
  case $line in
    *exit*) exit 3 ;;
    *leave*) echo '{"value":"left"}'; sleep 0.3; exit 0 ;;
    *early*) exit 0 ;;
    *stray*) (env -i setsid sleep 1000 </dev/null >/dev/null 2>&1 &) ;;
    *wait*) until [ -e "${0%/*}/go" ]; do sleep 0.05; done ;;
    *nan*) echo '{"value":NaN}'; continue ;;
    *long*) head -c 1000000 /dev/zero | tr '\0' 1; echo; continue ;;
    *kill*) kill -9 $$ ;;
    *segv*) kill -11 $$ ;;
    *slow*) sleep 100 ;;
    *deaf*) trap '' TERM; sleep 100 ;;
    *noise*) echo noise >&2 ;;
    *part*) echo '{"progress":0.25}'; echo '{"progress":0.5,"text":"so far"}' ;;
    *flood*) exec cat /dev/zero ;;
  esac
  echo "{\"value\":$n}"
done
)";

class RunnerChildrenTest : public RunnerTest {
 protected:
  RunnerChildrenTest() {
    options_.slots = 1;
    folder_.write("script", kScript);
    folder_.write("lazy", "echo loading >&2; sleep 1000; cat\n");
    // It starts for as long as a file is not there.
    folder_.write("late", "until [ -e " + folder_.path("go") + " ]; do sleep 0.05; done\n" + kScript);
    folder_.write("once", "[ -e " + folder_.path("was") + " ] && exit 3; touch " + folder_.path("was") +
                              "\n" + kScript);
    options_.handlers = {{"child", "sh " + folder_.path("script")},
                         {"gone", folder_.path("nothing")},
                         {"lazy", "sh " + folder_.path("lazy")},
                         {"late", "sh " + folder_.path("late")},
                         {"once", "sh " + folder_.path("once")}};
  }
  static std::string child(const std::string& what = "") {
    return "{\"type\":\"child\",\"args\":" + json(what) + "}";
  }
  static std::string late(const std::string& what = "") {
    return "{\"type\":\"late\",\"args\":" + json(what) + "}";
  }
  std::string message_of(const std::string& what) {
    const AttemptEnded ending = run(child(what));
    EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
    EXPECT_EQ(ending.outcome.status, Status::kFailed);
    EXPECT_EQ(ending.outcome.kind, ErrorKind::kHandler);
    return ending.outcome.message;
  }
  std::string value_of(const std::string& what = "") {
    const AttemptEnded ending = run(child(what));
    EXPECT_EQ(ending.outcome.status, Status::kOk) << ending.outcome.message;
    return ending.outcome.value;
  }
  // All at once, so that they are written ahead.
  std::vector<std::uint64_t> start_all(const std::vector<std::string>& works) {
    std::vector<StartAttempt> attempts;
    std::vector<std::uint64_t> tokens;
    for (const std::string& work : works) {
      attempts.push_back(order(work));
      tokens.push_back(attempts.back().token);
    }
    runner().start(std::move(attempts));
    return tokens;
  }
};

TEST_F(RunnerChildrenTest, OneChildForJobAfterJob) {
  EXPECT_EQ(value_of(), "1");
  EXPECT_EQ(value_of(), "2");
  EXPECT_EQ(run("{\"type\":\"echo\",\"args\":7}").outcome.value, "7");
  EXPECT_EQ(run("{\"type\":\"\\u0063hild\"}").outcome.value, "3");
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerChildrenTest, TheFirstUnansweredOneIsBlamedAndNoOther) {
  for (int i = 0; i < 200; ++i) value_of();  // they are short
  std::vector<std::string> works(60, child());
  works[20] = child("exit");
  works[40] = child("segv");
  const auto tokens = start_all(works);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const AttemptEnded ending = wait(tokens[i]);
    const bool dies = i == 20 || i == 40;
    EXPECT_EQ(ending.outcome.status, dies ? Status::kFailed : Status::kOk) << i << ending.outcome.message;
    EXPECT_EQ(box_.count(tokens[i]), 1U) << i;
  }
  EXPECT_EQ(wait(tokens[20]).outcome.message, "the handler's program exited with status 3");
  EXPECT_EQ(wait(tokens[40]).outcome.message, "the handler's program was ended by signal 11 (SIGSEGV)");
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerChildrenTest, ASignalThatAStopSendsIsDoubtful) {
  EXPECT_EQ(run(child("kill")).how, AttemptEnd::kDoubtful);
  EXPECT_EQ(value_of(), "1");
}

TEST_F(RunnerChildrenTest, WordsOnStderrBelongToTheJob) {
  const AttemptEnded ending = run(child("noise"));
  EXPECT_EQ(ending.outcome.value, "1");
  ASSERT_TRUE(ending.outcome.command);
  EXPECT_EQ(ending.outcome.command->standard_error, "noise\n");
  EXPECT_FALSE(run(child()).outcome.command);
}

TEST_F(RunnerChildrenTest, SaysHowFarItIs) {
  const AttemptEnded ending = run(child("part"));
  EXPECT_EQ(ending.outcome.value, "1");
  const std::vector<JobProgressed> said = runner().take_progress();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].token, ending.token);
  EXPECT_EQ(said[0].progress, (Progress{500, "so far"}));
}

TEST_F(RunnerChildrenTest, TimeoutEndsTheTree) {
  const AttemptEnded ending = run(child("slow"), milliseconds(200));
  EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
  EXPECT_EQ(ending.outcome.status, Status::kTimeout);
  EXPECT_TRUE(children_of_self().empty());
  EXPECT_EQ(value_of(), "1");
}

TEST_F(RunnerChildrenTest, TheStartOfAProgramIsNoTimeOfItsJob) {
  const std::uint64_t token = start(late(), seconds(3));
  std::this_thread::sleep_for(seconds(4));
  EXPECT_EQ(box_.count(token), 0U);
  folder_.write("go", "");
  EXPECT_EQ(wait(token).outcome.value, "1");
  EXPECT_EQ(run(late("slow"), milliseconds(200)).outcome.status, Status::kTimeout);
  // In its first job, too.
  EXPECT_EQ(run(late("slow"), milliseconds(200)).outcome.status, Status::kTimeout);
  EXPECT_EQ(run(late(), seconds(60)).outcome.value, "1");
}

TEST_F(RunnerChildrenTest, AProgramThatReadsNothingSendsTheJobElsewhere) {
  options_.handler_start_most = milliseconds(1500);
  const AttemptEnded ending = run("{\"type\":\"lazy\"}", milliseconds(200));
  EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
  EXPECT_EQ(ending.outcome.status, Status::kFailed);
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kSpawn);
  EXPECT_GE(ending.ran, options_.handler_start_most);
  EXPECT_NE(ending.outcome.message.find("no request within 1.5s of its start"), std::string::npos)
      << ending.outcome.message;
  ASSERT_TRUE(ending.outcome.command);
  EXPECT_EQ(ending.outcome.command->standard_error, "loading\n");
  EXPECT_TRUE(children_of_self().empty());
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerChildrenTest, AProgramThatStartsCanBeEnded) {
  const std::uint64_t token = start("{\"type\":\"lazy\"}", milliseconds(1));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(token, JobKind::kHandler, KillWhen::kGently);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
  EXPECT_TRUE(children_of_self().empty());
  start("{\"type\":\"lazy\"}");
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner_.reset();
  EXPECT_TRUE(children_of_self().empty());
}

TEST_F(RunnerChildrenTest, AProgramThatStartsIsThereForTheNextJob) {
  const std::uint64_t first = start(late());
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  const std::vector<pid_t> child = children_of_self();
  runner().kill(first, JobKind::kHandler, KillWhen::kUnlessBegun);
  EXPECT_EQ(wait(first).how, AttemptEnd::kNotStarted);
  EXPECT_EQ(children_of_self(), child);
  const std::uint64_t second = start(late(), seconds(30));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  folder_.write("go", "");
  EXPECT_EQ(wait(second).outcome.value, "1");
}

TEST_F(RunnerChildrenTest, WhatDoesNotHearTermIsKilledAfterTheGrace) {
  const Time began = boot_time();
  EXPECT_EQ(run(child("deaf"), milliseconds(200)).outcome.status, Status::kTimeout);
  EXPECT_GE(boot_time() - began, milliseconds(500));
  EXPECT_TRUE(children_of_self().empty());
  const auto tokens = start_all({child("deaf")});
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(tokens[0], JobKind::kHandler, KillWhen::kAtOnce);
  EXPECT_EQ(wait(tokens[0]).how, AttemptEnd::kStopped);
  EXPECT_TRUE(children_of_self().empty());
}

TEST_F(RunnerChildrenTest, KillOfWhatRunsAndOfWhatWaits) {
  const auto tokens = start_all({child("slow"), child(), child()});
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(tokens[1], JobKind::kHandler, KillWhen::kUnlessBegun);
  EXPECT_EQ(wait(tokens[1]).how, AttemptEnd::kNotStarted);
  runner().kill(tokens[0], JobKind::kHandler, KillWhen::kUnlessBegun);
  runner().kill(tokens[0], JobKind::kHandler, KillWhen::kGently);
  EXPECT_EQ(wait(tokens[0]).how, AttemptEnd::kStopped);
  EXPECT_EQ(wait(tokens[2]).outcome.value, "1");
}

TEST_F(RunnerChildrenTest, WhatNoChildHasReadCanBeTakenBack) {
  const std::uint64_t token = start("{\"type\":\"lazy\"}");
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner().kill(token, JobKind::kHandler, KillWhen::kUnlessBegun);
  EXPECT_EQ(wait(token).how, AttemptEnd::kNotStarted);
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerChildrenTest, NobodyWaitsForLongBehindALongJob) {
  options_.slots = 2;
  for (int i = 0; i < 200; ++i) value_of();  // they are short
  std::vector<std::string> works(60, child());
  works[5] = child("slow");
  const auto tokens = start_all(works);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i == 5) continue;
    EXPECT_EQ(wait(tokens[i]).outcome.status, Status::kOk) << i;
  }
  EXPECT_EQ(box_.count(tokens[5]), 0U);
  runner().kill(tokens[5], JobKind::kHandler, KillWhen::kAtOnce);
  EXPECT_EQ(wait(tokens[5]).how, AttemptEnd::kStopped);
}

TEST_F(RunnerChildrenTest, OneThatLeavesHasNotBegunWhatItHasNotRead) {
  const auto tokens = start_all({child("leave"), child(), child("early")});
  EXPECT_EQ(wait(tokens[0]).outcome.value, "\"left\"");
  EXPECT_EQ(wait(tokens[1]).outcome.value, "1");
  const std::string message = wait(tokens[2]).outcome.message;
  EXPECT_TRUE(message.starts_with("the handler's program exited with status 0 when")) << message;
  EXPECT_NE(message.find("--handler-jobs"), std::string::npos);
}

TEST_F(RunnerChildrenTest, WhatHidFromUsGoesWithItsChild) {
  value_of("stray");
  EXPECT_EQ(value_of(), "2");
  ASSERT_TRUE(wait_for([&] { return children_of_self().size() == 2; }));
  message_of("exit");
  EXPECT_TRUE(wait_for([&] { return children_of_self().empty(); }));
}

TEST_F(RunnerChildrenTest, NoNumberCostsTheJobAndNotTheChild) {
  EXPECT_NE(message_of("nan").find("NaN"), std::string::npos);
  EXPECT_EQ(value_of(), "2");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they need memory of their own
TEST_F(RunnerChildrenTest, AnAnswerThatDoesNotFitIntoMemoryCostsItsJobOnly) {
  EXPECT_EQ(value_of(), "1");
  std::ifstream status("/proc/self/status");
  std::uint64_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmData:") status >> kib;
  }
  ASSERT_GT(kib, 0U);
  rlimit before{};
  ::getrlimit(RLIMIT_DATA, &before);
  rlimit little = before;
  little.rlim_cur = (kib + 300) * 1024;
  ::setrlimit(RLIMIT_DATA, &little);
  const AttemptEnded ending = run(child("long"));
  ::setrlimit(RLIMIT_DATA, &before);
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kHandler);
  EXPECT_NE(ending.outcome.message.find("no memory"), std::string::npos) << ending.outcome.message;
  EXPECT_EQ(value_of(), "1");
}
#endif

TEST_F(RunnerChildrenTest, NothingStartsAfterTheLease) {
  EXPECT_EQ(value_of(), "1");
  runner().set_lease(boot_time());
  EXPECT_EQ(run(child()).how, AttemptEnd::kNotStarted);
}

TEST_F(RunnerChildrenTest, AProgramThatIsNotThereSendsTheJobElsewhere) {
  const AttemptEnded ending = run("{\"type\":\"gone\"}");
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kSpawn);
  EXPECT_NE(ending.outcome.message.find("No such file or directory"), std::string::npos);
}

TEST_F(RunnerChildrenTest, ThreeDeathsStopTheHandler) {
  std::vector<HandlerStopped> stopped;
  std::mutex mutex;
  runner_ = std::make_unique<Runner>(
      options_, [this](std::vector<AttemptEnded>&& endings) { box_.put(std::move(endings)); },
      [&](HandlerStopped&& handler) {
        const std::lock_guard lock(mutex);
        stopped.push_back(std::move(handler));
      });
  runner_->set_lease(boot_time() + seconds(3600));
  const auto tokens = start_all({child("exit"), child("exit"), child("exit"), child(), child()});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(wait(tokens[i]).outcome.status, Status::kFailed);
  for (int i = 3; i < 5; ++i) EXPECT_EQ(wait(tokens[i]).how, AttemptEnd::kNotStarted);
  EXPECT_EQ(run(child()).how, AttemptEnd::kNotStarted);
  const std::lock_guard lock(mutex);
  ASSERT_EQ(stopped.size(), 1U);
  EXPECT_EQ(stopped[0].type, "child");
  EXPECT_EQ(stopped[0].why, "the handler's program exited with status 3");
}

TEST_F(RunnerChildrenTest, ChildrenOfAStoppedHandlerAreEnded) {
  options_.slots = 2;
  const auto once = [](const std::string& what) { return "{\"type\":\"once\",\"args\":" + json(what) + "}"; };
  EXPECT_EQ(run(once("")).outcome.value, "1");
  const std::uint64_t first = start(once("wait"));  // at the seat that has a child
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  for (const std::uint64_t token : start_all({once(""), once(""), once("")}))
    EXPECT_EQ(wait(token).outcome.status, Status::kFailed);
  folder_.write("go", "");
  EXPECT_EQ(wait(first).outcome.value, "2");
  EXPECT_TRUE(wait_for([&] { return children_of_self().empty(); }));
}

TEST_F(RunnerChildrenTest, ChildrenAreReplacedAfterTheirJobs) {
  options_.handler_jobs = 2;
  EXPECT_EQ(value_of(), "1");
  EXPECT_EQ(value_of(), "2");
  EXPECT_EQ(value_of(), "1");
}

TEST_F(RunnerChildrenTest, ALineWithoutEndIsCutShort) {
  EXPECT_NE(message_of("flood").find("over 1 MiB"), std::string::npos);
  EXPECT_EQ(value_of(), "1");
}

TEST_F(RunnerChildrenTest, NothingIsLeftWhenTheRunnerGoes) {
  start(child("slow"));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  runner_.reset();
  EXPECT_TRUE(children_of_self().empty());
}

}  // namespace
}  // namespace workpool::worker
