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
    const auto [enrolled, is_new] = table_.enrol(hello(worker, name));
    return enrolled.name + (is_new ? " new" : "");
  }

  WorkerTable table_;
};

TEST_F(WorkerTableTest, ANameIsGrantedOnce) {
  EXPECT_EQ(enrol(1, "n"), "n new");
  EXPECT_EQ(enrol(2, "n"), "n-2 new");
  EXPECT_EQ(enrol(3, "n"), "n-3 new");
  EXPECT_EQ(enrol(2, "n"), "n-2");
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

TEST_F(WorkerTableTest, ClosedSessionsKeepTheirName) {
  Worker& worker = table_.enrol(hello(1, "n")).first;
  constexpr std::uint64_t kSessions = 5000;
  for (std::uint64_t id = 1; id <= kSessions; ++id) {
    table_.open(worker, {id}, {});
    EXPECT_EQ(table_.name_of({id}), "n");
    table_.close({id});
    ASSERT_EQ(table_.name_of({id}), "n") << id;
  }
  EXPECT_EQ(table_.name_of({kSessions - 4000}), "n");
  EXPECT_EQ(table_.name_of({1}), "") << "bounded";
}

}  // namespace
}  // namespace workpool::dispatcher
