// SPDX-License-Identifier: MIT
// How many jobs a worker may hold ahead of need.
#include "dispatcher/core/placement.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

JobIndex index_of(std::uint64_t jobs) {
  JobIndex index;
  index.requirement_number({});
  for (std::uint64_t number = 0; number < jobs; ++number)
    index.add({number * 0x9e3779b97f4a7c15, number, 0, number + 1, 0, 0, 0});
  index.seal();
  index.open_queues(false);
  return index;
}

class WindowTest : public testing::Test {
 protected:
  WindowTest() { session.slots = 4; }
  std::uint32_t window(Duration mean, Duration round_trip) {
    ledger.jobs.note_run_time(0, mean);
    session.round_trip = round_trip;
    return placement.window(session, 0);
  }

  SchedulerOptions options;
  JobIndex index = index_of(100'000);
  Ledger ledger{options, index};
  Blame blame{options, ledger};
  Sessions sessions{options, ledger, blame};
  Placement placement{ledger, sessions};
  Session session;
};

TEST_F(WindowTest, IsTheSlotsWhileNothingIsKnown) { EXPECT_EQ(placement.window(session, 0), 4u); }

TEST_F(WindowTest, PrefetchesNoJobOfSeconds) { EXPECT_EQ(window(seconds(5), milliseconds(200)), 4u); }

TEST_F(WindowTest, CoversTwoRoundTripsOfShortJobs) {
  // 20 ms + 2 x 5 ms of work for each slot, beside what runs.
  EXPECT_EQ(window(milliseconds(3), milliseconds(5)), 4u + 4u * 10u);
}

TEST_F(WindowTest, IsBounded) { EXPECT_EQ(window(microseconds(1), milliseconds(5)), 1024u); }

TEST_F(WindowTest, NeverIsBelowTheSlots) {
  session.slots = 2000;
  EXPECT_EQ(window(microseconds(1), milliseconds(5)), 2000u);
}

}  // namespace
}  // namespace workpool::dispatcher
