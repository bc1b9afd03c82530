// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dispatcher/io/results/state_file.h"
#include "tests/unit_io/forked.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr RunId kFresh{0xf00d};
constexpr char kJobsPath[] = "/jobs/a.jsonl";

class Store : public testing::Test {
 protected:
  StoreOptions options(const std::string& jobs_path = kJobsPath) {
    StoreOptions given;
    given.path = folder_.results();
    given.jobs_path = jobs_path;
    return given;
  }

  // As a run does it: open, replay, refuse, open_run.
  RunId resume(const StoreOptions& given, JobIndex& index) {
    ResultsStore store(given);
    const ReplaySummary summary = replay_into(store.fd(), index);
    store.refuse_if_foreign(summary);
    return store.open_run(summary, kFresh);
  }
  RunId resume(const StoreOptions& given) {
    JobIndex index = index_of({"a", "b", "c"});
    return resume(given, index);
  }
  RunId resume() { return resume(options()); }

  StoreError error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const StoreError& error) {
      EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ExitCode::kOk, ""};
  }
  StoreError open_error(const std::string& path) {
    StoreOptions given = options();
    given.path = path;
    return error_of([&] { const ResultsStore store(given); });
  }

  std::string results() { return folder_.read(folder_.results()); }
  std::string state() { return folder_.read(folder_.state()); }
  std::string head(RunId run, const std::string& jobs_path = kJobsPath) {
    std::string line = R"({"state":1,"run":")" + hex64(run.value) + R"(","jobs":")" + jobs_path + '"';
    append_crc(line, 0);
    return line;
  }

  ResultsFolder folder_;
};

// ---- the state and the run ----

TEST_F(Store, ANewFileMakesARunAndItsState) {
  {
    const ResultsStore store(options());
    EXPECT_TRUE(store.regular());
    EXPECT_EQ(store.shown_path(), folder_.results());
    EXPECT_EQ(access(folder_.state().c_str(), F_OK), -1)
        << "nothing but RESULTS is made before JOBS is checked";
  }
  std::filesystem::remove(folder_.results());
  EXPECT_EQ(resume(), kFresh);
  EXPECT_EQ(results(), "");
  EXPECT_EQ(state(), head(kFresh));
}

TEST_F(Store, TheRunIsKeptOverRestarts) {
  folder_.write(folder_.results(), line_of("a"));
  folder_.write(folder_.state(), head(kRun));
  EXPECT_EQ(resume(), kRun);
  EXPECT_EQ(resume(), kRun);
  EXPECT_EQ(state(), head(kRun));
}

TEST_F(Store, WithoutStateTheRunIsThatOfTheLastLine) {
  folder_.write(folder_.results(), line_of("a", Status::kOk, 1, RunId{5}) + line_of("b") + "damaged\n");
  EXPECT_EQ(resume(), kRun);
  EXPECT_EQ(state(), head(kRun));
}

TEST_F(Store, AStateThatIsNotOfTheseResultsIsDiscarded) {
  folder_.write(folder_.state(), head(RunId{5}) + "{\"note\":\"old\"}\n");
  EXPECT_EQ(resume(), kFresh) << "RESULTS was removed";
  EXPECT_EQ(state(), head(kFresh));

  folder_.write(folder_.results(), line_of("a"));
  folder_.write(folder_.state(), head(RunId{5}));
  EXPECT_EQ(resume(), kRun) << "of another run";
  EXPECT_EQ(state(), head(kRun));

  folder_.write(folder_.state(), head(kRun).substr(0, 20) + "\n");
  EXPECT_EQ(resume(), kRun) << "damaged";
  EXPECT_EQ(state(), head(kRun));
}

TEST_F(Store, AnEmptyFileIsNewButARunThatWasKilledBeforeItsFirstResultIsKept) {
  folder_.write(folder_.results(), "");
  folder_.write(folder_.state(), head(RunId{5}));
  EXPECT_EQ(resume(), RunId{5});
  EXPECT_EQ(resume(options("/jobs/other.jsonl")), kFresh) << "not refused, and not the other's run";
  EXPECT_EQ(state(), head(kFresh, "/jobs/other.jsonl"));
}

