// SPDX-License-Identifier: MIT
// The files of a command, on a real file system, and commands that write into some.
#include "worker/io/process/output_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "tests/unit_io/leased_file.h"
#include "tests/unit_io/runner_fixture.h"

namespace workpool::worker {
namespace {

namespace fs = std::filesystem;

Hash128 digest_of(const std::string& text) { return hash128(text.data(), text.size()); }

// A folder that is the starting directory of the files.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "workpool-files-XXXXXX").string();
    path_ = fs::canonical(mkdtemp(pattern.data())).string();
    fd_ = Descriptor(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  int fd() const { return fd_.get(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // All below it, folders too.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      names.push_back(fs::relative(entry.path(), path_).string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string path_;
  Descriptor fd_;
};

class OutputFilesTest : public ::testing::Test {
 protected:
  OutputFiles::Wanted wanted(std::optional<std::string> output, std::optional<std::string> errors = {},
                             const std::string& cwd = "") const {
    return {folder_.fd(), cwd, std::move(output), std::move(errors), "0123456789abcdef"};
  }
  std::string refusal(const std::string& output, const std::string& cwd = "") const {
    OutputFiles files;
    const auto fault = files.open(wanted(output, {}, cwd));
    return fault ? fault->message : "opened";
  }
  static Outcome ended() {
    Outcome outcome;
    outcome.command.emplace().exit = 0;
    return outcome;
  }
  static void put(OutputFiles& files, Outcome& outcome) {
    OutputFiles::Watch watch;
    files.say_none(outcome);
    OutputFiles::say(files.put(watch), outcome);
  }
  static void put_text(int fd, const std::string& text) {
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  Folder folder_;
};

TEST_F(OutputFilesTest, AFileIsThereWhenItIsWhole) {
  OutputFiles files;
  EXPECT_FALSE(files.any());
  ASSERT_FALSE(files.open(wanted("a/b/out.txt")));
  EXPECT_TRUE(files.any());
  EXPECT_EQ(files.error_fd(), -1);
  put_text(files.output_fd(), "text");
  EXPECT_FALSE(fs::exists(folder_.path("a/b/out.txt")));
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"a", "a/b", "a/b/.out.txt.01234567.part"}));
  Outcome outcome = ended();
  put(files, outcome);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"a", "a/b", "a/b/out.txt"}));
  ASSERT_TRUE(outcome.command->output_file);
  EXPECT_EQ(*outcome.command->output_file, (OutputFile{folder_.path("a/b/out.txt"), 4, digest_of("text")}));
  EXPECT_EQ(outcome.status, Status::kOk);
  EXPECT_TRUE(outcome.command->keeps_output && outcome.command->keeps_errors);
}

TEST_F(OutputFilesTest, AnOlderFileStaysUntilThen) {
  folder_.write("out", "old");
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("out")));
  put_text(files.output_fd(), "new");
  EXPECT_EQ(folder_.read("out"), "old");
  Outcome outcome = ended();
  put(files, outcome);
  EXPECT_EQ(folder_.read("out"), "new");
}

TEST_F(OutputFilesTest, WhatDoesNotCountLeavesNothing) {
  folder_.write("out", "old");
  {
    OutputFiles files;
    ASSERT_FALSE(files.open(wanted("out", "new/err")));
    OutputFiles moved = std::move(files);
    EXPECT_FALSE(files.any());
    Outcome outcome = ended();
    moved.say_none(outcome);
    moved.discard();
    EXPECT_FALSE(outcome.command->keeps_output || outcome.command->keeps_errors);
    OutputFiles forgotten;
    ASSERT_FALSE(forgotten.open(wanted("out")));
  }
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"new", "out"}));
  EXPECT_EQ(folder_.read("out"), "old");
}

