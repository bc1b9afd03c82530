// SPDX-License-Identifier: MIT
#include "common/base/outcome.h"

#include <gtest/gtest.h>

namespace workpool {
namespace {

// These words stand in results files: they never change.
TEST(Outcome, NamesOfStatuses) {
  EXPECT_STREQ(name_of(Status::kOk), "ok");
  EXPECT_STREQ(name_of(Status::kFailed), "failed");
  EXPECT_STREQ(name_of(Status::kTimeout), "timeout");
  EXPECT_STREQ(name_of(Status::kQuarantined), "quarantined");
  EXPECT_STREQ(name_of(Status::kInvalid), "invalid");
  for (int i = 0; i <= static_cast<int>(Status::kInvalid); ++i) {
    const auto status = static_cast<Status>(i);
    EXPECT_EQ(status_named(name_of(status)), status);
  }
  EXPECT_FALSE(status_named(""));
  EXPECT_FALSE(status_named("OK"));
  EXPECT_FALSE(status_named("ok "));
}

TEST(Outcome, NamesOfKinds) {
  EXPECT_STREQ(name_of(ErrorKind::kNone), "");
  EXPECT_STREQ(name_of(ErrorKind::kExit), "exit");
  EXPECT_STREQ(name_of(ErrorKind::kSignal), "signal");
  EXPECT_STREQ(name_of(ErrorKind::kSpawn), "spawn");
  EXPECT_STREQ(name_of(ErrorKind::kHandler), "handler");
  EXPECT_STREQ(name_of(ErrorKind::kTimeout), "timeout");
  EXPECT_STREQ(name_of(ErrorKind::kCrash), "crash");
  EXPECT_STREQ(name_of(ErrorKind::kInvalid), "invalid");
}

// What it costs to keep bounds the memory of results that wait for their ack.
TEST(Outcome, ItsSizeCountsEveryByteThatGrows) {
  const std::size_t empty = Outcome{}.size_bytes();
  EXPECT_GE(empty, 1U);
  for (std::string Outcome::*member : {&Outcome::message, &Outcome::value}) {
    Outcome outcome;
    outcome.*member = std::string(1000, 'x');
    EXPECT_EQ(outcome.size_bytes(), empty + 1000);
  }
  for (std::string CommandEnd::*member : {&CommandEnd::standard_output, &CommandEnd::standard_error}) {
    Outcome outcome;
    outcome.command.emplace().*member = std::string(1000, 'x');
    EXPECT_EQ(outcome.size_bytes(), empty + 1000);
  }
}

}  // namespace
}  // namespace workpool
