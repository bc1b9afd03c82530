// SPDX-License-Identifier: MIT
#include "worker/io/runner/ending_batch.h"

#include <gtest/gtest.h>

namespace workpool::worker {
namespace {

class EndingBatchTest : public ::testing::Test {
 protected:
  Time add(std::vector<std::uint64_t> tokens, bool at_once, Duration at) {
    std::vector<AttemptEnded> endings;
    for (const std::uint64_t token : tokens)
      endings.push_back({token, AttemptEnd::kOutcome, {}, Duration(1)});
    const Time next = batch_.add(endings, at_once, Time{} + at);
    EXPECT_TRUE(endings.empty());
    return next;
  }
  using Calls = std::vector<std::vector<std::uint64_t>>;

  Calls delivered_;
  SharedPage page_{1};
  RunServices services_{[this] {
                          RunnerOptions options;
                          options.page = &page_;
                          return options;
                        }(),
                        [this](auto&& endings) {
                          auto& call = delivered_.emplace_back();
                          for (const AttemptEnded& ending : endings) call.push_back(ending.token);
                        }};
  EndingBatch batch_{services_};
};

TEST_F(EndingBatchTest, DeliversTogetherWhenTheFirstHasWaited) {
  const Time due = Time{} + seconds(1) + EndingBatch::kWait;
  EXPECT_EQ(add({1}, false, seconds(1)), due);
  EXPECT_EQ(add({2, 3}, false, seconds(1) + milliseconds(3)), due);
  EXPECT_EQ(delivered_, Calls());
  EXPECT_EQ(add({}, false, seconds(1) + EndingBatch::kWait), kNever);
  EXPECT_EQ(delivered_, (Calls{{1, 2, 3}}));
}

TEST_F(EndingBatchTest, OneThatMustNotWaitTakesTheOthersAlong) {
  add({1}, false, seconds(1));
  EXPECT_EQ(add({2}, true, seconds(1)), kNever);
  EXPECT_EQ(delivered_, (Calls{{1, 2}}));
}

TEST_F(EndingBatchTest, TheWaitBeginsAnewWithEachBatch) {
  add({1}, true, seconds(1));
  EXPECT_EQ(add({2}, false, seconds(3)), Time{} + seconds(3) + EndingBatch::kWait);
  EXPECT_EQ(delivered_, (Calls{{1}}));
}

TEST_F(EndingBatchTest, DeliversNothingIfNothingWaits) {
  EXPECT_EQ(add({}, true, seconds(1)), kNever);
  EXPECT_EQ(delivered_, Calls());
}

}  // namespace
}  // namespace workpool::worker
