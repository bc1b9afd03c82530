// SPDX-License-Identifier: MIT
// Starts that hang, pauses of the whole worker, and no memory: what becomes of that job, and of its
// neighbours.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <new>
#include <set>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/leased_file.h"
#include "tests/unit_io/runner_fixture.h"
#include "worker/io/runner/command_executor.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {
namespace {

class RunnerStartTest : public RunnerTest {
 protected:
  RunnerStartTest() { options_.slots = 3; }
};

TEST_F(RunnerStartTest, AStartThatHangsTimesOutAndHoldsNobodyUp) {
  const LeasedFile program(folder_.path("slow"));
  if (!program.is_held()) GTEST_SKIP() << "no leases here";
  runner();
  const Time begin = boot_time();
  const auto hangs = start(argv({program.path()}), seconds(1));
  std::vector<std::uint64_t> neighbours;
  for (int i = 0; i < 2; ++i) neighbours.push_back(start(argv({"sleep", "1"})));
  for (const std::uint64_t token : neighbours) EXPECT_EQ(wait(token).outcome.status, Status::kOk);
  const Duration neighbours_took = boot_time() - begin;
  const AttemptEnded timeout = wait(hangs);
  const Duration took = boot_time() - begin;
  EXPECT_EQ(timeout.how, AttemptEnd::kOutcome);
  EXPECT_EQ(timeout.outcome.status, Status::kTimeout) << timeout.outcome.message;
  EXPECT_TRUE(timeout.outcome.command);
  EXPECT_FALSE(timeout.slot_lost) << "KILL ends a wait for a lease";
  EXPECT_GE(took, seconds(1));
  std::printf("neighbours of 1 s took %.3f s, the timeout of 1 s came after %.3f s\n",
              static_cast<double>(neighbours_took.count()) / 1e6, static_cast<double>(took.count()) / 1e6);
  EXPECT_LT(neighbours_took, seconds(5));
  EXPECT_LT(took, seconds(5));
  EXPECT_EQ(output_of(argv({"echo", "next"})), "next\n");
  EXPECT_TRUE(wait_for([&] { return running() == 0; }));
}

TEST_F(RunnerStartTest, EverySlotMayHangAtOnce) {
  const LeasedFile program(folder_.path("slow"));
  if (!program.is_held()) GTEST_SKIP() << "no leases here";
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint64_t> tokens;
    for (int i = 0; i < 3; ++i) tokens.push_back(start(argv({program.path()}), milliseconds(300)));
    for (const std::uint64_t token : tokens) EXPECT_EQ(wait(token).outcome.status, Status::kTimeout);
  }
  EXPECT_EQ(output_of(argv({"echo", "next"})), "next\n");
}

TEST_F(RunnerStartTest, OneThatHangsGoesOnWhenItsFileAnswers) {
  LeasedFile program(folder_.path("slow"));
  if (!program.is_held()) GTEST_SKIP() << "no leases here";
  const auto token = start(argv({program.path()}), seconds(60));
  EXPECT_EQ(output_of(argv({"echo", "meanwhile"})), "meanwhile\n");
  program.release();
  const AttemptEnded ending = wait(token);
  EXPECT_EQ(ending.outcome.status, Status::kOk) << ending.outcome.message;
  EXPECT_EQ(ending.outcome.command->standard_output, "ran\n");
}

TEST_F(RunnerStartTest, OneThatHangsCanBeKilled) {
  const LeasedFile program(folder_.path("slow"));
  if (!program.is_held()) GTEST_SKIP() << "no leases here";
  const auto token = start(argv({program.path()}));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  EXPECT_EQ(output_of(argv({"echo", "meanwhile"})), "meanwhile\n");
  runner().kill(token, JobKind::kCommand, KillWhen::kGently);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
}

TEST_F(RunnerStartTest, TheEndDoesNotWaitForAStartThatHangs) {
  const LeasedFile program(folder_.path("slow"));
  if (!program.is_held()) GTEST_SKIP() << "no leases here";
  start(argv({program.path()}));
  ASSERT_TRUE(wait_for([&] { return running() == 1; }));
  const Time begin = boot_time();
  runner_.reset();
  EXPECT_LT(boot_time() - begin, seconds(8));
}

// ---- starts that not even KILL ends ----

class GivenStarter : public Starter {
 public:
  using Body = std::function<CommandStart(const StartAttempt&)>;
  explicit GivenStarter(Body body) : body_(std::move(body)) {}
  CommandStart start(const StartAttempt& attempt, std::uint32_t, StartUnderWay&) override {
    return body_(attempt);
  }