TEST_F(OutputFilesTest, BothStreamsMayShareAFile) {
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("both", "both")));
  EXPECT_EQ(files.output_fd(), files.error_fd());
  Outcome outcome = ended();
  put(files, outcome);
  EXPECT_EQ(outcome.command->output_file, outcome.command->error_file);
  ASSERT_FALSE(files.open(wanted("out", "err")));
  EXPECT_NE(files.output_fd(), files.error_fd());
  put(files, outcome);
  EXPECT_EQ(outcome.command->error_file->path, folder_.path("err"));
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"both", "err", "out"}));
}

TEST_F(OutputFilesTest, BothStreamsShareAFileThatIsSpelledInTwoWays) {
  fs::create_directory(folder_.path("o"));
  fs::create_symlink("o", folder_.path("linked"));
  for (const std::string& other : {std::string("./o/a"), std::string("linked/a"), folder_.path("o//a")}) {
    OutputFiles files;
    ASSERT_FALSE(files.open(wanted("o/a", other)));
    put_text(files.output_fd(), "out ");
    put_text(files.error_fd(), "err");
    Outcome outcome = ended();
    put(files, outcome);
    EXPECT_EQ(folder_.read("o/a"), "out err") << other;
    EXPECT_EQ(outcome.command->output_file, outcome.command->error_file) << other;
    EXPECT_EQ(outcome.command->output_file->digest, digest_of("out err"));
  }
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("o/a", "a")));
  EXPECT_NE(files.output_fd(), files.error_fd()) << "the same name in another folder";
}

TEST_F(OutputFilesTest, PathsAreRelativeToTheFolderOfTheJob) {
  fs::create_directories(folder_.path("work/sub"));
  Outcome outcome = ended();
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("../out", folder_.path("abs/err"), "work/sub")));
  put(files, outcome);
  EXPECT_EQ(outcome.command->output_file->path, folder_.path("work/out"));
  EXPECT_EQ(outcome.command->error_file->path, folder_.path("abs/err"));
  EXPECT_EQ(refusal("out", "none"), "cannot change to directory none: No such file or directory");
  EXPECT_FALSE(fs::exists(folder_.path("none"))) << "the folder to run in is not made";
}

TEST_F(OutputFilesTest, WhatIsInTheWayIsNamed) {
  const std::string cannot = "cannot write its output to ";
  fs::create_directory(folder_.path("folder"));
  folder_.write("file", "x");
  fs::create_symlink("file", folder_.path("link"));
  ASSERT_EQ(::mkfifo(folder_.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(refusal("folder"), cannot + "folder: it is a folder");
  EXPECT_EQ(refusal("folder/.."), cannot + "folder/..: Is a directory");
  EXPECT_EQ(refusal("link"), cannot + "link: it is a link: give the path of the file itself");
  EXPECT_EQ(refusal("fifo"), cannot + "fifo: it is no regular file, and would be replaced by one");
  EXPECT_EQ(refusal("/dev/null"), cannot + "/dev/null: it is no regular file, and would be replaced by one");
  EXPECT_EQ(refusal("file/out"), cannot + "file/out: Not a directory");
  EXPECT_EQ(refusal(std::string(256, 'n')), cannot + std::string(256, 'n') + ": File name too long");
  EXPECT_EQ(refusal(std::string(255, 'n')), "opened") << "the name beside it is shorter";
  if (::geteuid() != 0) {
    fs::permissions(folder_.path("folder"), fs::perms::owner_read);
    EXPECT_EQ(refusal("folder/out"), cannot + "folder/out: Permission denied");
    fs::permissions(folder_.path("folder"), fs::perms::owner_all);
  }
  EXPECT_EQ(folder_.names().size(), 4U) << "nothing is left";
}

TEST_F(OutputFilesTest, WhatCannotBePutInItsPlaceIsAFailure) {
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("a/out", "err")));
  fs::create_directory(folder_.path("a/out"));
  Outcome outcome = ended();
  put(files, outcome);
  EXPECT_EQ(outcome.status, Status::kFailed);
  EXPECT_EQ(outcome.kind, ErrorKind::kOutput);
  EXPECT_EQ(outcome.message, "its output could not be put into a/out: it is a folder");
  EXPECT_FALSE(outcome.command->output_file || outcome.command->keeps_output);
  EXPECT_TRUE(outcome.command->error_file);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"a", "a/out", "err"}));

  ASSERT_FALSE(files.open(wanted("b")));
  fs::remove(folder_.path(".b.01234567.part"));
  Outcome failed = ended();
  failed.status = Status::kFailed;
  failed.kind = ErrorKind::kExit;
  failed.message = "exit status 1";
  put(files, failed);
  EXPECT_EQ(failed.kind, ErrorKind::kExit);
  EXPECT_EQ(failed.message, "exit status 1; its output could not be put into b: No such file or directory");
}

