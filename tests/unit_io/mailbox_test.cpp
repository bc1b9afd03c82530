// SPDX-License-Identifier: MIT
#include "common/io/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <thread>

namespace workpool {
namespace {

bool awake(const Wake& wake, int limit_ms = 0) {
  pollfd wait{wake.fd(), POLLIN, 0};
  return ::poll(&wait, 1, limit_ms) == 1;
}

TEST(Mailbox, GivesWhatWasPostedInOrder) {
  Wake wake;
  Mailbox<int> box(wake);
  EXPECT_TRUE(box.take().empty());
  EXPECT_FALSE(awake(wake));
  box.post(1);
  box.post_all({2, 3});
  box.post(4);
  EXPECT_TRUE(awake(wake));
  EXPECT_EQ(box.take(), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_TRUE(box.take().empty()) << "once";
}

TEST(Mailbox, NothingWakesNobody) {
  Wake wake;
  Mailbox<int> box(wake);
  box.post_all({});
  EXPECT_FALSE(awake(wake));
}

TEST(Mailbox, WakesAgainAfterItWasEmptied) {
  Wake wake;
  Mailbox<int> box(wake);
  for (int i = 0; i < 3; ++i) {
    box.post(int{i});
    EXPECT_TRUE(awake(wake));
    wake.clear();
    EXPECT_FALSE(awake(wake));
    EXPECT_EQ(box.take(), std::vector<int>{i});
    box.post_all({i, i});
    EXPECT_TRUE(awake(wake));
    wake.clear();
    EXPECT_EQ(box.take().size(), 2U);
  }
}

TEST(Mailbox, HandsOverWhatCannotBeCopied) {
  Wake wake;
  Mailbox<std::unique_ptr<int>> box(wake);
  box.post(std::make_unique<int>(5));
  std::vector<std::unique_ptr<int>> more;
  more.push_back(std::make_unique<int>(6));
  box.post_all(std::move(more));
  const auto taken = box.take();
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(*taken[0] + *taken[1], 11);
}

TEST(Mailbox, SeveralShareAWake) {
  Wake wake;
  Mailbox<int> first(wake);
  Mailbox<int> second(wake);
  first.post(1);
  second.post(2);
  wake.clear();
  EXPECT_EQ(first.take().size() + second.take().size(), 2U);
}

// The loop's way: wait, clear, take. Nothing is overlooked, and each sender's order is kept.
TEST(Mailbox, NothingIsOverlookedBetweenThreads) {
  constexpr int kSenders = 4;
  constexpr int kEach = 20'000;
  Wake wake;
  Mailbox<std::pair<int, int>> box(wake);
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&box, sender] {
      for (int i = 0; i < kEach; i += 2) {
        box.post({sender, i});
        std::vector<std::pair<int, int>> one{{sender, i + 1}};
        box.post_all(std::move(one));
      }
    });
  }
  int next[kSenders] = {};
  int taken = 0;
  bool in_order = true;
  while (taken < kSenders * kEach && awake(wake, 30'000)) {
    wake.clear();
    for (const auto& [sender, number] : box.take()) {
      in_order = in_order && number == next[sender]++;
      ++taken;
    }
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(taken, kSenders * kEach);
  EXPECT_TRUE(in_order);
}

}  // namespace
}  // namespace workpool