TEST_F(Store, ATornTailOfTheStateIsCutWhenItIsWritten) {
  folder_.write(folder_.results(), line_of("a"));
  folder_.write(folder_.state(), head(kRun) + R"({"note":"worker_jo)");
  {
    const ResultsStore store(options());
    EXPECT_NE(state(), head(kRun));
  }
  EXPECT_EQ(resume(), kRun);
  EXPECT_EQ(state(), head(kRun));
}

TEST_F(Store, NamesOfWorkersAreKeptForTheRun) {
  const GrantedName node{{7}, "node"};
  const GrantedName odd{{8}, "a \"b\" \xc3\xa4", "0123456789abcdef"};
  std::string names;
  append_name_line(names, node);
  append_name_line(names, odd);
  {
    ResultsStore store(options());
    EXPECT_EQ(store.state_fd(), -1) << "too early";
    store.open_run(replay(store.fd(), [](const ReplayedLine&) {}), kFresh);
    ASSERT_EQ(write(store.state_fd(), names.data(), names.size()), static_cast<ssize_t>(names.size()));
    EXPECT_EQ(state(), head(kFresh) + names);
  }
  folder_.write(folder_.state(), state() + R"({"worker":"0000000000000009","name":"no crc"})" + "\n");
  {
    ResultsStore store(options());
    EXPECT_EQ(store.open_run(replay(store.fd(), [](const ReplayedLine&) {}), kRun), kFresh);
    const std::vector<GrantedName> known = store.worker_names();
    ASSERT_EQ(known.size(), 2u);
    EXPECT_EQ(known[0].worker, node.worker);
    EXPECT_EQ(known[0].name, node.name);
    EXPECT_EQ(known[0].key, "");
    EXPECT_EQ(known[1].worker, odd.worker);
    EXPECT_EQ(known[1].name, odd.name);
    EXPECT_EQ(known[1].key, odd.key);
  }
  StoreOptions overwriting = options();
  overwriting.overwrite = true;
  ResultsStore store(overwriting);
  store.open_run({}, kRun);
  EXPECT_TRUE(store.worker_names().empty()) << "another run";
}

TEST_F(Store, AMovedJobsFileGetsANewHead) {
  folder_.write(folder_.results(), line_of("a"));
  folder_.write(folder_.state(), head(kRun));
  EXPECT_EQ(resume(options("/moved/a.jsonl")), kRun) << "an id matches";
  EXPECT_EQ(state(), head(kRun) + head(kRun, "/moved/a.jsonl"));
  folder_.write(folder_.results(), line_of("gone"));
  EXPECT_EQ(resume(options("/moved/a.jsonl")), kRun) << "the last head names it";
}

TEST_F(Store, APathThatIsNoTextIsKept) {
  folder_.write(folder_.results(), line_of("gone"));
  const StoreOptions given = options("/jobs/\xff.jsonl");
  folder_.write(folder_.state(), head(kRun));
  EXPECT_EQ(error_of([&] { resume(given); }).exit_code, ExitCode::kForeignResults);
  folder_.write(folder_.results(), "");
  EXPECT_EQ(resume(given), kFresh);
  folder_.write(folder_.results(), line_of("gone", Status::kOk, 1, kFresh));
  EXPECT_EQ(resume(given), kFresh);
  EXPECT_NE(state().find("\"jobs_base64\":\"L2pvYnMv/y5qc29ubA==\""), std::string::npos) << state();
}

// ---- another's results: 73 ----

TEST_F(Store, AnothersResultsAreRefused) {
  const std::string foreign = line_of("x") + line_of("y");
  folder_.write(folder_.results(), foreign);
  for (const std::string& kept :
       {std::string(), head(kRun, "/jobs/b.jsonl"), head(RunId{5}), std::string("junk\n")}) {
    folder_.write(folder_.state(), kept);
    const StoreError error = error_of([&] { resume(); });
    EXPECT_EQ(error.exit_code, ExitCode::kForeignResults);
    EXPECT_NE(error.message.find(folder_.results()), std::string::npos);
    EXPECT_NE(error.message.find("--overwrite"), std::string::npos);
    EXPECT_EQ(results(), foreign);
    EXPECT_EQ(state(), kept);
  }
  folder_.write(folder_.state(), head(kRun));
  EXPECT_EQ(resume(), kRun) << "the same path: every job was removed or renamed";
  folder_.write(folder_.state(), head(kRun, "/jobs/b.jsonl"));
  folder_.write(folder_.results(), foreign + line_of("a"));
  EXPECT_EQ(resume(), kRun) << "one id matches";
}

