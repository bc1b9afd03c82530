// SPDX-License-Identifier: MIT
#include "dispatcher/core/journal_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/core/scheduler.h"

namespace workpool::dispatcher {
namespace {

TEST(JournalBook, NumbersRiseByOneWhateverTheEntry) {
  JournalBook book;
  EXPECT_TRUE(book.is_durable(0)) << "what an earlier start has written";
  EXPECT_EQ(book.issue(Status::kOk), 1U);
  EXPECT_EQ(book.issue(std::nullopt), 2U);
  EXPECT_EQ(book.issue(Status::kFailed), 3U);
  EXPECT_EQ(book.issued(), 3U);
}

TEST(JournalBook, OnlyResultsAreCounted) {
  JournalBook book;
  book.issue(std::nullopt);
  book.issue(Status::kOk);
  book.issue(Status::kFailed);
  EXPECT_EQ(book.undurable_results(), 2U);
  book.changed({2, false, false, 0});
  EXPECT_TRUE(book.is_durable(2));
  EXPECT_FALSE(book.is_durable(3));
  EXPECT_EQ(book.undurable_results(), 1U);
  std::vector<Status> left;
  book.for_undurable_results([&left](Status status) { left.push_back(status); });
  EXPECT_EQ(left, (std::vector<Status>{Status::kFailed}));
  book.changed({3, true, true, 0});
  EXPECT_EQ(book.undurable_results(), 0U);
  EXPECT_TRUE(book.state().blocked);
}

// ---- what the scheduler does with it ----

class Names : public testing::Test {
 protected:
  Names() {
    index_.seal();
    index_.open_queues(false);
    SchedulerOptions options;
    options.listening = options.streaming = true;
    scheduler_ = std::make_unique<Scheduler>(options, index_, Time{});
  }
  Actions step(Event&& event) {
    Actions actions;
    scheduler_->step(std::move(event), now_, actions);
    return actions;
  }
  // Of worker `number`, called "node".
  Actions hello(std::uint64_t number, std::uint32_t try_number = 1) {
    HelloReceived event;
    event.peer = "peer " + std::to_string(number) + "." + std::to_string(try_number);
    event.hello.worker = {number};
    event.hello.engine = 1;
    event.hello.try_number = try_number;
    event.hello.name = "node";
    event.hello.slots = 1;
    event.fresh = {++sessions_};
    return step(std::move(event));
  }
  static std::vector<Admit> admitted(const Actions& actions) {
    std::vector<Admit> found;
    for (const Action& action : actions)
      if (const auto* admit = std::get_if<Admit>(&action)) found.push_back(*admit);
    return found;
  }
  static int persisted(const Actions& actions) {
    return static_cast<int>(std::count_if(actions.begin(), actions.end(), [](const Action& action) {
      return std::holds_alternative<Persist>(action);
    }));
  }

  JobIndex index_;
  std::unique_ptr<Scheduler> scheduler_;
  std::uint64_t sessions_ = 0;
  Time now_{};
};

TEST_F(Names, WelcomeWaitsForTheName) {
  EXPECT_EQ(persisted(hello(1)), 1);
  const Actions second = hello(2);
  EXPECT_EQ(persisted(second), 1);
  EXPECT_TRUE(admitted(second).empty());
  EXPECT_TRUE(admitted(step(JournalState{0, true, false, 0})).empty());
  const std::vector<Admit> first = admitted(step(JournalState{1, false, false, 0}));
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].peer, "peer 1.1");
  EXPECT_EQ(first[0].welcome.name, "node");
  const std::vector<Admit> then = admitted(step(JournalState{2, false, false, 0}));
  ASSERT_EQ(then.size(), 1U);
  EXPECT_EQ(then[0].welcome.name, "node-2");
}

TEST_F(Names, TheLastHelloIsAnswered) {
  hello(1);
  const Actions again = hello(1, 2);
  EXPECT_EQ(persisted(again), 0) << "it has its name, which is not durable yet";
  EXPECT_TRUE(admitted(again).empty());
  const std::vector<Admit> admits = admitted(step(JournalState{1, false, false, 0}));
  ASSERT_EQ(admits.size(), 1U);
  EXPECT_EQ(admits[0].peer, "peer 1.2");
}

TEST_F(Names, ANameThatIsDurableIsToldAtOnce) {
  step(NamesKnown{{{WorkerId{7}, "node-7"}}});
  const Actions known = hello(7);
  EXPECT_EQ(persisted(known), 0);
  ASSERT_EQ(admitted(known).size(), 1U);
  EXPECT_EQ(admitted(known)[0].welcome.name, "node-7");
}

TEST_F(Names, WhoeverWaitsIsNeverLostAndTurnedAwayAtTheEnd) {
  hello(1);
  now_ += seconds(100);
  EXPECT_TRUE(step(Drained{}).empty()) << "it was not told anything it could answer";
  step(StopRequested{StopKind::kInterrupt});
  const Actions end = step(Drained{});
  const auto refused = std::find_if(
      end.begin(), end.end(), [](const Action& action) { return std::holds_alternative<Refuse>(action); });
  ASSERT_NE(refused, end.end());
  EXPECT_EQ(std::get<Refuse>(*refused).refused.code, Refusal::kComplete);
  EXPECT_TRUE(scheduler_->worker_table().sessions().empty());
}

// What they may have sent and not had acknowledged is held in memory here.
TEST_F(Names, TheResultWindowsOfAThousandWorkersAre256MiB) {
  std::map<SessionId, std::uint64_t> windows;
  const auto sum = [&windows] {
    std::uint64_t bytes = 0;
    for (const auto& [id, window] : windows) bytes += window;
    return bytes;
  };
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    hello(number);
    for (const Admit& admit : admitted(step(JournalState{number, false, false, 0})))
      windows[admit.welcome.session] = admit.welcome.result_window;
    ASSERT_EQ(windows.size(), number);
    EXPECT_LE(sum(), 256ULL << 20);
  }
  EXPECT_EQ(windows.begin()->second, 8ULL << 20) << "the first one is not kept waiting";
  EXPECT_GE(windows.rbegin()->second, 64ULL << 10);
  RecordProperty("MiB", std::to_string(sum() >> 20));
}

}  // namespace
}  // namespace workpool::dispatcher
