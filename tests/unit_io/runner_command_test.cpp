// SPDX-License-Identifier: MIT
// How a command runs (docs/reference.md), line by line: what it is given, how it is found, how it ends.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <sstream>

#include "tests/unit_io/runner_fixture.h"

namespace workpool::worker {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> result;
  for (std::string word; in >> word;) result.push_back(word);
  return result;
}

TEST_F(RunnerTest, ACommandHasASessionOfItsOwn) {
  const auto stat = words(output_of(argv({"cat", "/proc/self/stat"})));
  ASSERT_GT(stat.size(), 6U);
  EXPECT_EQ(stat[5], stat[0]) << "session";
  EXPECT_EQ(stat[4], stat[0]) << "process group";
  EXPECT_EQ(stat[6], "0") << "terminal";
}

TEST_F(RunnerTest, StdinIsNullUnlessGiven) {
  EXPECT_EQ(output_of(argv({"readlink", "/proc/self/fd/0"})), "/dev/null\n");
  EXPECT_EQ(output_of(argv({"cat"}, R"(,"stdin":"two\nlines")")), "two\nlines");
  EXPECT_EQ(output_of(argv({"cat"}, R"(,"stdin":"")")), "");
}

TEST_F(RunnerTest, StdinOfAnySizeArrivesWhole) {
  const std::string text(900'000, 'x');
  EXPECT_EQ(output_of(argv({"wc", "-c"}, ",\"stdin\":" + json(text))), "900000\n");
}

TEST_F(RunnerTest, ACommandNeedNotReadItsStdin) {
  const std::string text(900'000, 'x');
  EXPECT_EQ(run(argv({"sleep", "0.2"}, ",\"stdin\":" + json(text))).outcome.status, Status::kOk);
  EXPECT_EQ(run(argv({"head", "-c", "1"}, ",\"stdin\":" + json(text))).outcome.command->standard_output, "x");
  EXPECT_EQ(output_of(shell("exec <&-; sleep 0.1; echo done", ",\"stdin\":" + json(text))), "done\n");
}

TEST_F(RunnerTest, OnlyDescriptors0To2AreOpen) {
  std::vector<int> leaks;
  for (int i = 0; i < 20; ++i) leaks.push_back(::dup(2));  // without close-on-exec
  EXPECT_EQ(output_of(argv({"ls", "/proc/self/fd"})), "0\n1\n2\n3\n") << "3 is what ls reads";
  for (const int fd : leaks) ::close(fd);
}

TEST_F(RunnerTest, SignalsAreAsByHand) {
  sigset_t some;
  sigset_t before;
  ::sigemptyset(&some);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1}) ::sigaddset(&some, signal);
  ::pthread_sigmask(SIG_BLOCK, &some, &before);
  const auto ignored = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGRTMAX};
  for (const int signal : ignored) ::signal(signal, SIG_IGN);
  const std::string status = output_of(argv({"cat", "/proc/self/status"}));
  for (const char* of : {"SigPnd:", "SigBlk:", "SigIgn:", "SigCgt:"}) {
    EXPECT_NE(status.find(std::string(of) + "\t0000000000000000\n"), std::string::npos) << of << '\n'
                                                                                        << status;
  }
  for (const int signal : ignored) ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(RunnerTest, LimitsMaskNicenessAndAffinityAreTheWorkers) {
  const mode_t before = ::umask(027);
  options_.job_descriptors = 77;
  EXPECT_EQ(output_of(shell("umask; ulimit -Sn")), "0027\n77\n");
  ::umask(before);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(output_of(shell("ulimit -Hn")), std::to_string(limit.rlim_max) + "\n");
  cpu_set_t cpus;
  ::sched_getaffinity(0, sizeof cpus, &cpus);
  EXPECT_EQ(output_of(argv({"nproc"})), std::to_string(CPU_COUNT(&cpus)) + "\n");
  EXPECT_EQ(output_of(argv({"nice"})), std::to_string(::getpriority(PRIO_PROCESS, 0)) + "\n");
}

TEST_F(RunnerTest, TheLimitOnCoreDumpsIsTheCallersNotOurs) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &before), 0);
  if (before.rlim_max < 4096) GTEST_SKIP() << "no core dumps at all here";
  const rlimit none{0, before.rlim_max};
  ::setrlimit(RLIMIT_CORE, &none);
  options_.job_core_bytes = 4096;
  EXPECT_EQ(words(output_of(argv({"grep", "core file size", "/proc/self/limits"}))).at(4), "4096");
  ::setrlimit(RLIMIT_CORE, &before);
}