TEST_F(Store, TheRefusalNamesTheOtherJobsFile) {
  folder_.write(folder_.results(), line_of("x"));
  folder_.write(folder_.state(), head(kRun, "/jobs/b.jsonl"));
  EXPECT_NE(
      error_of([&] { resume(); }).message.find(" belongs to another jobs file, /jobs/b.jsonl, and none"),
      std::string::npos);
}

TEST_F(Store, AFileOfBlankLinesIsANewOne) {
  for (const std::string content : {"\n", "\r\n\n", "\xef\xbb\xbf", "\xef\xbb\xbf\r\n", "  "}) {
    std::filesystem::remove(folder_.state());
    folder_.write(folder_.results(), content);
    EXPECT_EQ(resume(), kFresh) << content;
    EXPECT_EQ(results().substr(0, content.size()), content) << "what is there stays";
  }
}

TEST_F(Store, AFileOfSomethingElseIsRefusedAndLeftAlone) {
  for (const std::string content : {"notes of mine", "{\"id\":5}\n", "{\"id\":\"torn", "\n\nx"}) {
    folder_.write(folder_.results(), content);
    EXPECT_EQ(error_of([&] { resume(); }).exit_code, ExitCode::kForeignResults) << content;
    EXPECT_EQ(error_of([&] { resume(options("-")); }).exit_code, ExitCode::kForeignResults) << content;
    EXPECT_EQ(results(), content);
  }
}

TEST_F(Store, AStreamIsRefusedOnlyWhereThePathIsKnownToDiffer) {
  folder_.write(folder_.results(), line_of("x"));
  EXPECT_EQ(resume(options("-")), kRun);
  EXPECT_EQ(resume(options("-")), kRun);
  folder_.write(folder_.state(), head(kRun));
  EXPECT_EQ(error_of([&] { resume(options("-")); }).exit_code, ExitCode::kForeignResults);
}

// ---- the tail ----

TEST_F(Store, OnlyATornTailIsCut) {
  folder_.write(folder_.state(), head(kRun));
  folder_.write(folder_.results(), line_of("a") + "bad\n" + line_of("b").substr(0, 30));
  resume();
  EXPECT_EQ(results(), line_of("a") + "bad\n");
  folder_.write(folder_.results(), line_of("a") + "not ours");
  resume();
  EXPECT_EQ(results(), line_of("a") + "not ours\n") << "what follows must not be glued to it";
  std::string whole = line_of("a");
  whole.pop_back();
  folder_.write(folder_.results(), whole);
  resume();
  EXPECT_EQ(results(), whole + "\n");
}

TEST_F(Store, CutAtAnyByteARunIsResumedAndLosesAtMostTheLineThatWasCut) {
  const std::vector<std::string> ids = ids_up_to(6);
  std::string content;
  std::vector<std::size_t> ends;
  for (const std::string& id : ids) {
    content += line_of(id);
    ends.push_back(content.size());
  }
  folder_.write(folder_.state(), head(kRun));
  for (std::size_t cut = ends[2]; cut <= content.size(); ++cut) {
    folder_.write(folder_.results(), content.substr(0, cut));
    std::uint64_t whole = 0;
    for (const std::size_t end : ends) whole += end <= cut ? 1 : 0;
    JobIndex index = index_of(ids);
    ASSERT_EQ(resume(options(), index), kRun);
    // A line that lacks only its newline loses nothing.
    const bool newline_alone = cut + 1 == ends[whole < ends.size() ? whole : ends.size() - 1];
    const std::uint64_t known = whole + (newline_alone ? 1 : 0);
    ASSERT_EQ(jobs_to_run(index), ids.size() - known) << "cut at " << cut;
    std::string finished = results();
    ASSERT_EQ(finished, content.substr(0, ends[known - 1])) << "cut at " << cut;
    for (JobNumber number = 0; number < index.size(); ++number) {
      if (index.ids().past(number) == JobRegister::Past::kNone) finished += line_of(ids[number]);
    }
    ASSERT_EQ(finished, content) << "cut at " << cut;
  }
}