TEST_F(OutputFilesTest, GivenUpAreRemovedAndAnOlderOneStays) {
  folder_.write("out", "old");
  OutputFiles files;
  ASSERT_FALSE(files.open(wanted("out")));
  put_text(files.output_fd(), "new");
  OutputFiles::Watch watch;
  watch.given_up = true;
  const OutputFiles::Put put = files.put(watch);
  EXPECT_TRUE(put.given_up);
  EXPECT_FALSE(put.output_file);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"out"}));
  EXPECT_EQ(folder_.read("out"), "old");
}

// ---- commands ----

class CommandsWithFiles : public RunnerTest {
 protected:
  std::string files(const std::string& more = "") const {
    return ",\"cwd\":" + json(folder_.path("")) + more;
  }
  Folder folder_;
};

TEST_F(CommandsWithFiles, WriteIntoThem) {
  StartAttempt attempt = order(
      shell("printf out; printf err >&2", files(R"(,"stdout":"o/{id}.{line}.{attempt}","stderr":"{{err")")));
  attempt.order.line = 12;
  const std::uint64_t token = attempt.token;
  std::vector<StartAttempt> attempts;
  attempts.push_back(std::move(attempt));
  runner().start(std::move(attempts));
  const AttemptEnded ending = wait(token);
  ASSERT_EQ(ending.how, AttemptEnd::kOutcome);
  const CommandEnd& end = *ending.outcome.command;
  const std::string name = "o/job-" + std::to_string(token) + ".12.3";
  ASSERT_TRUE(end.output_file && end.error_file) << ending.outcome.message;
  EXPECT_EQ(*end.output_file, (OutputFile{folder_.path(name), 3, digest_of("out")}));
  EXPECT_EQ(end.error_file->path, folder_.path("{err"));
  EXPECT_EQ(folder_.read(name), "out");
  EXPECT_EQ(end.standard_output, "");
}

TEST_F(CommandsWithFiles, OfAnySizeWhateverIsCaptured) {
  options_.capture_bytes = 10;
  const AttemptEnded ending =
      run(shell("head -c 5000000 /dev/zero; echo 0123456789abcdef >&2", files(R"(,"stdout":"o")")));
  EXPECT_EQ(ending.outcome.command->output_file->bytes, 5'000'000U);
  EXPECT_EQ(ending.outcome.command->standard_error, "01234cdef\n");
  EXPECT_EQ(ending.outcome.command->truncated, 7U) << "only of what was captured";
}

TEST_F(CommandsWithFiles, OneFileHasBothStreamsInTheirOrder) {
  run(shell("echo 1; echo 2 >&2; echo 3", files(R"(,"stdout":"b","stderr":"b")")));
  EXPECT_EQ(folder_.read("b"), "1\n2\n3\n");
}

TEST_F(CommandsWithFiles, AFailedAttemptLeavesItsOutput) {
  const AttemptEnded failed = run(shell("echo no; exit 3", files(R"(,"stdout":"f")")));
  EXPECT_EQ(failed.outcome.message, "exit status 3");
  EXPECT_EQ(folder_.read("f"), "no\n");
  const AttemptEnded late =
      run(shell("echo late; exec sleep 100", files(R"(,"stdout":"t")")), milliseconds(200));
  EXPECT_EQ(late.outcome.status, Status::kTimeout);
  EXPECT_TRUE(late.outcome.command->output_file);
  EXPECT_EQ(folder_.read("t"), "late\n");
}

TEST_F(CommandsWithFiles, AStoppedAttemptLeavesNothing) {
  const std::uint64_t token = start(shell("echo x; touch begun; exec sleep 100", files(R"(,"stdout":"s")")));
  const Time until = boot_time() + kPatience;
  while (!fs::exists(folder_.path("begun")) && boot_time() < until) ::usleep(1000);
  runner().kill(token, JobKind::kCommand, KillWhen::kAtOnce);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"begun"}));
}