 private:
  Body body_;
};

class CommandExecutorTest : public RunnerTest {
 protected:
  CommandExecutor& commands() {
    if (!commands_) {
      services_ =
          std::make_shared<RunServices>(options_, [this](auto&& endings) { box_.put(std::move(endings)); });
      services_->lease_us = (boot_time() + seconds(3600)).time_since_epoch().count();
      commands_ = std::make_unique<CommandExecutor>(services_, [this] {
        return std::make_unique<GivenStarter>([this](const StartAttempt& a) { return body_(a); });
      });
    }
    return *commands_;
  }
  std::uint64_t give(const std::string& work, Duration timeout = Duration(0)) {
    std::vector<StartAttempt> attempts;
    attempts.push_back(order(work, timeout));
    commands().start(std::move(attempts));
    return last_token_;
  }
  static CommandStart refused() {
    CannotStart result;
    result.outcome.status = Status::kFailed;
    result.outcome.kind = ErrorKind::kSpawn;
    return result;
  }
  static void wait_until(const std::atomic<bool>& go) {
    while (!go) std::this_thread::sleep_for(milliseconds(1));
  }

  GivenStarter::Body body_ = [](const StartAttempt&) { return refused(); };
  std::shared_ptr<RunServices> services_;
  std::unique_ptr<CommandExecutor> commands_;
};

TEST_F(CommandExecutorTest, AStartThatStaysKeepsItsSlotButNotItsResult) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  body_ = [go](const StartAttempt& attempt) {
    if (attempt.order.work == "stay") wait_until(*go);
    return refused();
  };
  options_.slots = 1;
  const auto stays = give("stay", milliseconds(300));
  const AttemptEnded lost = wait(stays);
  EXPECT_EQ(lost.outcome.status, Status::kTimeout);
  EXPECT_EQ(lost.outcome.message, "timed out after 300ms while it was being started");
  EXPECT_TRUE(lost.slot_lost);
  const auto next = give("next");
  EXPECT_EQ(running(), 1U);
  EXPECT_EQ(box_.count(next), 0U) << "the one slot is not free";
  *go = true;
  const AttemptEnded back = wait(stays, 1);
  EXPECT_EQ(back.how, AttemptEnd::kStopped);
  EXPECT_FALSE(back.slot_lost);
  EXPECT_EQ(wait(next).outcome.kind, ErrorKind::kSpawn);
  EXPECT_EQ(box_.count(stays), 2U);
}

TEST_F(CommandExecutorTest, EndingsOfShortCommandsAreHandedOverTogether) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  body_ = [go](const StartAttempt&) {
    wait_until(*go);
    return refused();
  };
  options_.slots = 2;
  constexpr std::uint64_t kCommands = 400;
  std::vector<StartAttempt> attempts;
  for (std::uint64_t i = 0; i < kCommands; ++i) attempts.push_back(order("refused"));
  commands().start(std::move(attempts));
  const Time begin = boot_time();
  *go = true;  // all wait for a slot now
  for (std::uint64_t token = 1; token <= kCommands; ++token) wait(token);
  // One in each wait, and one for each slot that nothing fills any more.
  const auto most = (boot_time() - begin) / EndingBatch::kWait + 2;
  EXPECT_LE(box_.calls(), static_cast<std::size_t>(most));
}

TEST_F(CommandExecutorTest, AnEndingDoesNotWaitForTheStartBehindIt) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  body_ = [go](const StartAttempt& attempt) {
    if (attempt.order.work == "stay") wait_until(*go);
    return refused();
  };
  options_.slots = 1;
  std::vector<StartAttempt> attempts;
  for (const char* work : {"refused", "stay"}) attempts.push_back(order(work));
  commands().start(std::move(attempts));
  EXPECT_EQ(wait(1).outcome.kind, ErrorKind::kSpawn);
  EXPECT_EQ(box_.count(2), 0U);
  *go = true;
  wait(2);
}

TEST_F(CommandExecutorTest, TheThreadsOfStartsAreUsedAgain) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  auto go = std::make_shared<std::atomic<bool>>(false);
  body_ = [&, go](const StartAttempt&) {
    {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    wait_until(*go);
    return refused();
  };
  options_.slots = 4;
  for (int round = 0; round < 5; ++round) {
    *go = false;
    std::vector<std::uint64_t> tokens;
    for (int i = 0; i < 4; ++i) tokens.push_back(give("stay"));
    ASSERT_TRUE(wait_for([&] { return running() == 4; }));
    *go = true;
    for (const std::uint64_t token : tokens) EXPECT_EQ(wait(token).outcome.kind, ErrorKind::kSpawn);
  }
  const std::lock_guard lock(mutex);
  EXPECT_LE(threads.size(), 4U + 2U) << "one per slot, one per loop";
}