// ---- --overwrite ----

TEST_F(Store, OverwriteTruncatesInPlaceAndStartsANewRun) {
  folder_.write(folder_.results(), line_of("x"));
  folder_.write(folder_.state(), head(kRun, "/jobs/b.jsonl"));
  struct stat before {};
  stat(folder_.results().c_str(), &before);
  StoreOptions given = options();
  given.overwrite = true;
  EXPECT_EQ(resume(given), kFresh);
  struct stat after {};
  stat(folder_.results().c_str(), &after);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(results(), "");
  EXPECT_EQ(state(), head(kFresh));
}

// ---- locks ----

TEST_F(Store, AFileInUseIsRefusedSoon) {
  const ResultsStore first(options());
  const Clock::time_point start = Clock::now();
  const StoreError error = open_error(folder_.results());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2)) << "promised: within half a second";
  EXPECT_EQ(error.exit_code, ExitCode::kResultsInUse);
  EXPECT_NE(error.message.find(folder_.results()), std::string::npos);
}

// `kill -9` and the same command again: the killed process has its lock for some milliseconds more.
TEST_F(Store, ADispatcherThatIsJustDyingIsWaitedFor) {
  std::optional<ResultsStore> dying(std::in_place, options());
  std::thread kernel([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    dying.reset();
  });
  EXPECT_NO_THROW(ResultsStore{options()});
  kernel.join();
}

TEST_F(Store, TheLocalWorkersLockOutlivesTheStoreAndIsWaitedFor) {
  int worker = -1;
  {
    ResultsStore store(options());
    worker = store.lock_for_local_worker();
    ASSERT_GE(worker, 0);
    EXPECT_EQ(fcntl(worker, F_GETFD) & FD_CLOEXEC, 0) << "for the local worker to inherit";
    EXPECT_EQ(fcntl(store.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    const int second = store.lock_for_local_worker();
    EXPECT_NE(second, worker);
    close(second);
  }
  int waits = 0;
  StoreOptions given = options();
  given.waiting = [&](const std::string& what) -> std::optional<ExitCode> {
    EXPECT_NE(what.find("local worker"), std::string::npos);
    if (++waits == 2) close(worker);
    return std::nullopt;
  };
  const ResultsStore next(given);
  EXPECT_EQ(waits, 2);
}

TEST_F(Store, ALocalWorkerThatStaysIsGivenUpAfterFiveSeconds) {
  int worker = -1;
  {
    ResultsStore store(options());
    worker = store.lock_for_local_worker();
  }
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(open_error(folder_.results()).exit_code, ExitCode::kResultsInUse);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(4900));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(20)) << "promised: 5 s";
  close(worker);
}

TEST_F(Store, NamesOfOneFileShareLockAndState) {
  folder_.write(folder_.path("real.jsonl"), "");
  std::filesystem::create_directory(folder_.path("other"));
  std::filesystem::create_symlink("../real.jsonl", folder_.path("other/link.jsonl"));
  StoreOptions given = options();
  given.path = folder_.path("other/link.jsonl");
  EXPECT_EQ(resume(given), kFresh);
  EXPECT_EQ(folder_.read(folder_.path("real.jsonl.state")), head(kFresh));
  EXPECT_FALSE(std::filesystem::exists(folder_.path("other/link.jsonl.state")));
  const ResultsStore store(given);
  EXPECT_EQ(open_error(folder_.path("real.jsonl")).exit_code, ExitCode::kResultsInUse);

  std::filesystem::create_symlink("new.jsonl", folder_.path("dangling"));
  given.path = folder_.path("dangling");
  EXPECT_EQ(resume(given), kFresh);
  EXPECT_TRUE(std::filesystem::exists(folder_.path("new.jsonl.state")));
}

// ---- what is no file, or cannot be written ----