TEST_F(CommandsWithFiles, ThatCannotBeStartedLeaveNothing) {
  EXPECT_EQ(run(argv({"./none"}, files(R"(,"stdout":"s")"))).outcome.kind, ErrorKind::kSpawn);
  fs::create_directory(folder_.path("d"));
  const AttemptEnded ending = run(shell("echo x", files(R"(,"stdout":"d")")));
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kSpawn);
  EXPECT_EQ(ending.outcome.message, "cannot write its output to d: it is a folder");
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"d"}));
}

TEST_F(CommandsWithFiles, ALargeFileHoldsUpNobody) {
  // Its digest takes a second or more, and ten times as long under TSan; it has no blocks, so it takes no
  // room.
#ifdef __SANITIZE_THREAD__
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
#else
  constexpr std::uint64_t kBytes = std::uint64_t{4} << 30;
#endif
  const std::string make = "truncate -s " + std::to_string(kBytes) + " /dev/stdout";
  const std::uint64_t large = start(shell(make, files(R"(,"stdout":"large")")));
  const auto is_large = [this] {
    for (const std::string& name : folder_.names()) {
      if (fs::file_size(folder_.path(name)) == kBytes) return true;
    }
    return false;
  };
  ASSERT_TRUE(wait_for(is_large));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(output_of(shell("echo x")), "x\n");
  EXPECT_EQ(box_.count(large), 0U) << "the others did not wait for it";
  const AttemptEnded ending = wait(large);
  EXPECT_EQ(ending.outcome.message, "");
  ASSERT_TRUE(ending.outcome.command->output_file);
  EXPECT_EQ(ending.outcome.command->output_file->bytes, kBytes);
  EXPECT_EQ(output_of(shell("echo y")), "y\n");
}

// Its command puts a file in the place of its output whose every open hangs.
class CommandsWithAFileThatHangs : public CommandsWithFiles {
 protected:
  CommandsWithAFileThatHangs() : hangs_(folder_.path("hangs")) { options_.slots = 1; }
  void SetUp() override {
    if (!hangs_.is_held()) GTEST_SKIP() << "no leases here";
  }
  std::string work() const { return shell("echo why >&2; mv hangs .s.*.part", files(R"(,"stdout":"s")")); }
  // The slot is free when the disk answers again, and nothing is left.
  void expect_back(std::uint64_t token) {
    EXPECT_EQ(running(), 1U);
    hangs_.release();
    const AttemptEnded back = wait(token, 1);
    EXPECT_EQ(back.how, AttemptEnd::kStopped);
    EXPECT_FALSE(back.slot_lost);
    EXPECT_EQ(folder_.names(), std::vector<std::string>());
    EXPECT_EQ(run(shell("true")).outcome.status, Status::kOk);
    EXPECT_TRUE(wait_for([&] { return running() == 0; }));
    EXPECT_EQ(box_.count(token), 2U);
  }

  LeasedFile hangs_;
};

TEST_F(CommandsWithAFileThatHangs, FailWhenItHasTakenTooLong) {
  options_.files_patience = milliseconds(400);
  runner().set_capture(1000, true);
  const std::uint64_t token = start(work());
  const AttemptEnded lost = wait(token);
  EXPECT_EQ(lost.how, AttemptEnd::kOutcome);
  EXPECT_TRUE(lost.slot_lost);
  EXPECT_EQ(lost.outcome.kind, ErrorKind::kOutput);
  EXPECT_EQ(lost.outcome.message, "its output did not get into its place, s: the disk did nothing for 400ms");
  ASSERT_TRUE(lost.outcome.command);
  EXPECT_EQ(lost.outcome.command->standard_error, "why\n");
  EXPECT_FALSE(lost.outcome.command->output_file || lost.outcome.command->keeps_output);
  expect_back(token);
}

