// SPDX-License-Identifier: MIT
#include "dispatcher/core/step.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace workpool::dispatcher {
namespace {

constexpr SessionId kOne{1};
constexpr SessionId kTwo{2};

class StepTest : public testing::Test {
 protected:
  void give(SessionId session, const std::string& id) { step_.give(session, 3, {}).id = id; }
  // What was decided, in order: "1: a b" for jobs, else what it is.
  std::vector<std::string> decided() const {
    std::vector<std::string> texts;
    for (const Action& action : actions_) {
      if (const auto* down = std::get_if<SendLane>(&action)) {
        std::string text = std::to_string(down->session.value) + ":";
        if (const auto* jobs = std::get_if<Jobs>(&down->message)) {
          for (const JobOrder& order : jobs->jobs) text += " " + order.id;
        } else {
          text += std::string(" ") + name_of(down->message);
        }
        texts.push_back(text);
      } else if (const auto* close = std::get_if<CloseSession>(&action)) {
        texts.push_back(std::to_string(close->session.value) + ": closed");
      } else if (const auto* load = std::get_if<Load>(&action)) {
        texts.push_back("load " + std::to_string(load->jobs.size()));
      } else if (const auto* persist = std::get_if<Persist>(&action)) {
        texts.push_back("persist " + std::to_string(persist->entries.size()));
      } else {
        texts.emplace_back("another");
      }
    }
    return texts;
  }

  using Decided = std::vector<std::string>;
  Actions actions_;
  JobsMessages jobs_{256};
  Step step_{Time{}, actions_, jobs_};
};

TEST_F(StepTest, WhatThereIsManyOfIsOneAction) {
  step_.entries().emplace_back(GrantedName{{7}, "node"});
  give(kOne, "a");
  give(kTwo, "b");
  step_.decide(Report{JobsFileRefused{1}});
  give(kOne, "c");
  step_.load.jobs = {4, 5};
  step_.entries().emplace_back(Record{});
  step_.end();
  EXPECT_EQ(decided(), (Decided{"persist 2", "another", "1: a c", "2: b", "load 2"}));
  const auto& entries = std::get<Persist>(actions_[0]).entries;
  EXPECT_TRUE(std::holds_alternative<GrantedName>(entries[0])) << "a name before the record that has it";
}

TEST_F(StepTest, WhatASessionGetsElseComesBehindItsJobs) {
  give(kOne, "a");
  give(kTwo, "b");
  step_.send(kOne, Cancel{});
  give(kOne, "c");
  step_.close(kOne, true);
  step_.end();
  EXPECT_EQ(decided(), (Decided{"1: a", "1: CANCEL", "1: c", "1: closed", "2: b"}));
}

TEST_F(StepTest, OneWithoutAnythingDecidesNothing) {
  step_.expect_entries(5);
  step_.end();
  EXPECT_EQ(decided(), Decided{});
}

TEST_F(StepTest, TheNextOneHasNoneOfItsJobs) {
  give(kOne, "a");
  step_.end();
  actions_.clear();
  Step next(Time{}, actions_, jobs_);
  next.give(kTwo, 3, {}).id = "b";
  next.end();
  EXPECT_EQ(decided(), Decided{"2: b"});
}

}  // namespace
}  // namespace workpool::dispatcher