TEST_F(RunnerTest, ACommandGainsNoRights) {
  EXPECT_EQ(output_of(argv({"grep", "NoNewPrivs", "/proc/self/status"})), "NoNewPrivs:\t1\n");
  EXPECT_EQ(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0) << "we may still";
}

TEST_F(RunnerTest, UnlessThatIsAllowed) {
  options_.new_privs = true;
  EXPECT_EQ(output_of(argv({"grep", "NoNewPrivs", "/proc/self/status"})), "NoNewPrivs:\t0\n");
}

TEST_F(RunnerTest, TheEnvironmentIsTheWorkersTheJobsAndOurs) {
  ::setenv("WORKPOOL_SLOTS", "7", 1);
  ::setenv("RUNNER_TEST_KEPT", "kept", 1);
  ::setenv("RUNNER_TEST_CHANGED", "old", 1);
  const std::string text = output_of(argv(
      {"env"}, R"(,"env":{"RUNNER_TEST_CHANGED":"new","A":"b=c","WORKPOOL_ATTEMPT":"99","WORKPOOL_X":"y"})"));
  const auto lines = words(text);
  const auto has = [&](const std::string& line) { return std::count(lines.begin(), lines.end(), line); };
  EXPECT_EQ(has("RUNNER_TEST_KEPT=kept"), 1);
  EXPECT_EQ(has("RUNNER_TEST_CHANGED=new"), 1);
  EXPECT_EQ(text.find("RUNNER_TEST_CHANGED=old"), std::string::npos);
  EXPECT_EQ(has("A=b=c"), 1);
  EXPECT_EQ(has("WORKPOOL_X=y"), 1);
  EXPECT_EQ(has("WORKPOOL_JOB_ID=job-1"), 1);
  EXPECT_EQ(has("WORKPOOL_ATTEMPT=3"), 1);
  EXPECT_EQ(text.find("WORKPOOL_SLOTS"), std::string::npos);
  EXPECT_EQ(text.find("=99"), std::string::npos);
  const std::string key = output_of(shell("echo $WORKPOOL_ATTEMPT_KEY"));
  EXPECT_EQ(key.size(), 33U);
  EXPECT_NE(key, output_of(shell("echo $WORKPOOL_ATTEMPT_KEY"))) << "one per attempt";
  for (const char* name : {"WORKPOOL_SLOTS", "RUNNER_TEST_KEPT", "RUNNER_TEST_CHANGED"}) ::unsetenv(name);
}

TEST_F(RunnerTest, ArgvIsExecutedAsGivenAndAShellOnlyWhereAsked) {
  EXPECT_EQ(output_of(argv({"printf", "%s|", "$HOME", "a b", "", "*", "-n"})), "$HOME|a b||*|-n|");
  EXPECT_EQ(output_of(shell("printf '%s|' \"$0\" \"$#\"; tr '\\0' ' ' </proc/$$/cmdline | cut -c1-10")),
            "/bin/sh|0|/bin/sh -c\n");
}

TEST_F(RunnerTest, DirectoriesAreTheWorkersThenTheJobs) {
  std::filesystem::create_directories(folder_.path("start/below"));
  folder_.write("start/below/tool", "#!/bin/sh\necho tool\n", true);
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path("start"));
  runner();
  std::filesystem::current_path(before);
  EXPECT_EQ(output_of(argv({"pwd"})), folder_.path("start") + "\n");
  EXPECT_EQ(output_of(argv({"pwd"}, R"(,"cwd":"below")")), folder_.path("start/below") + "\n");
  EXPECT_EQ(output_of(argv({"pwd"}, R"(,"cwd":"/")")), "/\n");
  EXPECT_EQ(output_of(argv({"./tool"}, R"(,"cwd":"below")")), "tool\n");
}

TEST_F(RunnerTest, WhereAHandlerGoesIsNotWhereJobsStart) {
  const std::filesystem::path before = std::filesystem::current_path();
  runner();
  std::filesystem::current_path("/");
  EXPECT_EQ(output_of(argv({"pwd"})), before.string() + "\n");
  std::filesystem::current_path(before);
}

TEST_F(RunnerTest, ProgramsAreLookedUpInTheJobsPath) {
  std::filesystem::create_directories(folder_.path("first"));
  std::filesystem::create_directories(folder_.path("second/tool"));
  std::filesystem::create_directories(folder_.path("third"));
  folder_.write("first/tool", "#!/bin/sh\necho not executable\n");
  folder_.write("third/tool", "#!/bin/sh\necho third\n", true);
  const std::string path = folder_.path("none") + ":" + folder_.path("first") + ":" + folder_.path("second") +
                           ":" + folder_.path("third") + ":/usr/bin:/bin";
  EXPECT_EQ(output_of(argv({"tool"}, ",\"env\":{\"PATH\":" + json(path) + "}")), "third\n");
  // A relative directory of PATH is one of the job's directory.
  folder_.write("third/bare", "#!/bin/sh\necho bare\n", true);
  EXPECT_EQ(output_of(argv({"bare"}, R"(,"env":{"PATH":"third:/bin"},"cwd":)" + json(folder_.path()))),
            "bare\n");
}

