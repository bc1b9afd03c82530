// SPDX-License-Identifier: MIT
#include "dispatcher/core/ack_ledger.h"

#include <gtest/gtest.h>

namespace workpool::dispatcher {
namespace {

TEST(AckLedger, AcksAtOnceWhatNeedsNoRecord) {
  AckLedger acks;
  acks.received(1, {});
  acks.received(2, {});
  EXPECT_EQ(acks.ack(), 2u);
  EXPECT_EQ(acks.received(), 2u);
}

TEST(AckLedger, WaitsForTheRecord) {
  AckLedger acks;
  acks.received(1, {5});
  EXPECT_EQ(acks.ack(), 0u);
  acks.advance(4);
  EXPECT_EQ(acks.ack(), 0u);
  acks.advance(5);
  EXPECT_EQ(acks.ack(), 1u);
}

TEST(AckLedger, NeverPassesAMessageThatWaits) {
  AckLedger acks;
  acks.received(1, {2});
  acks.received(2, {});
  acks.received(3, {1});
  acks.advance(1);
  EXPECT_EQ(acks.ack(), 0u);
  acks.advance(2);
  EXPECT_EQ(acks.ack(), 3u);
}

TEST(AckLedger, KnowsWhatIsDurableAlready) {
  AckLedger acks;
  acks.advance(7);
  acks.received(1, {7});
  EXPECT_EQ(acks.ack(), 1u);
  acks.advance(3);  // never goes back
  acks.received(2, {7});
  EXPECT_EQ(acks.ack(), 2u);
}

TEST(AckLedger, WaitsForTheLastUnnumberedResult) {
  AckLedger acks;
  acks.received(1, {1, 2});
  acks.advance(10);
  EXPECT_EQ(acks.ack(), 0u);
  acks.settle(1, 3);
  EXPECT_EQ(acks.ack(), 0u);
  acks.settle(1, 11);
  EXPECT_EQ(acks.ack(), 0u);  // the highest of its records counts
  acks.advance(11);
  EXPECT_EQ(acks.ack(), 1u);
}

TEST(AckLedger, KnowsHowManyBytesTheWorkerHasNotBeenToldOf) {
  AckLedger acks;
  acks.received(1, {.record = 1, .bytes = 100});
  acks.received(2, {.record = 2, .bytes = 20});
  EXPECT_EQ(acks.untold_bytes(), 0u);
  EXPECT_FALSE(acks.is_untold());
  acks.advance(1);
  EXPECT_EQ(acks.untold_bytes(), 100u);
  EXPECT_TRUE(acks.is_untold());
  const AckLedger::Told told = acks.tell();
  EXPECT_EQ(told.ack, 1u);
  EXPECT_EQ(told.received, 2u);
  EXPECT_EQ(acks.untold_bytes(), 0u);
  EXPECT_FALSE(acks.is_untold());
  acks.advance(2);
  EXPECT_EQ(acks.untold_bytes(), 20u);
}

TEST(AckLedger, NothingIsUntoldOfAMessageThatNobodyWaitsFor) {
  AckLedger acks;
  acks.received(1, {.soon = false});
  EXPECT_EQ(acks.ack(), 1u);
  EXPECT_FALSE(acks.is_untold());
  acks.received(2, {});
  acks.received(3, {.soon = false});
  EXPECT_TRUE(acks.is_untold());
}

TEST(AckLedger, IgnoresASettleForWhatIsDone) {
  AckLedger acks;
  acks.received(1, {});
  acks.settle(1, 100);
  acks.settle(9, 100);
  acks.received(2, {});
  EXPECT_EQ(acks.ack(), 2u);
}

}  // namespace
}  // namespace workpool::dispatcher
