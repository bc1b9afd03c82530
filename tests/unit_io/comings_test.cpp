// SPDX-License-Identifier: MIT
// Workers that join and leave, one by one and in crowds.
#include "dispatcher/io/terminal/comings.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

constexpr Time kStart{seconds(1000)};
using Lines = std::vector<std::string>;

WorkerJoined joined(int number) { return {"w" + std::to_string(number), 8, false}; }

TEST(Comings, FiveAreToldOneByOneSixAreACrowd) {
  Comings comings;
  EXPECT_EQ(comings.due(), kNever);
  for (int i = 0; i < 5; ++i) comings.add(joined(i), kStart + milliseconds(i));
  EXPECT_EQ(comings.due(), kStart + seconds(2)) << "late by two seconds at most, as seen from the first one";
  EXPECT_EQ(comings.take(),
            (Lines{"worker w0 joined (8 slots)", "worker w1 joined (8 slots)", "worker w2 joined (8 slots)",
                   "worker w3 joined (8 slots)", "worker w4 joined (8 slots)"}));
  EXPECT_EQ(comings.due(), kNever);
  EXPECT_TRUE(comings.take().empty());
  for (int i = 0; i < 12; ++i) comings.add(joined(i), kStart + seconds(3));
  EXPECT_EQ(comings.take(), Lines{"12 workers joined, 96 slots"});
}

TEST(Comings, EachKindIsItsOwnCrowdAndTheOrderStays) {
  Comings comings;
  comings.add(WorkerJoined{"first", 1, true}, kStart);
  for (int i = 0; i < 6; ++i) comings.add(joined(i), kStart);
  comings.add(WorkerLeft{"w1", SaidGoodbye{}, 2, false}, false, kStart);
  comings.add(joined(7), kStart);
  EXPECT_EQ(comings.take(), (Lines{"worker first is back (1 slot)", "7 workers joined, 56 slots",
                                   "worker w1 left: said goodbye; 2 jobs go to others"}));
}

TEST(Comings, ACrowdThatLeavesSaysWhyAndWhatBecomesOfItsJobs) {
  Comings comings;
  for (int i = 0; i < 6; ++i)
    comings.add(WorkerLeft{"w", SilentFor{seconds(10)}, i == 0 ? 0U : 3U, true}, false, kStart);
  EXPECT_EQ(comings.take(), Lines{"6 workers are lost: silent for 10s; 15 jobs go to others"});
  for (int i = 0; i < 6; ++i) comings.add(WorkerLeft{"w", SaidGoodbye{}, 1, false}, true, kStart);
  EXPECT_EQ(comings.take(), Lines{"6 workers left: said goodbye; 6 jobs not done"});
  for (int i = 0; i < 6; ++i) {
    comings.add(i == 0 ? WorkerLeft{"w", SilentFor{seconds(10)}, 0, true}
                       : WorkerLeft{"w", ConnectionLost{}, 0, true},
                false, kStart);
  }
  EXPECT_EQ(comings.take(), Lines{"6 workers are lost"}) << "for several reasons";
}

TEST(Comings, NamesOfOthersAreMadePrintable) {
  Comings comings;
  comings.add(WorkerJoined{"w\x1b[2J", 1, false}, kStart);
  EXPECT_EQ(comings.take(), Lines{"worker w\\x1b[2J joined (1 slot)"});
}

}  // namespace
}  // namespace workpool::dispatcher
