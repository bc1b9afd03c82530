// SPDX-License-Identifier: MIT
#include "worker/io/runner/child_queue.h"

#include <gtest/gtest.h>

#include <poll.h>

namespace workpool::worker {
namespace {

class ChildQueueTest : public ::testing::Test {
 protected:
  using Child = ChildQueue::Child;

  ChildQueueTest() {
    for (auto& seat : seats_) queue_.add_seat(seat);
  }
  static ChildJob job(std::uint64_t token, std::uint32_t handler = 0) {
    ChildJob made;
    made.attempt.token = token;
    made.attempt.order.key.low = token;
    made.handler = handler;
    return made;
  }
  std::size_t add(std::initializer_list<std::pair<std::uint64_t, std::uint32_t>> jobs) {
    added_.clear();
    for (const auto& [token, handler] : jobs) added_.push_back(job(token, handler));
    return queue_.add(added_);
  }
  // The token of the job that the seat gets; 0: none, it is idle then.
  std::uint64_t take(std::size_t seat, std::vector<bool> ready = {true, true}) {
    ChildJob taken;
    return queue_.take(*seats_[seat], ready, taken) ? taken.attempt.token : 0;
  }
  // The first two jobs, which are of handler 0.
  void take_two(std::vector<ChildJob>& jobs) {
    for (int i = 0; i < 2; ++i) {
      ChildJob taken;
      ASSERT_TRUE(queue_.take(*seats_[0], {true, true}, taken));
      jobs.push_back(std::move(taken));
    }
  }
  std::vector<std::uint64_t> take_more(std::uint32_t handler, std::size_t most) {
    std::vector<ChildJob> jobs;
    queue_.take_more(handler, most, slots_, jobs);
    return tokens(jobs);
  }
  static std::vector<std::uint64_t> tokens(const std::vector<ChildJob>& jobs) {
    std::vector<std::uint64_t> found;
    for (const ChildJob& one : jobs) found.push_back(one.attempt.token);
    return found;
  }
  bool is_woken(std::size_t seat) {
    pollfd polled{seats_[seat]->wake.fd(), POLLIN, 0};
    const bool woken = ::poll(&polled, 1, 0) == 1;
    seats_[seat]->wake.clear();
    return woken;
  }