TEST_F(Store, WhatCannotBeWrittenIsNamedWithWhatToDo) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {folder_.path(""), "is a directory"},
      {folder_.path("none/r.jsonl"), "the folder " + folder_.path("none") + " does not exist: create it"},
      {"", "its name is empty"},
      {folder_.path("file/r.jsonl"), "is not a folder"},
      {folder_.path(std::string(300, 'n')), "too long"}};
  folder_.write(folder_.path("file"), "");
  for (const auto& [path, part] : cases) {
    const StoreError error = open_error(path);
    EXPECT_EQ(error.exit_code, ExitCode::kResultsFailed);
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("-o"), std::string::npos) << error.message;
  }
}

TEST_F(Store, AFolderOfAnotherUserIsNamedWithBoth) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const int code = code_of_child([&] {
    if (seteuid(12'345) != 0) return 9;
    const StoreError error = open_error(folder_.results());
    const bool named = error.message.find("user 12345, it belongs to user 0") != std::string::npos &&
                       error.message.find("WORKPOOL_UID=$(id -u)") != std::string::npos;
    return error.exit_code == ExitCode::kResultsFailed && named ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(Store, AStateThatCannotBeUsedIsNamed) {
  std::filesystem::create_directory(folder_.state());
  const StoreError error = open_error(folder_.results());
  EXPECT_EQ(error.exit_code, ExitCode::kResultsFailed);
  EXPECT_NE(error.message.find(folder_.state()), std::string::npos) << error.message;
}

TEST_F(Store, ADeviceHasNoLockStateOrResume) {
  for (const std::string path : {"/dev/null", "-"}) {
    StoreOptions given = options();
    given.path = path;
    ResultsStore store(given);
    ResultsStore second(given);
    EXPECT_FALSE(store.regular());
    EXPECT_GE(store.fd(), 0);
    EXPECT_EQ(store.lock_for_local_worker(), -1);
    store.refuse_if_foreign({});
    EXPECT_EQ(store.open_run({}, kFresh), kFresh);
    EXPECT_EQ(store.state_fd(), -1);
  }
  EXPECT_FALSE(std::filesystem::exists("/dev/null.state"));
}

TEST_F(Store, ANamedPipeIsWaitedForWithoutBlocking) {
  ASSERT_EQ(mkfifo(folder_.results().c_str(), 0600), 0);
  EXPECT_EQ(open_error(folder_.results()).exit_code, ExitCode::kResultsFailed) << "nobody to ask";
  int reader = -1;
  StoreOptions given = options();
  given.waiting = [&](const std::string& what) -> std::optional<ExitCode> {
    EXPECT_NE(what.find("reader"), std::string::npos);
    reader = open(folder_.results().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return std::nullopt;
  };
  {
    const ResultsStore store(given);
    EXPECT_FALSE(store.regular());
    EXPECT_EQ(write(store.fd(), "x", 1), 1);
  }
  char byte = 0;
  EXPECT_EQ(read(reader, &byte, 1), 1);
  EXPECT_EQ(read(reader, &byte, 1), 0) << "the end of the results is the end of the pipe";
  close(reader);
  given.waiting = [](const std::string&) { return ExitCode::kInterrupted; };
  const StoreError given_up = error_of([&] { const ResultsStore store(given); });
  EXPECT_EQ(given_up.exit_code, ExitCode::kInterrupted) << "a caller can give up";
  EXPECT_EQ(given_up.message, "");
}

TEST_F(Store, NoSpaceForTheStateIsWaitedFor) {
  const std::string small = folder_.path("small");
  std::filesystem::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16384") != 0) GTEST_SKIP() << "a mount needs root";
  folder_.write(small + "/filler", std::string(20'000, 'x'));
  StoreOptions given = options();
  given.path = small + "/results.jsonl";
  EXPECT_EQ(error_of([&] { resume(given); }).exit_code, ExitCode::kResultsFailed) << "nobody to ask";
  int waits = 0;
  given.waiting = [&](const std::string& what) -> std::optional<ExitCode> {
    EXPECT_NE(what.find("space"), std::string::npos) << what;
    if (++waits == 2) std::filesystem::remove(small + "/filler");
    return std::nullopt;
  };
  EXPECT_EQ(resume(given), kFresh);
  EXPECT_EQ(waits, 2);
  EXPECT_EQ(folder_.read(given.path + ".state"), head(kFresh));
  umount2(small.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace workpool::dispatcher
