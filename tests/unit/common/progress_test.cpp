// SPDX-License-Identifier: MIT
#include "common/base/progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace workpool {
namespace {

using Limits = std::numeric_limits<double>;

TEST(Progress, IsFromZeroToOne) {
  EXPECT_EQ(progress_of(0.4, "").thousandths, 400U);
  EXPECT_EQ(progress_of(0.9999, "").thousandths, 999U) << "not yet";
  EXPECT_EQ(progress_of(1, "").thousandths, 1000U);
  EXPECT_EQ(progress_of(1.5, "").thousandths, 1000U);
  EXPECT_EQ(progress_of(Limits::infinity(), "").thousandths, 1000U);
  for (const double none : {0.0, -1.0, -Limits::infinity(), Limits::quiet_NaN()})
    EXPECT_EQ(progress_of(none, "").thousandths, 0U) << none;
}

TEST(Progress, TextIsShortAndUtf8) {
  EXPECT_EQ(progress_of(0, "h\xc3\xa4lf").text, "h\xc3\xa4lf");
  EXPECT_EQ(progress_of(0, "h\xffx").text, "h\\xffx");
  const std::string cut = progress_of(0, std::string(199, 'x') + "\xc3\xa4").text;
  EXPECT_EQ(cut, std::string(199, 'x'));
  EXPECT_LE(progress_of(0, std::string(1000, '\xff')).text.size(), kProgressTextBytesMax);
}

}  // namespace
}  // namespace workpool