TEST_F(CommandExecutorTest, TheEndLeavesAStartThatStaysToItself) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  auto begun = std::make_shared<std::atomic<bool>>(false);
  body_ = [go, begun](const StartAttempt&) {
    *begun = true;
    wait_until(*go);
    return refused();
  };
  give("stay");
  ASSERT_TRUE(wait_for([&] { return begun->load(); }));
  const Time begin = boot_time();
  services_->sink.close();
  commands_.reset();
  EXPECT_LT(boot_time() - begin, seconds(8));
  *go = true;  // the thread holds all it needs but the page
  EXPECT_TRUE(wait_for([&] { return services_.use_count() == 1; }));
}

TEST_F(CommandExecutorTest, NoMemoryForAStartIsNoFaultOfTheJob) {
  std::atomic<int> calls{0};
  body_ = [&](const StartAttempt&) -> CommandStart {
    if (++calls == 1) throw std::bad_alloc();
    if (calls == 2) throw std::system_error(EAGAIN, std::generic_category());
    return refused();
  };
  EXPECT_EQ(wait(give("a")).how, AttemptEnd::kNoResources);
  EXPECT_EQ(wait(give("b")).how, AttemptEnd::kNoResources);
  EXPECT_EQ(wait(give("c")).how, AttemptEnd::kOutcome) << "the thread goes on";
}

#ifndef __SANITIZE_ADDRESS__  // which needs more addresses than any limit leaves
TEST_F(RunnerTest, NoMemoryForOutputIsNoFaultOfTheJob) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const int code = code_of_child([&] {
    options_.capture_bytes = std::uint64_t{1} << 62;
    output_of(argv({"true"}));  // its threads have what they need
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const std::uint64_t now = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const rlimit limit{now + (400 << 20), now + (400 << 20)};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return 3;
    if (run(shell("head -c 2000000000 /dev/zero; exec sleep 60")).how != AttemptEnd::kNoResources) return 1;
    return run(argv({"true"})).outcome.status == Status::kOk ? 0 : 2;
  });
  EXPECT_EQ(code, 0);
}
#endif

// ---- time in which nobody ran ----

// Worker and job are frozen together, like a container: their time does not count.
TEST_F(RunnerTest, ATimeoutDoesNotCountTheTimeOfAFreeze) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const std::string pid_file = folder_.path("job");
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  const pid_t worker = ::fork();
  ASSERT_GE(worker, 0);
  if (worker == 0) {
    const auto command = start(shell("echo $$ >" + pid_file + ".new; mv " + pid_file + ".new " + pid_file +
                                     "; for i in 1 2 3 4 5 6 7; do sleep 0.1; done"),
                               seconds(2));
    const auto handler = start(R"({"type":"sleep","args":{"for":"700ms"}})", seconds(2));
    const bool both =
        wait(command).outcome.status == Status::kOk && wait(handler).outcome.status == Status::kOk;
    const char result = both ? '1' : '0';
    ::_exit(::write(report[1], &result, 1) == 1 ? 0 : 1);
  }
  const pid_t job = folder_.wait_for_pid("job");
  ASSERT_GT(job, 0);
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  ASSERT_EQ(::kill(job, SIGSTOP), 0);
  std::this_thread::sleep_for(seconds(4));
  ::kill(job, SIGCONT);
  ::kill(worker, SIGCONT);
  char result = '?';
  ::close(report[1]);
  EXPECT_EQ(::read(report[0], &result, 1), 1);
  EXPECT_EQ(result, '1');
  ::close(report[0]);
  ::waitpid(worker, nullptr, 0);
}

TEST(RunnerPauses, AreWhatIsLongerThanATickByMuch) {
  const Time last{seconds(100)};
  EXPECT_EQ(pause_since(last, last + kTick), Duration{0});
  EXPECT_EQ(pause_since(last, last + kTick + seconds(1)), Duration{0}) << "a busy machine";
  EXPECT_EQ(pause_since(last, last + seconds(4)), seconds(4) - kTick);
}

}  // namespace
}  // namespace workpool::worker
