// SPDX-License-Identifier: MIT
// The files by which `status` finds the runs of a user.
#include "common/io/runs_here.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>

#include "tests/unit_io/results_fixture.h"

namespace workpool {
namespace {

namespace fs = std::filesystem;

class RunsHere : public testing::Test {
 protected:
  RunsHere() { ::setenv("WORKPOOL_RUN_DIR", runs().c_str(), 1); }
  ~RunsHere() override { ::unsetenv("WORKPOOL_RUN_DIR"); }
  std::string runs() const { return folder_.path("runs"); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(runs()), fs::directory_iterator{}));
  }
  static std::vector<RunHere> listed() {
    std::string problem;
    return runs_here(problem);
  }
  static RunHere run(std::uint64_t number) {
    return {RunId{number}, 42, {"/tmp/f\"", 0}, Address{"0.0.0.0", 4100}, "/a/\"j\xff.jsonl", "/a/ü\n"};
  }

  dispatcher::ResultsFolder folder_;
};

TEST_F(RunsHere, ARunIsFoundUntilItsEnd) {
  EXPECT_TRUE(listed().empty()) << "no folder";
  {
    const RunHereFile file(run(7));
    EXPECT_EQ(file.problem(), "");
    struct stat info {};
    ASSERT_EQ(::stat(runs().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    const auto found = listed();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].run, RunId{7});
    EXPECT_EQ(found[0].pid, 42U);
    EXPECT_EQ(found[0].address.text(), "ipc:///tmp/f\"");
    EXPECT_EQ(found[0].listen->text(), "tcp://0.0.0.0:4100");
    EXPECT_EQ(found[0].jobs, run(7).jobs);
    EXPECT_EQ(found[0].results, run(7).results);
    const RunHereFile second(run(8));
    EXPECT_EQ(listed().size(), 2U);
    EXPECT_EQ(files(), 2U);
  }
  EXPECT_TRUE(listed().empty());
  EXPECT_EQ(files(), 0U);
}

// After kill -9 the lock is gone and the file is left.
TEST_F(RunsHere, WhatIsLeftOverIsRemoved) {
  const RunHereFile living(run(7));
  folder_.write(runs() + "/0000000000000009.5.json",
                R"({"v":1,"run":"0000000000000009","address":"ipc:///h"})");
  folder_.write(runs() + "/junk.json", "\xff");
  folder_.write(runs() + "/other", "");
  EXPECT_EQ(listed().size(), 1U);
  EXPECT_EQ(files(), 2U) << "the living one, and what is none of ours";
}

TEST_F(RunsHere, AFolderThatOthersCanEnterIsNotUsed) {
  fs::create_directory(runs());
  ::chmod(runs().c_str(), 0755);
  const RunHereFile file(run(7));
  EXPECT_NE(file.problem().find("others may enter it (chmod 700)"), std::string::npos) << file.problem();
  std::string problem;
  runs_here(problem);
  EXPECT_EQ(problem, file.problem());
  EXPECT_TRUE(listed().empty());
  EXPECT_EQ(files(), 0U);
}

TEST_F(RunsHere, NorIsALinkOrAFile) {
  fs::create_directory(folder_.path("elsewhere"));
  ::chmod(folder_.path("elsewhere").c_str(), 0700);
  fs::create_symlink(folder_.path("elsewhere"), runs());
  EXPECT_NE(RunHereFile(run(7)).problem(), "");
  fs::remove(runs());
  folder_.write(runs(), "");
  EXPECT_NE(RunHereFile(run(7)).problem(), "");
  ::setenv("WORKPOOL_RUN_DIR", folder_.path("no/folder").c_str(), 1);
  EXPECT_NE(RunHereFile(run(7)).problem().find("No such file"), std::string::npos);
  EXPECT_TRUE(listed().empty());
}

}  // namespace
}  // namespace workpool
