// SPDX-License-Identifier: MIT
#include "worker/core/slots.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::worker {
namespace {

class SlotsTest : public testing::Test {
 protected:
  JobOrder order(const std::string& id, std::uint32_t wide = 1, bool handler = false) {
    JobOrder made;
    made.id = id;
    made.key = key_of_id(id);
    made.attempt = 1;
    made.handle = Handle{++handles};
    made.slots = wide;
    made.work = handler ? R"({"type":"noop"})" : R"({"cmd":["true"]})";
    return made;
  }
  // The id of the next job to hand over, "" where none is.
  std::string start(Slots& slots) {
    token = 0;
    const auto started = slots.start_next(now, token);
    return started ? started->id : "";
  }

  std::uint64_t handles = 0;
  std::uint64_t token = 0;
  Time now{seconds(1)};
};

TEST_F(SlotsTest, HandsOverInOrderWhatThereAreSlotsFor) {
  Slots slots(2);
  for (const char* id : {"a", "b", "c"}) slots.queue(order(id), now);
  EXPECT_EQ(start(slots), "a");
  const std::uint64_t a = token;
  EXPECT_EQ(start(slots), "b");
  EXPECT_EQ(start(slots), "");
  slots.ended(a, Duration{0});
  EXPECT_EQ(start(slots), "c");
  EXPECT_EQ(slots.running(), 2u);
  EXPECT_EQ(slots.queued(), 0u);
}

TEST_F(SlotsTest, LetsNothingPassAWideJob) {
  Slots slots(3);
  slots.queue(order("narrow"), now);
  slots.queue(order("wide", 3), now);
  slots.queue(order("small"), now);
  EXPECT_EQ(start(slots), "narrow");
  const std::uint64_t narrow = token;
  EXPECT_EQ(start(slots), "");
  slots.ended(narrow, Duration{0});
  EXPECT_EQ(start(slots), "wide");
  EXPECT_EQ(start(slots), "");
}

TEST_F(SlotsTest, NamesAJobByHandleOrByKeyAndAttempt) {
  Slots slots(1);
  slots.queue(order("a"), now);
  slots.queue(order("b"), now);
  start(slots);
  const JobRef by_handle{Handle{1}, key_of_id("a"), 1};
  const JobRef by_key{Handle{}, key_of_id("a"), 1};
  EXPECT_NE(slots.find(by_handle), nullptr);
  EXPECT_NE(slots.find(by_key), nullptr);
  EXPECT_EQ(slots.find(JobRef{Handle{1}, key_of_id("b"), 1}), nullptr);
  EXPECT_EQ(slots.find(JobRef{Handle{}, key_of_id("a"), 2}), nullptr);
  EXPECT_TRUE(slots.take_queued(JobRef{Handle{2}, key_of_id("b"), 1}));
  EXPECT_FALSE(slots.take_queued(JobRef{Handle{2}, key_of_id("b"), 1}));
}

TEST_F(SlotsTest, DoesNotTakeAnOldTokenForANewRun) {
  Slots slots(1);
  slots.queue(order("a"), now);
  slots.queue(order("b"), now);
  start(slots);
  const std::uint64_t old = token;
  slots.ended(old, Duration{0});
  start(slots);
  EXPECT_EQ(slots.find(old), nullptr);
  EXPECT_NE(slots.find(token), nullptr);
}

TEST_F(SlotsTest, HandsShortHandlersOverAheadOfAFreeSlot) {
  Slots slots(1);
  for (int i = 0; i < 20; ++i) slots.queue(order(std::to_string(i), 1, true), now);
  EXPECT_EQ(start(slots), "0");
  EXPECT_EQ(start(slots), "");  // nothing is known yet
  slots.ended(token == 0 ? slots.places()[0].token : token, microseconds(200));
  int handed_over = 0;
  while (!start(slots).empty()) ++handed_over;
  EXPECT_EQ(handed_over, 1 + 5);  // a millisecond of work
}

TEST_F(SlotsTest, HandsNothingOverAheadBehindALostThread) {
  Slots slots(2);
  for (int i = 0; i < 20; ++i) slots.queue(order(std::to_string(i), 1, true), now);
  start(slots);
  slots.ended(token, microseconds(100));
  start(slots);
  slots.lose(token);
  const std::uint64_t lost = token;
  EXPECT_EQ(start(slots), "2");
  EXPECT_EQ(start(slots), "");
  slots.ended(lost, Duration{0});  // its thread has come back
  EXPECT_EQ(start(slots), "3");
}

TEST_F(SlotsTest, IsStuckWhenLostSlotsLeaveNoRoom) {
  Slots slots(2);
  slots.queue(order("a", 1, true), now);
  slots.queue(order("b"), now);
  slots.queue(order("wide", 2), now);
  start(slots);
  const std::uint64_t a = token;
  start(slots);
  const std::uint64_t b = token;
  slots.lose(a);
  EXPECT_FALSE(slots.stuck());  // b works
  EXPECT_EQ(slots.working(), 1u);
  slots.ended(b, Duration{0});
  EXPECT_EQ(start(slots), "");
  EXPECT_TRUE(slots.stuck());
  slots.ended(a, Duration{0});
  EXPECT_FALSE(slots.stuck());
  EXPECT_EQ(start(slots), "wide");
}

}  // namespace
}  // namespace workpool::worker
