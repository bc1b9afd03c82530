// SPDX-License-Identifier: MIT
#include "dispatcher/core/run_end.h"

#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

namespace workpool::dispatcher {
namespace {

TEST(RunEnd, EachCauseHasItsExitCode) {
  EXPECT_EQ(exit_code_of(AllRecorded{true}), ExitCode::kOk);
  EXPECT_EQ(exit_code_of(AllRecorded{false}), ExitCode::kNotAllOk);
  EXPECT_EQ(exit_code_of(NobodyFits{}), ExitCode::kNotAllOk);
  EXPECT_EQ(exit_code_of(Stopped{StopKind::kInterrupt}), ExitCode::kInterrupted);
  EXPECT_EQ(exit_code_of(Stopped{StopKind::kTerminate}), ExitCode::kTerminated);
  EXPECT_EQ(exit_code_of(Stopped{StopKind::kHangup}), ExitCode::kTerminated);
  EXPECT_EQ(exit_code_of(JobsChanged{7}), ExitCode::kBadInput);
  EXPECT_EQ(exit_code_of(JobsUnreadable{}), ExitCode::kBadInput);
  EXPECT_EQ(exit_code_of(NoLocalWorker{"no /proc"}), ExitCode::kSystem);
  EXPECT_EQ(exit_code_of(ResultsLost{EIO}), ExitCode::kResultsFailed);
  EXPECT_EQ(exit_code_of(TooManyNotOk{}), ExitCode::kNotAllOk);
  EXPECT_EQ(exit_code_of(EnoughOk{}), ExitCode::kOk);
  EXPECT_EQ(exit_code_of(TooFewOk{}), ExitCode::kNotAllOk);
}

TEST(RunEnd, ALastLookCountsOnlyForARunThatRanToItsEnd) {
  const LastLook misplaced{false, true};
  const LastLook changed{true, false};
  for (const RunEnd& end : std::vector<RunEnd>{AllRecorded{true}, AllRecorded{false}, NobodyFits{},
                                               TooManyNotOk{}, EnoughOk{}, TooFewOk{}}) {
    EXPECT_TRUE(needs_last_look(end));
    EXPECT_EQ(after_last_look(end, {}).index(), end.index());
    EXPECT_EQ(std::get<ResultsLost>(after_last_look(end, misplaced)).error, ESTALE);
    EXPECT_EQ(std::get<JobsChanged>(after_last_look(end, changed)).line, 0U);
    EXPECT_TRUE(std::holds_alternative<ResultsLost>(after_last_look(end, {false, false})))
        << "what is lost comes before what was not run";
  }
  for (const RunEnd& end :
       std::vector<RunEnd>{Stopped{}, JobsChanged{3}, JobsUnreadable{}, NoLocalWorker{}, ResultsLost{EIO}}) {
    EXPECT_FALSE(needs_last_look(end)) << "its disk may hang";
    EXPECT_EQ(after_last_look(end, {false, false}).index(), end.index());
  }
  EXPECT_EQ(std::get<ResultsLost>(after_last_look(ResultsLost{EIO}, misplaced)).error, EIO);
}

}  // namespace
}  // namespace workpool::dispatcher
