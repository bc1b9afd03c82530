// SPDX-License-Identifier: MIT
#include "dispatcher/core/jobs_messages.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace workpool::dispatcher {
namespace {

class JobsMessagesTest : public testing::Test {
 protected:
  void add(std::uint64_t session, const std::string& id, std::size_t payload_bytes = 3) {
    ++ack_;
    messages_.add({session}, payload_bytes, {ack_, ack_}, out_).id = id;
  }
  void flush(std::uint64_t session) { messages_.flush({session}, out_); }
  void flush_all() { messages_.flush_all(out_); }

  using Sent = std::vector<std::string>;
  Sent sent() {
    Sent sent;
    for (const Action& action : std::exchange(out_, {})) {
      const auto& down = std::get<SendLane>(action);
      const auto& jobs = std::get<Jobs>(down.message);
      std::string text = std::to_string(down.session.value) + ":";
      for (const JobOrder& order : jobs.jobs) text += " " + order.id;
      last_ack_ = jobs.ack;
      sent.push_back(text);
    }
    return sent;
  }
  std::uint64_t last_ack() const { return last_ack_; }

 private:
  JobsMessages messages_{4};
  Actions out_;
  std::uint64_t ack_ = 0;
  std::uint64_t last_ack_ = 0;
};

TEST_F(JobsMessagesTest, SessionsThatTakeTurnsGetOneMessageEach) {
  for (const char* id : {"a", "b", "c"}) {
    add(1, id);
    add(2, id);
    add(3, id);
  }
  EXPECT_EQ(sent(), Sent{});
  flush_all();
  EXPECT_EQ(sent(), (Sent{"1: a b c", "2: a b c", "3: a b c"}));
  EXPECT_EQ(last_ack(), 9u) << "what the last of its jobs says";
  flush_all();
  EXPECT_EQ(sent(), Sent{});
}

TEST_F(JobsMessagesTest, AFullMessageGoesOutAtOnce) {
  for (const char* id : {"a", "b", "c", "d"}) add(1, id);
  EXPECT_EQ(sent(), Sent{});
  add(1, "e");
  EXPECT_EQ(sent(), Sent{"1: a b c d"});
  flush_all();
  EXPECT_EQ(sent(), Sent{"1: e"});
}

TEST_F(JobsMessagesTest, ALongJobTravelsAlone) {
  const std::size_t longer = 50 * 1024;
  add(1, "a", longer);
  add(1, "b", longer);
  EXPECT_EQ(sent(), Sent{"1: a"});
  flush_all();
  EXPECT_EQ(sent(), Sent{"1: b"});
}

TEST_F(JobsMessagesTest, WhatASessionGetsElseGoesBehindItsJobs) {
  add(1, "a");
  add(2, "b");
  flush(2);
  EXPECT_EQ(sent(), Sent{"2: b"});
  flush(2);
  flush(3);
  EXPECT_EQ(sent(), Sent{}) << "nothing waits for these";
  add(2, "c");
  flush_all();
  EXPECT_EQ(sent(), (Sent{"1: a", "2: c"}));
}

TEST_F(JobsMessagesTest, AStepKnowsNothingOfTheSessionsBefore) {
  for (std::uint64_t session = 1; session <= 40; ++session) add(session, "a");
  flush_all();
  EXPECT_EQ(sent().size(), 40u);
  add(41, "b");
  add(1, "b");
  flush_all();
  EXPECT_EQ(sent(), (Sent{"41: b", "1: b"}));
}

}  // namespace
}  // namespace workpool::dispatcher