  using Tokens = std::vector<std::uint64_t>;
  std::size_t slots_ = 1;
  ChildQueue queue_{{{"a", "cat"}, {"b", "cat"}}};
  std::vector<std::shared_ptr<ChildQueue::Seat>> seats_{std::make_shared<ChildQueue::Seat>(2),
                                                        std::make_shared<ChildQueue::Seat>(2)};
  std::vector<ChildJob> added_;
};

TEST_F(ChildQueueTest, FindsHandlersByName) {
  EXPECT_EQ(queue_.find("a"), 0U);
  EXPECT_EQ(queue_.find("b"), 1U);
  EXPECT_EQ(queue_.find("c"), 2U);
}

TEST_F(ChildQueueTest, JobsGoOutInOrderToASeatThatIsReady) {
  EXPECT_EQ(add({{1, 0}, {2, 1}, {3, 0}, {4, 0}, {5, 1}}), 5U);  // nobody is idle yet
  EXPECT_EQ(take(0), 1U);
  EXPECT_EQ(take(1, {true, false}), 3U);
  EXPECT_EQ(take_more(0, 9), Tokens{});  // the next one is of the other handler
  EXPECT_EQ(take(0), 2U);
  EXPECT_EQ(take_more(0, 9), Tokens{4});
  EXPECT_EQ(take(0), 5U);
  EXPECT_EQ(take(0), 0U);
}

TEST_F(ChildQueueTest, WithOthersASeatTakesHalfOfItsShareAhead) {
  slots_ = 2;
  add({{1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}});
  EXPECT_EQ(take_more(0, 1), (Tokens{1}));
  EXPECT_EQ(take_more(0, 9), (Tokens{2, 3}));
  EXPECT_EQ(take_more(0, 9), (Tokens{4}));
  EXPECT_EQ(take_more(0, 9), (Tokens{5}));
  EXPECT_EQ(take_more(0, 9), (Tokens{6}));
  EXPECT_EQ(take_more(0, 9), Tokens{});
}

TEST_F(ChildQueueTest, LargeRequestsAreNotTakenAheadByTheDozen) {
  std::vector<ChildJob> jobs;
  for (std::uint64_t token = 1; token <= 9; ++token) {
    jobs.push_back(job(token));
    jobs.back().attempt.order.work = std::string(ChildQueue::kAheadBytes / 2, 'x');
  }
  queue_.add(jobs);
  EXPECT_EQ(take_more(0, 9), (Tokens{1, 2}));
  EXPECT_EQ(take_more(0, 9), (Tokens{3, 4}));
}

TEST_F(ChildQueueTest, WakesRatherTheSeatThatHasAChild) {
  take(0);
  take(1);
  queue_.note_child(*seats_[1], 0, Child::kTalks);
  EXPECT_EQ(add({{1, 0}}), 0U);
  EXPECT_FALSE(is_woken(0));
  EXPECT_TRUE(is_woken(1));
  EXPECT_EQ(add({{2, 0}}), 0U);
  EXPECT_TRUE(is_woken(0));
  EXPECT_EQ(add({{3, 0}}), 1U);  // a third seat would be of use
}

TEST_F(ChildQueueTest, ASeatWhoseChildEndsIsOfNoUse) {
  take(0);
  queue_.note_child(*seats_[0], 0, Child::kEnds);
  EXPECT_EQ(add({{1, 0}}), 1U);
  EXPECT_FALSE(is_woken(0));
  EXPECT_EQ(add({{2, 1}}), 0U);
  EXPECT_TRUE(is_woken(0));
}

TEST_F(ChildQueueTest, WhatHasNotBegunComesBackToTheFront) {
  add({{1, 0}, {2, 0}, {3, 0}});
  std::vector<ChildJob> back;
  take_two(back);
  queue_.give_back(*seats_[0], back);
  EXPECT_TRUE(back.empty());
  EXPECT_EQ(take_more(0, 9), (Tokens{1, 2, 3}));
}

TEST_F(ChildQueueTest, AKillThatCameMeanwhileIsNotLost) {
  add({{1, 0}, {2, 0}});
  std::vector<ChildJob> back;
  take_two(back);
  EXPECT_FALSE(queue_.kill({2, KillWhen::kUnlessBegun}));  // a seat has it
  queue_.give_back(*seats_[0], back);
  EXPECT_EQ(tokens(back), Tokens{2});
  EXPECT_EQ(take(0), 1U);
}

TEST_F(ChildQueueTest, KillTakesOutWhatWaitsAndTellsTheSeats) {
  add({{1, 0}, {2, 0}});
  EXPECT_TRUE(queue_.kill({2, KillWhen::kUnlessBegun}));
  EXPECT_EQ(take(0), 1U);
  EXPECT_FALSE(queue_.kill({1, KillWhen::kAtOnce}));
  const auto kills = queue_.take_kills(*seats_[0]);
  ASSERT_EQ(kills.size(), 1U);
  EXPECT_EQ(kills[0].token, 1U);
  EXPECT_EQ(kills[0].when, KillWhen::kAtOnce);
}

TEST_F(ChildQueueTest, AStoppedHandlerTakesNothing) {
  add({{1, 0}, {2, 1}, {3, 0}});
  std::vector<ChildJob> left;
  const auto died = [&](std::uint64_t token) { return queue_.died(0, job(token).attempt.order.key, left); };
  EXPECT_FALSE(died(11));
  EXPECT_FALSE(died(12));
  EXPECT_FALSE(queue_.is_stopped(0));
  EXPECT_FALSE(is_woken(0));
  EXPECT_TRUE(died(13));
  EXPECT_TRUE(queue_.is_stopped(0));
  EXPECT_TRUE(is_woken(0));
  EXPECT_TRUE(is_woken(1));
  EXPECT_EQ(tokens(left), (Tokens{1, 3}));
  EXPECT_FALSE(died(14));
  add({{4, 0}, {5, 1}});
  EXPECT_EQ(tokens(added_), Tokens{4});
  std::vector<ChildJob> back;
  back.push_back(job(6));
  queue_.give_back(*seats_[0], back);
  EXPECT_EQ(tokens(back), Tokens{6});
  EXPECT_EQ(take_more(1, 9), (Tokens{2, 5}));
}

}  // namespace
}  // namespace workpool::worker
