// SPDX-License-Identifier: MIT
// What a result line says beside its outcome: the notes of the job, and what a command used.
#include <gtest/gtest.h>

#include "common/formats/results_file.h"
#include "tests/support/owned_result.h"

namespace workpool {
namespace {

TEST(ResultNotes, StandInTheLineAndDisturbNoReplay) {
  OwnedResult result;
  result.id = "logs";
  result.line = 2;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.command->exit = 0;
  result.outcome.command->processor_time = microseconds(2500);
  result.outcome.command->memory_kib = 70001;
  result.worker = "node7";
  result.run = RunId{1};
  result.spec = spec_of_work("x");
  result.notes = R"("each":{"1":"a"},"meta":[1])";
  std::string line;
  append_result_line(line, result);
  EXPECT_NE(line.find(R"("stderr":"","cpu_ms":2.5,"max_rss_kib":70001,"worker":"node7")"), std::string::npos)
      << line;
  EXPECT_NE(line.find(R"(Z","each":{"1":"a"},"meta":[1],"run":"0000000000000001","spec":)"),
            std::string::npos)
      << line;
  line.pop_back();
  ReplayedLine read;
  EXPECT_EQ(read_result_line(line, read), LineDamage::kNone);
  EXPECT_EQ(read.id, "logs");
  EXPECT_EQ(read.spec, result.spec);
}

}  // namespace
}  // namespace workpool
