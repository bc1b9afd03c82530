// SPDX-License-Identifier: MIT
// Commands that cannot be started: what the result says, and what is no fault of the job.
#include <dirent.h>
#include <sys/resource.h>

#include "tests/unit_io/runner_fixture.h"

namespace workpool::worker {
namespace {

class RunnerFailureTest : public RunnerTest {
 protected:
  std::string why(const std::string& work) {
    const AttemptEnded ending = run(work);
    EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
    EXPECT_EQ(ending.outcome.status, Status::kFailed);
    EXPECT_EQ(ending.outcome.kind, ErrorKind::kSpawn);
    EXPECT_TRUE(ending.outcome.command) << "it is one, also if it was not started";
    EXPECT_EQ(*ending.outcome.command, CommandEnd{});
    EXPECT_EQ(running(), 0U);
    return ending.outcome.message;
  }
};

TEST_F(RunnerFailureTest, AMissingProgramIsNamedWithThePathThatWasSearched) {
  EXPECT_EQ(why(argv({"no-such-tool"}, R"(,"env":{"PATH":"/bin:/usr/bin"})")),
            "cannot run no-such-tool: no such program in the folders of PATH");
  EXPECT_EQ(why(argv({folder_.path("none")})),
            "cannot run " + folder_.path("none") + ": No such file or directory");
}

TEST_F(RunnerFailureTest, AMissingDirectoryIsNamed) {
  EXPECT_EQ(why(argv({folder_.path("a/b/tool")})), "cannot run " + folder_.path("a/b/tool") + ": directory " +
                                                       folder_.path("a") + ": No such file or directory");
  EXPECT_EQ(why(argv({"a/tool"}, ",\"cwd\":" + json(folder_.path()))),
            "cannot run a/tool: directory a: No such file or directory");
  EXPECT_EQ(why(argv({"true"}, ",\"cwd\":" + json(folder_.path("gone")))),
            "cannot change to directory " + folder_.path("gone") + ": No such file or directory");
  folder_.write("file", "");
  EXPECT_EQ(why(argv({"true"}, ",\"cwd\":" + json(folder_.path("file")))),
            "cannot change to directory " + folder_.path("file") + ": Not a directory");
}

TEST_F(RunnerFailureTest, AMissingInterpreterIsNamed) {
  folder_.write("script", "#! /no/such/interpreter -x\n", true);
  const std::string expected = "cannot run " + folder_.path("script") +
                               ": its interpreter /no/such/interpreter: No such file or directory";
  EXPECT_EQ(why(argv({folder_.path("script")})), expected);
  EXPECT_EQ(why(argv({"script"}, ",\"env\":{\"PATH\":" + json(folder_.path() + ":/bin") + "}")), expected);
  EXPECT_EQ(why(argv({"./script"}, ",\"cwd\":" + json(folder_.path()))),
            "cannot run ./script: its interpreter /no/such/interpreter: No such file or directory");
}

TEST_F(RunnerFailureTest, WhatIsNotExecutableSaysSo) {
  folder_.write("data", "#!/bin/sh\n");
  EXPECT_EQ(why(argv({folder_.path("data")})),
            "cannot run " + folder_.path("data") + ": Permission denied (is it executable?)");
  EXPECT_EQ(why(argv({"data"}, ",\"env\":{\"PATH\":" + json("/bin:" + folder_.path()) + "}")),
            "cannot run data: " + folder_.path("data") + ": Permission denied (is it executable?)");
  EXPECT_EQ(why(argv({folder_.path()})),
            "cannot run " + folder_.path() + ": Permission denied (it is a directory)");
}

TEST_F(RunnerFailureTest, AnInterpreterThatIsNotExecutableIsNamed) {
  folder_.write("data", "");
  folder_.write("script", "#!" + folder_.path("data") + "\n", true);
  EXPECT_EQ(why(argv({folder_.path("script")})), "cannot run " + folder_.path("script") +
                                                     ": its interpreter " + folder_.path("data") +
                                                     ": Permission denied");
}

TEST_F(RunnerFailureTest, AFileWithoutFirstLineGoesToNoShell) {
  folder_.write("plain", "echo from a shell\n", true);
  EXPECT_EQ(why(argv({folder_.path("plain")})),
            "cannot run " + folder_.path("plain") +
                ": Exec format error (no program of this machine, and no script with a #! line)");
}

TEST_F(RunnerFailureTest, TooManyArgumentsAreTheSystemsToRefuse) {
  // The limit is a quarter of the stack's, which the job inherits.
  rlimit before{};
  ::getrlimit(RLIMIT_STACK, &before);
  rlimit small = before;
  small.rlim_cur = 1 << 20;
  ::setrlimit(RLIMIT_STACK, &small);
  std::vector<std::string> many(9, std::string(100'000, 'x'));
  many.insert(many.begin(), "true");
  const std::string message = why(argv(many));
  ::setrlimit(RLIMIT_STACK, &before);
  EXPECT_TRUE(message.ends_with("/true: Argument list too long")) << message;
  const std::string name = why(argv({std::string(100'000, 'x')}));
  EXPECT_TRUE(name.ends_with("x…: File name too long")) << name;
}

TEST_F(RunnerFailureTest, WorkThatIsNoneIsAResult) {
  EXPECT_EQ(run(R"({"cmd":)").outcome.kind, ErrorKind::kSpawn);
  EXPECT_EQ(run("nonsense").outcome.kind, ErrorKind::kHandler);
}

// Keeps every descriptor below the soft limit of `count` more than are open now.
class FewDescriptors {
 public:
  explicit FewDescriptors(int count) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(2);
    ::close(next);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(next + count);
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(RunnerFailureTest, NoDescriptorsLeftIsNoFaultOfTheJob) {
  EXPECT_EQ(output_of(argv({"echo", "first"})), "first\n");  // the runner has what it needs
  for (const int few : {0, 1, 3}) {
    const FewDescriptors limit(few);
    const AttemptEnded ending = run(argv({"true"}));
    EXPECT_EQ(ending.how, AttemptEnd::kNoResources) << few;
    EXPECT_FALSE(ending.outcome.message.empty()) << few;
    EXPECT_EQ(running(), 0U);
  }
  EXPECT_EQ(output_of(argv({"echo", "again"})), "again\n");
  const auto open_now = [] {
    int count = 0;
    DIR* const folder = ::opendir("/proc/self/fd");
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
  };
  const int before = open_now();
  for (int i = 0; i < 20; ++i) {
    run(argv({"no-such-tool"}));
    run(argv({"true"}));
  }
  EXPECT_EQ(open_now(), before);
}

TEST_F(RunnerFailureTest, NothingStartsWithoutALease) {
  runner().set_lease(boot_time() - microseconds(1));
  EXPECT_EQ(run(shell("touch " + folder_.path("ran"))).how, AttemptEnd::kNotStarted);
  EXPECT_EQ(run(R"({"type":"noop"})").how, AttemptEnd::kNotStarted);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("ran")));
  runner().set_lease(boot_time() + seconds(3600));
  EXPECT_EQ(run(argv({"true"})).how, AttemptEnd::kOutcome);
}

TEST_F(RunnerFailureTest, AClosedPageStartsAndReportsNothing) {
  options_.slots = 1;  // one after the other: the late one has its turn when the first is over
  const auto token = start(shell("echo $$ >" + folder_.path("begun") + "; until [ -e " + folder_.path("go") +
                                 " ]; do sleep 0.01; done"));
  ASSERT_GT(folder_.wait_for_pid("begun"), 0);
  page_.close();
  const auto late = start(shell("touch " + folder_.path("ran")));
  folder_.write("go", "");
  ASSERT_TRUE(wait_for([&] { return running() == 0; }));
  std::this_thread::sleep_for(milliseconds(300));  // its ending would come right behind
  EXPECT_EQ(box_.count(token) + box_.count(late), 0U);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("ran")));
}

}  // namespace
}  // namespace workpool::worker
