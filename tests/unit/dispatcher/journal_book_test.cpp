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
  // A HELLO of worker `number`, called "node".
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
  Actions from(std::uint64_t session, SinkMessage&& message) {
    return step(SinkReceived{{RunId{}, {session}, ++seqs_[session]}, std::move(message)});
  }
  void job() {
    JobArrived arrived;
    arrived.job.facts.id = "job";
    arrived.job.facts.key = key_of_id("job");
    step(std::move(arrived));
  }
  static JobResult ok() {
    JobResult result;
    result.key = key_of_id("job");
    result.attempt = 1;
    return result;
  }
  static int given(const Actions& actions) {
    return static_cast<int>(std::count_if(actions.begin(), actions.end(), [](const Action& action) {
      const auto* down = std::get_if<SendLane>(&action);
      return down != nullptr && std::holds_alternative<Jobs>(down->message);
    }));
  }
  static std::vector<Admit> admitted(const Actions& actions) {
    std::vector<Admit> found;
    for (const Action& action : actions)
      if (const auto* admit = std::get_if<Admit>(&action)) found.push_back(*admit);
    return found;
  }
  static std::vector<JournalEntry> entries(const Actions& actions) {
    std::vector<JournalEntry> found;
    for (const Action& action : actions) {
      const auto* persist = std::get_if<Persist>(&action);
      if (persist != nullptr) found.insert(found.end(), persist->entries.begin(), persist->entries.end());
    }
    return found;
  }
  static int persisted(const Actions& actions) { return static_cast<int>(entries(actions).size()); }

  JobIndex index_;
  std::unique_ptr<Scheduler> scheduler_;
  std::uint64_t sessions_ = 0;
  std::map<std::uint64_t, std::uint64_t> seqs_;
  Time now_{};
};

TEST_F(Names, AHelloLeavesNothingInTheJournal) {
  const Actions first = hello(1);
  EXPECT_EQ(persisted(first), 0);
  ASSERT_EQ(admitted(first).size(), 1U);
  EXPECT_EQ(admitted(first)[0].welcome.name, "node");
  const Actions second = hello(2);
  EXPECT_EQ(admitted(second)[0].welcome.name, "node-2") << "the first one's is kept free for it";
  EXPECT_EQ(admitted(hello(1, 2))[0].welcome.name, "node");
}

TEST_F(Names, ReadyGrantsTheNameAndJobsWaitUntilItIsDurable) {
  hello(1);
  step(LaneBound{{1}});
  step(LaneWritable{{1}});
  from(1, Held{});
  EXPECT_EQ(persisted(from(1, Ready{})), 1);
  EXPECT_EQ(persisted(from(1, Ready{})), 0) << "once";
  job();
  EXPECT_EQ(given(step(Drained{})), 0);
  EXPECT_EQ(given(step(JournalState{0, true, false, 0})), 0);
  step(JournalState{1, false, false, 0});
  EXPECT_EQ(given(step(Drained{})), 1);
}

// Only a worker that makes it up has a result so soon: that is no record.
TEST_F(Names, AResultOfAJobThatWasNotGivenLeavesOnlyTheName) {
  hello(1);
  step(LaneBound{{1}});
  job();
  const Actions actions = from(1, Results{{ok()}});
  ASSERT_EQ(persisted(actions), 1);
  EXPECT_TRUE(std::holds_alternative<GrantedName>(entries(actions)[0]));
}

TEST_F(Names, ALateResultOfASessionThatEndedGrantsTheNameToo) {
  hello(1);
  hello(1, 2);
  job();
  const Actions actions = from(1, Results{{ok()}});
  EXPECT_EQ(persisted(actions), 1);
}

TEST_F(Names, ANameThatIsDurableIsNotGrantedAgain) {
  step(NamesKnown{{{WorkerId{7}, "node-7"}}});
  EXPECT_EQ(admitted(hello(7))[0].welcome.name, "node-7");
  step(LaneBound{{1}});
  step(LaneWritable{{1}});
  EXPECT_EQ(persisted(from(1, Ready{})), 0);
  job();
  EXPECT_EQ(given(step(Drained{})), 1);
}

TEST_F(Names, AFloodOfHellosIsForgotten) {
  for (std::uint64_t number = 1; number <= 5000; ++number) {
    EXPECT_EQ(persisted(hello(number)), 0);
    step(LaneBound{{sessions_}});
    from(sessions_, Goodbye{});
  }
  EXPECT_EQ(scheduler_->worker_table().workers().size(), 1024U);
}

TEST_F(Names, ARunHas65536WorkersAtMost) {
  constexpr std::uint64_t kMost = 65'536;
  const auto comes = [this](std::uint64_t number) {
    const Actions actions = hello(number);
    step(LaneBound{{sessions_}});
    from(sessions_, Ready{});
    from(sessions_, Goodbye{});
    return admitted(actions).size() == 1;
  };
  for (std::uint64_t number = 1; number <= kMost; ++number) ASSERT_TRUE(comes(number)) << number;
  EXPECT_FALSE(comes(kMost + 1));
  const Actions refused = hello(kMost + 2);
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<TooManyWorkers>(std::get<Refuse>(refused[0]).cause));
  EXPECT_EQ(scheduler_->worker_table().workers().size(), kMost);
  EXPECT_FALSE(admitted(hello(1, 2)).empty()) << "those that came may come again";
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
    for (const Admit& admit : admitted(hello(number)))
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
