// SPDX-License-Identifier: MIT
#include "worker/core/kept_results.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::worker {
namespace {

constexpr std::uint64_t kNoBound = 1ull << 40;

void add(KeptResults& kept, const std::string& id, std::size_t bytes = 0) {
  Outcome outcome;
  outcome.value.assign(bytes, 'x');
  JobResult& added = kept.add(std::move(outcome));
  added.handle = Handle{1};
  added.key = key_of_id(id);
}

TEST(KeptResults, SendsEachOnceASession) {
  KeptResults kept;
  add(kept, "a");
  add(kept, "b");
  EXPECT_EQ(kept.take_unsent(kNoBound, 1)->results.size(), 2u);
  EXPECT_TRUE(kept.take_unsent(kNoBound, 2) == nullptr);
  EXPECT_FALSE(kept.empty());
  kept.acked(1);
  EXPECT_TRUE(kept.empty());
  EXPECT_EQ(kept.bytes(), 0u);
}

TEST(KeptResults, SendsAgainByKeyInALaterSession) {
  KeptResults kept;
  add(kept, "a");
  kept.take_unsent(kNoBound, 5);
  kept.session_over();
  kept.acked(5);  // of a session that is over
  const auto again = kept.take_unsent(kNoBound, 2);
  ASSERT_EQ(again->results.size(), 1u);
  EXPECT_EQ(again->results[0].handle.value, 0u);
  EXPECT_EQ(again->results[0].key, key_of_id("a"));
}

TEST(KeptResults, KeepsWithinTheWindowButAlwaysSendsOne) {
  KeptResults kept;
  for (const char* id : {"a", "b", "c", "d"}) add(kept, id, 40'000);  // a message each
  EXPECT_EQ(kept.take_unsent(0, 1)->results.size(), 1u);  // larger than the window, and still on its way
  EXPECT_TRUE(kept.take_unsent(0, 2) == nullptr);
  kept.acked(1);
  EXPECT_EQ(kept.take_unsent(0, 2)->results.size(), 1u);
  kept.acked(2);
  EXPECT_EQ(kept.take_unsent(80'000, 3)->results.size(), 1u);
  EXPECT_TRUE(kept.take_unsent(80'000, 4) == nullptr) << "a little more than half of it each";
  add(kept, "e");
  kept.acked(3);
  EXPECT_EQ(kept.take_unsent(80'000, 4)->results.size(), 2u);
}

TEST(KeptResults, FillsAMessageUpToItsBounds) {
  KeptResults kept;
  for (int i = 0; i < 300; ++i) add(kept, std::to_string(i));
  EXPECT_EQ(kept.take_unsent(kNoBound, 1)->results.size(), 256u);
  EXPECT_EQ(kept.take_unsent(kNoBound, 2)->results.size(), 44u);
  for (int i = 0; i < 3; ++i) add(kept, "large" + std::to_string(i), 40'000);
  EXPECT_EQ(kept.take_unsent(kNoBound, 3)->results.size(), 1u);
}

TEST(KeptResults, AcksInTheOrderOfTheMessages) {
  KeptResults kept;
  add(kept, "a");
  kept.take_unsent(kNoBound, 3);
  add(kept, "b");
  kept.take_unsent(kNoBound, 4);
  add(kept, "c");
  kept.acked(3);
  EXPECT_EQ(kept.take_unsent(kNoBound, 5)->results.size(), 1u);
  kept.acked(5);
  EXPECT_TRUE(kept.empty());
}

}  // namespace
}  // namespace workpool::worker
