// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/state_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

class State : public testing::Test {
 protected:
  std::string content() { return folder_.read(folder_.state()); }
  std::string head(RunId run, const std::string& jobs) {
    std::string line = R"({"state":1,"run":")" + hex64(run.value) + R"(","jobs":")" + jobs + '"';
    append_crc(line, 0);
    return line;
  }
  std::string name(std::uint64_t worker, const std::string& text) {
    std::string line;
    append_name_line(line, {{worker}, text});
    return line;
  }

  ResultsFolder folder_;
};

TEST_F(State, NothingIsWrittenBeforeTheRun) {
  StateFile state(folder_.state());
  EXPECT_FALSE(state.run());
  EXPECT_FALSE(state.names("/jobs"));
  EXPECT_EQ(state.fd(), -1);
  EXPECT_FALSE(std::filesystem::exists(folder_.state()));
  EXPECT_EQ(state.begin(kRun, "/jobs"), 0);
  EXPECT_EQ(content(), head(kRun, "/jobs"));
  EXPECT_TRUE(state.names("/jobs"));
  EXPECT_EQ(state.run(), kRun);
}

TEST_F(State, ANameLineIsAsItWasAlways) {
  std::string line = R"({"worker":"0000000000000007","name":"a \"b\"")";
  append_crc(line, 0);
  EXPECT_EQ(name(7, "a \"b\""), line);
}

TEST_F(State, AReaderOfResultsLearnsTheJobsFile) {
  EXPECT_EQ(state_head_of(folder_.results()).jobs, "");
  EXPECT_FALSE(std::filesystem::exists(folder_.state()));
  for (const std::string path : {"/a/j\"\\.jsonl", "-", "/a/\xff", "/ü\n"}) {
    EXPECT_EQ(StateFile(folder_.state()).begin(kRun, path), 0);
    EXPECT_EQ(state_head_of(folder_.results()).jobs, path);
  }
  folder_.write(folder_.state(),
                head(RunId{1}, "/old") + head(kRun, "/new") + head(kRun, "/torn").substr(0, 40));
  EXPECT_EQ(state_head_of(folder_.results()).jobs, "/new");
  folder_.write(folder_.state(), "junk\n");
  EXPECT_EQ(state_head_of(folder_.results()).jobs, "");
  EXPECT_EQ(content(), "junk\n");
  EXPECT_EQ(state_head_of(folder_.path("")).jobs, "");
  std::filesystem::create_symlink(folder_.state(), folder_.path("link.state"));
  EXPECT_EQ(state_head_of(folder_.path("link")).jobs, "") << "a link of that name";
  folder_.write(folder_.results(), "");
  EXPECT_EQ(StateFile(folder_.state()).begin(kRun, "/jobs"), 0);
  std::filesystem::create_symlink(folder_.results(), folder_.path("results"));
  EXPECT_EQ(state_head_of(folder_.path("results")).jobs, "/jobs") << "a link to the results";
  EXPECT_EQ(state_head_of(folder_.path("results")).run, kRun);
}

TEST_F(State, TheNamesOfTheLastRunAreRead) {
  folder_.write(folder_.state(), head(RunId{1}, "/jobs") + name(1, "of another run") + head(kRun, "/jobs") +
                                     name(2, "two") + "damaged\n" + head(kRun, "/moved") + name(3, "three") +
                                     name(4, "torn").substr(0, 20));
  StateFile state(folder_.state());
  EXPECT_EQ(state.run(), kRun);
  EXPECT_TRUE(state.names("/moved"));
  EXPECT_EQ(state.jobs_shown(), "/moved");
  ASSERT_EQ(state.worker_names().size(), 2U);
  EXPECT_EQ(state.worker_names()[0].name, "two");
  EXPECT_EQ(state.worker_names()[1].worker, WorkerId{3});
}

TEST_F(State, KeepingItCutsATornTailAndLeavesAPlaceForNames) {
  const std::string whole = head(kRun, "/jobs") + name(2, "two");
  folder_.write(folder_.state(), whole + name(3, "torn").substr(0, 20));
  StateFile state(folder_.state());
  EXPECT_EQ(state.keep(kRun, "/jobs"), 0);
  EXPECT_EQ(content(), whole);
  ASSERT_GE(state.fd(), 0);
  const std::string more = name(5, "five");
  EXPECT_EQ(write(state.fd(), more.data(), more.size()), static_cast<ssize_t>(more.size()));
  EXPECT_EQ(content(), whole + more);
}

TEST_F(State, AnotherRunBeginsAnew) {
  folder_.write(folder_.state(), head(RunId{1}, "/jobs") + name(1, "one"));
  StateFile state(folder_.state());
  EXPECT_EQ(state.begin(kRun, "/jobs"), 0);
  EXPECT_EQ(content(), head(kRun, "/jobs"));
  EXPECT_TRUE(state.worker_names().empty());
}

TEST_F(State, APathThatIsNoTextIsNamedAllTheSame) {
  StateFile state(folder_.state());
  EXPECT_EQ(state.begin(kRun, "/jobs/\xff"), 0);
  const StateFile read(folder_.state());
  EXPECT_TRUE(read.names("/jobs/\xff"));
  EXPECT_EQ(read.jobs_shown(), "whose name in base64 is L2pvYnMv/w==");
}

TEST_F(State, ALinkInItsPlaceIsRefused) {
  std::filesystem::create_symlink(folder_.path("elsewhere"), folder_.state());
  EXPECT_THROW(StateFile{folder_.state()}, std::system_error);
}

}  // namespace
}  // namespace workpool::dispatcher