TEST_F(RunnerTest, ExitAndSignalAreTold) {
  const AttemptEnded ok = run(argv({"true"}));
  EXPECT_EQ(ok.outcome.status, Status::kOk);
  EXPECT_TRUE(ok.outcome.command);
  EXPECT_EQ(ok.outcome.command->exit, 0);
  EXPECT_GT(ok.ran.count(), 0);
  const AttemptEnded two = run(shell("echo out; echo err >&2; exit 2"));
  EXPECT_EQ(two.outcome.status, Status::kFailed);
  EXPECT_EQ(two.outcome.kind, ErrorKind::kExit);
  EXPECT_EQ(two.outcome.command->exit, 2);
  EXPECT_EQ(two.outcome.message, "exit status 2");
  EXPECT_EQ(two.outcome.command->standard_output, "out\n");
  EXPECT_EQ(two.outcome.command->standard_error, "err\n");
  const AttemptEnded segv = run(shell("kill -SEGV $$"));
  EXPECT_EQ(segv.how, AttemptEnd::kOutcome);
  EXPECT_EQ(segv.outcome.kind, ErrorKind::kSignal);
  EXPECT_EQ(segv.outcome.command->signal, SIGSEGV);
  EXPECT_FALSE(segv.outcome.command->exit);
  EXPECT_EQ(segv.outcome.message, "killed by signal 11 (SIGSEGV)");
}

TEST_F(RunnerTest, AnEndingDoesNotWaitForTheCommandBehindIt) {
  options_.slots = 1;
  const std::string mark = folder_.path("begun");
  std::vector<StartAttempt> attempts;
  attempts.push_back(order(argv({"true"})));
  attempts.push_back(order(argv({"sh", "-c", "> " + mark + "; exec sleep 600"})));
  runner().start(std::move(attempts));
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(mark); }));
  const Time begun = boot_time();
  EXPECT_EQ(wait(1).outcome.status, Status::kOk);
  EXPECT_LT(boot_time() - begun, milliseconds(500)) << "not only with the next look at what was left";
  runner().kill(2, JobKind::kCommand, KillWhen::kAtOnce);
  wait(2);
}

TEST_F(RunnerTest, ASignalThatAStopMayHaveSentIsMarked) {
  for (const char* name : {"HUP", "INT", "TERM", "KILL"}) {
    const AttemptEnded ending = run(shell(std::string("kill -") + name + " $$; sleep 5"));
    EXPECT_EQ(ending.how, AttemptEnd::kDoubtful) << name;
    EXPECT_EQ(ending.outcome.kind, ErrorKind::kSignal) << name;
  }
}

TEST_F(RunnerTest, OutputKeepsHeadAndTail) {
  options_.capture_bytes = 1000;
  const AttemptEnded ending =
      run(shell("head -c 5000 /dev/zero | tr '\\0' a; head -c 5000 /dev/zero | tr '\\0' b; echo err >&2"));
  EXPECT_EQ(ending.outcome.command->standard_output, std::string(500, 'a') + std::string(500, 'b'));
  EXPECT_EQ(ending.outcome.command->standard_error, "err\n");
  EXPECT_EQ(ending.outcome.command->truncated, 9000U);
  runner().set_capture(2000);
  EXPECT_EQ(output_of(shell("head -c 2000 /dev/zero | tr '\\0' a")).size(), 2000U);
}

TEST_F(RunnerTest, NoDispatcherMakesItKeepMoreThanTheMost) {
  runner().set_capture(std::uint64_t{1} << 63);
  const AttemptEnded ending = run(shell("head -c 20000000 /dev/zero | tr '\\0' a"));
  EXPECT_EQ(ending.outcome.command->standard_output.size(), kCaptureBytesMax);
  EXPECT_EQ(ending.outcome.command->truncated, 20'000'000 - kCaptureBytesMax);
}

TEST_F(RunnerTest, OutputWithoutEndIsDrained) {
  const AttemptEnded ending = run(argv({"yes"}), milliseconds(300));
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kTimeout);
  EXPECT_EQ(ending.outcome.command->standard_output.size(), 64U * 1024);
  EXPECT_GT(ending.outcome.command->truncated, 64U * 1024);
}

}  // namespace
}  // namespace workpool::worker