TEST_F(CommandsWithAFileThatHangs, CanBeKilled) {
  const std::uint64_t token = start(work());
  ASSERT_TRUE(wait_for([&] { return hangs_.is_waited_for(); }));
  runner().kill(token, JobKind::kCommand, KillWhen::kAtOnce);
  const AttemptEnded lost = wait(token);
  EXPECT_EQ(lost.how, AttemptEnd::kStopped);
  EXPECT_TRUE(lost.slot_lost);
  runner().kill(token, JobKind::kCommand, KillWhen::kAtOnce);
  expect_back(token);
}

TEST_F(CommandsWithAFileThatHangs, GoOnIfItAnswersInTime) {
  const std::uint64_t token = start(work());
  ASSERT_TRUE(wait_for([&] { return hangs_.is_waited_for(); }));
  EXPECT_EQ(box_.count(token), 0U);
  hangs_.release();
  const AttemptEnded ending = wait(token);
  EXPECT_EQ(ending.outcome.status, Status::kOk) << ending.outcome.message;
  EXPECT_FALSE(ending.slot_lost);
  EXPECT_TRUE(ending.outcome.command->output_file);
}

TEST_F(CommandsWithFiles, ALargeFileThatGetsOnIsNotGivenUpUntilItIsKilled) {
  options_.files_patience = milliseconds(100);
  const std::uint64_t large = start(shell("truncate -s 200G /dev/stdout", files(R"(,"stdout":"large")")));
  std::this_thread::sleep_for(seconds(1));
  EXPECT_EQ(box_.count(large), 0U) << "the disk answers";
  runner().kill(large, JobKind::kCommand, KillWhen::kGently);
  const AttemptEnded ending = wait(large);
  EXPECT_EQ(ending.how, AttemptEnd::kStopped);
  EXPECT_FALSE(ending.slot_lost) << "it was told to leave";
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(CommandsWithFiles, ARunnerThatIsOverLeavesNothingBeside) {
  start(shell("echo x; exec sleep 100", files(R"(,"stdout":"s")")));
  ASSERT_TRUE(wait_for([this] { return !folder_.names().empty(); }));
  runner_.reset();
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(CommandsWithFiles, KeepNothingOfWhatIsOkIfOnlyFailuresAreWanted) {
  runner().set_capture(1000, true);
  const AttemptEnded ok = run(shell("echo x; echo y >&2"));
  EXPECT_FALSE(ok.outcome.command->keeps_output || ok.outcome.command->keeps_errors);
  EXPECT_EQ(ok.outcome.command->standard_output + ok.outcome.command->standard_error, "");
  EXPECT_EQ(run(shell("echo x; exit 1")).outcome.command->standard_output, "x\n");
  EXPECT_EQ(run(shell("trap 'exit 0' TERM; echo x; sleep 100 & wait"), milliseconds(300))
                .outcome.command->standard_output,
            "x\n")
      << "a timeout is no success, whatever the exit status";
  const AttemptEnded file = run(shell("echo x", files(R"(,"stdout":"o")")));
  EXPECT_TRUE(file.outcome.command->output_file) << "a file is kept";
  EXPECT_TRUE(file.outcome.command->keeps_output);
  EXPECT_FALSE(file.outcome.command->keeps_errors);
  const AttemptEnded in_the_way = run(shell("echo why >&2; mkdir -p d/f", files(R"(,"stdout":"d/f")")));
  EXPECT_EQ(in_the_way.outcome.kind, ErrorKind::kOutput);
  EXPECT_EQ(in_the_way.outcome.command->standard_error, "why\n") << "it is a failure by its file alone";
}

}  // namespace
}  // namespace workpool::worker
