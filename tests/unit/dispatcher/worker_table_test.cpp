// SPDX-License-Identifier: MIT
// Names: one worker each for the whole run, and late results still have theirs.
#include "dispatcher/core/worker_table.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

class WorkerTableTest : public testing::Test {
 protected:
  static Hello hello(std::uint64_t worker, const std::string& name) {
    Hello hello;
    hello.worker = {worker};
    hello.name = name;
    return hello;
  }
  std::string enrol(std::uint64_t worker, const std::string& name) {
    const Worker& enrolled = table_.enrol(hello(worker, name), {}, {});
    return enrolled.name + (enrolled.named ? "" : " new");
  }
  // Its session ends without a READY.
  void come_and_go(std::uint64_t worker, const std::string& name) {
    table_.open(table_.enrol(hello(worker, name), {}, {}), {++sessions_}, {});
    table_.close({sessions_});
  }

  WorkerTable table_;
  std::uint64_t sessions_ = 0;
};

TEST_F(WorkerTableTest, ANameIsGrantedOnce) {
  EXPECT_EQ(enrol(1, "n"), "n new");
  EXPECT_EQ(enrol(2, "n"), "n-2 new");
  EXPECT_EQ(enrol(3, "n"), "n-3 new");
  EXPECT_EQ(enrol(2, "n"), "n-2 new");
  EXPECT_EQ(enrol(4, "n-2"), "n-2-2 new");
  EXPECT_EQ(enrol(5, "n-4"), "n-4 new");
  EXPECT_EQ(enrol(6, "n"), "n-5 new");
}

TEST_F(WorkerTableTest, EarlierStartsHaveGrantedSome) {
  table_.know({{1}, "n"});
  table_.know({{2}, "n-2"});
  table_.know({{3}, "n"});  // a name has one worker, whatever the file says
  EXPECT_EQ(enrol(4, "n"), "n-3 new");
  EXPECT_EQ(enrol(2, "n"), "n-2");
  EXPECT_EQ(enrol(1, "n"), "n");
  EXPECT_EQ(enrol(3, "n"), "n-4 new");
}

TEST_F(WorkerTableTest, TheLocalWorkerOfEachStartIsCalledLocal) {
  table_.know({{1}, "local"});
  table_.know({{2}, "local"});
  EXPECT_EQ(enrol(3, "local"), "local new");
  EXPECT_EQ(enrol(4, "local"), "local-2 new") << "somebody else who wants the name";
  EXPECT_EQ(enrol(1, "local"), "local") << "with the results of an earlier start";
}

TEST_F(WorkerTableTest, OfWorkersThatNeverGotANameTheLastOnesAreRemembered) {
  constexpr std::uint64_t kFlood = 10'000;
  for (std::uint64_t id = 1; id <= kFlood; ++id) come_and_go(id, "n");
  EXPECT_EQ(table_.workers().size(), 1024u);
  EXPECT_NE(table_.find(WorkerId{kFlood - 1023}), nullptr);
  EXPECT_EQ(table_.find(WorkerId{kFlood - 1024}), nullptr);
  for (std::uint64_t id = 1; id <= 1024; ++id) come_and_go(kFlood + id, "other");
  EXPECT_EQ(enrol(1, "n"), "n new") << "the name is free again";
}

TEST_F(WorkerTableTest, WhoeverHasASessionOrANameIsNotForgotten) {
  table_.know({{1}, "known"});
  come_and_go(1, "known");
  come_and_go(2, "named");
  table_.find(WorkerId{2})->named = true;
  come_and_go(3, "present");
  table_.open(*table_.find(WorkerId{3}), {++sessions_}, {});
  for (std::uint64_t id = 10; id <= 5000; ++id) come_and_go(id, "flood");
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_NE(table_.find(WorkerId{id}), nullptr) << id;
}

TEST_F(WorkerTableTest, ClosedSessionsKeepTheirWorker) {
  Worker& worker = table_.enrol(hello(1, "n"), {}, {});
  constexpr std::uint64_t kSessions = 5000;
  for (std::uint64_t id = 1; id <= kSessions; ++id) {
    table_.open(worker, {id}, {});
    EXPECT_EQ(table_.worker_with({id}), &worker);
    table_.close({id});
    ASSERT_EQ(table_.worker_with({id}), &worker) << id;
  }
  EXPECT_EQ(table_.worker_with({kSessions - 4000}), &worker);
  EXPECT_EQ(table_.worker_with({1}), nullptr) << "bounded";
}

}  // namespace
}  // namespace workpool::dispatcher
