// SPDX-License-Identifier: MIT
#include "worker/core/attempts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace workpool::worker {
namespace {

class AttemptsTest : public testing::Test {
 protected:
  static JobOrder command(const std::string& id, std::uint32_t wide = 1) {
    JobOrder made;
    made.id = id;
    made.key = key_of_id(id);
    made.attempt = 1;
    made.slots = wide;
    made.work = R"({"cmd":["true"]})";
    return made;
  }
  static JobOrder handler(const std::string& id) {
    JobOrder made = command(id);
    made.kind = JobKind::kHandler;
    made.work = R"({"type":"noop"})";
    return made;
  }
  void queue(JobOrder&& order) {
    order.handle = Handle{++handles};
    attempts.queue(std::move(order), now);
  }
  // The id of the next job to hand over, "" if none is.
  std::string start() {
    std::vector<StartAttempt> started;
    if (!attempts.start_next(now, started)) return "";
    token = started[0].token;
    return started[0].order.id;
  }
  Attempt& at(std::uint64_t of) { return *attempts.find(of); }
  void end(std::uint64_t of, Duration ran = Duration{0}) { attempts.end(at(of), now, ran); }
  void doubt(std::uint64_t of, Time until) {
    Outcome outcome;
    outcome.command.emplace().signal = 9;
    attempts.doubt(at(of), std::move(outcome), milliseconds(1), until, now);
  }
  // Short handlers: the first has the slot, the others are ahead of it.
  std::vector<std::uint64_t> three_in_one_slot() {
    attempts = Attempts(1);
    for (int i = 0; i < 4; ++i) queue(handler(std::to_string(i)));
    start();
    end(token, milliseconds(1));
    std::vector<std::uint64_t> handed_over;
    while (!start().empty()) handed_over.push_back(token);
    return handed_over;
  }

  Attempts attempts{2};
  std::uint64_t handles = 0;
  std::uint64_t token = 0;  // of the last one started
  Time now{seconds(1)};
};

TEST_F(AttemptsTest, StartInOrderAsThereAreSlots) {
  for (const char* id : {"a", "b", "c"}) queue(command(id));
  EXPECT_EQ(start(), "a");
  const std::uint64_t a = token;
  EXPECT_EQ(start(), "b");
  EXPECT_EQ(start(), "");
  end(a);
  EXPECT_EQ(start(), "c");
  EXPECT_EQ(attempts.working(), 2u);
  EXPECT_EQ(attempts.queued(), 0u);
  EXPECT_EQ(attempts.queued_bytes(), 0u);
}

TEST_F(AttemptsTest, TheWorkLeavesWithTheStart) {
  queue(command("a"));
  EXPECT_EQ(attempts.queued_bytes(), 16u);
  std::vector<StartAttempt> started;
  ASSERT_TRUE(attempts.start_next(now, started));
  EXPECT_EQ(started[0].order.work, R"({"cmd":["true"]})");
  EXPECT_EQ(started[0].order.id, "a");
  EXPECT_EQ(at(started[0].token).order.work, "");
  EXPECT_EQ(at(started[0].token).order.key, started[0].order.key);
}

TEST_F(AttemptsTest, NothingPassesAWideJob) {
  attempts = Attempts(3);
  queue(command("narrow"));
  queue(command("wide", 3));
  queue(command("small"));
  EXPECT_EQ(start(), "narrow");
  EXPECT_EQ(start(), "");
  end(token);
  EXPECT_EQ(start(), "wide");
  EXPECT_EQ(start(), "");
}

TEST_F(AttemptsTest, AreNamedByHandleOrByKeyAndAttempt) {
  queue(command("a"));
  queue(command("b"));
  start();
  EXPECT_EQ(attempts.find(JobRef{Handle{1}, key_of_id("a"), 1})->token, token);
  EXPECT_EQ(attempts.find(JobRef{Handle{}, key_of_id("a"), 1})->token, token);
  EXPECT_EQ(attempts.find(JobRef{Handle{1}, key_of_id("b"), 1}), nullptr);
  EXPECT_EQ(attempts.find(JobRef{Handle{}, key_of_id("a"), 2}), nullptr);
  Attempt* const b = attempts.find(JobRef{Handle{2}, key_of_id("b"), 1});
  ASSERT_NE(b, nullptr);
  EXPECT_TRUE(b->is<Attempt::Queued>());
  attempts.end(*b, now);
  EXPECT_EQ(attempts.find(JobRef{Handle{2}, key_of_id("b"), 1}), nullptr);
  end(token);
  EXPECT_EQ(start(), "") << "b was called back";
}

TEST_F(AttemptsTest, AnOldTokenNamesNothing) {
  queue(command("a"));
  start();
  const std::uint64_t old = token;
  end(old);
  queue(command("b"));
  start();
  EXPECT_EQ(attempts.find(old), nullptr);
  EXPECT_NE(attempts.find(token), nullptr);
}

TEST_F(AttemptsTest, OneThatIsHereAlreadyIsIgnored) {
  queue(command("a"));
  queue(command("a"));
  EXPECT_EQ(attempts.queued(), 1u);
  start();
  queue(command("a"));
  EXPECT_EQ(attempts.queued(), 0u);
  doubt(token, now + seconds(1));
  queue(command("a"));
  EXPECT_EQ(attempts.queued(), 0u);
  end(token);
  queue(command("a"));
  EXPECT_EQ(attempts.queued(), 1u) << "it may come back once it is gone";
}

TEST_F(AttemptsTest, AJobWaitsUntilItsKilledAttemptIsGoneAndOthersPassIt) {
  attempts = Attempts(3);
  queue(command("a"));
  start();
  const std::uint64_t killed = token;
  attempts.kill(at(killed));
  queue(command("a"));
  queue(command("b"));
  EXPECT_EQ(start(), "b");
  EXPECT_EQ(start(), "");
  EXPECT_EQ(attempts.queued(), 1u);
  EXPECT_TRUE(attempts.find(JobRef{Handle{}, key_of_id("a"), 1})->is<Attempt::Queued>())
      << "a CANCEL is about the one that is not being killed yet";
  queue(command("c"));
  end(killed);
  EXPECT_EQ(start(), "a") << "it keeps its turn";
  EXPECT_EQ(start(), "c");
}

TEST_F(AttemptsTest, WhatWaitsBehindAKilledAttemptIsQueuedLikeAnyOther) {
  queue(command("a"));
  start();
  attempts.kill(at(token));
  queue(command("a"));
  EXPECT_EQ(start(), "");
  const auto taken = attempts.take_queued();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].id, "a");
  end(token);
  EXPECT_EQ(start(), "");
}

TEST_F(AttemptsTest, ADoubtfulOneHasNoSlotAndKeepsWhatItHasToSay) {
  for (const char* id : {"a", "b", "c", "d"}) queue(command(id, 2));
  start();
  const std::uint64_t a = token;
  doubt(a, now + milliseconds(250));
  EXPECT_EQ(start(), "b") << "its slots are free";
  doubt(token, now + milliseconds(300));
  EXPECT_EQ(attempts.doubtful(), 2u);
  EXPECT_EQ(attempts.working(), 0u);
  EXPECT_EQ(attempts.next_doubt(), now + milliseconds(250));
  Attempt* const first = attempts.first_doubtful();
  ASSERT_EQ(first, &at(a));
  EXPECT_EQ(std::get<Attempt::Doubtful>(first->state).outcome->command->signal, 9);
  attempts.end(*first, now);
  EXPECT_EQ(attempts.next_doubt(), now + milliseconds(300));
  attempts.end(*attempts.first_doubtful(), now);
  EXPECT_EQ(attempts.first_doubtful(), nullptr);
  EXPECT_EQ(start(), "c");
  EXPECT_EQ(start(), "") << "no slot was given back twice";
}

TEST_F(AttemptsTest, ShortHandlersAreHandedOverAheadOfAFreeSlot) {
  attempts = Attempts(1);
  for (int i = 0; i < 20; ++i) queue(handler(std::to_string(i)));
  EXPECT_EQ(start(), "0");
  EXPECT_EQ(start(), "");  // nothing is known yet
  end(token, microseconds(400));
  int handed_over = 0;
  while (!start().empty()) ++handed_over;
  EXPECT_EQ(handed_over, 1 + 10);  // 4 ms of work
}

TEST_F(AttemptsTest, ShortCommandsAreHandedOverAheadOfAFreeSlot) {
  const auto handed_over_after = [&](Duration ran) {
    attempts = Attempts(2);
    for (int i = 0; i < 40; ++i) queue(command(std::to_string(i)));
    start();
    end(token, ran);
    int handed_over = 0;
    while (!start().empty()) ++handed_over;
    return handed_over;
  };
  EXPECT_EQ(handed_over_after(milliseconds(2)), 2 + 2 * 10) << "20 ms of work per slot";
  EXPECT_EQ(handed_over_after(milliseconds(40)), 2 + 2) << "at least one per slot";
  EXPECT_EQ(handed_over_after(milliseconds(50)), 2) << "not short";
}

// A beat names what has run for a second, and a limit's start counts from there: what only waits must not be
// taken for it.
TEST_F(AttemptsTest, WhatIsAheadOfASlotRunsOnceOneIsFree) {
  std::vector<std::uint64_t> handed_over = three_in_one_slot();
  ASSERT_EQ(handed_over.size(), 3u);
  const auto run_for = [&] {
    std::vector<Duration> all;
    for (const std::uint64_t one : handed_over) all.push_back(at(one).running_for(now));
    return all;
  };
  now += seconds(2);
  EXPECT_EQ(run_for(), (std::vector<Duration>{seconds(2), seconds(0), seconds(0)}));

  const std::uint64_t first = handed_over.front();
  handed_over.erase(handed_over.begin());
  end(first);
  now += seconds(3);
  EXPECT_EQ(run_for(), (std::vector<Duration>{seconds(3), seconds(0)}));
}

TEST_F(AttemptsTest, AnEndThatIsToldBeforeThatOfTheOneInItsPlaceFreesNoSlot) {
  const std::vector<std::uint64_t> handed_over = three_in_one_slot();
  ASSERT_EQ(handed_over.size(), 3u);

  end(handed_over[1]);
  now += seconds(1);
  EXPECT_EQ(at(handed_over[2]).running_for(now), seconds(0));
  end(handed_over[0]);
  now += seconds(1);
  EXPECT_EQ(at(handed_over[2]).running_for(now), seconds(1));
}

TEST_F(AttemptsTest, NothingIsHandedOverAheadBehindALostThread) {
  for (int i = 0; i < 20; ++i) queue(handler(std::to_string(i)));
  start();
  end(token, microseconds(100));
  start();
  attempts.lose(at(token));
  const std::uint64_t lost = token;
  EXPECT_EQ(start(), "2");
  EXPECT_EQ(start(), "");
  end(lost);  // its thread has come back
  EXPECT_EQ(start(), "3");
}

TEST_F(AttemptsTest, AreStuckWhenLostSlotsLeaveNoRoom) {
  queue(handler("a"));
  queue(command("b"));
  queue(command("wide", 2));
  start();
  const std::uint64_t a = token;
  start();
  const std::uint64_t b = token;
  attempts.lose(at(a));
  EXPECT_FALSE(attempts.stuck()) << "b works";
  EXPECT_EQ(attempts.working(), 1u);
  end(b);
  EXPECT_EQ(start(), "");
  EXPECT_TRUE(attempts.stuck());
  end(a);
  EXPECT_FALSE(attempts.stuck());
  EXPECT_EQ(start(), "wide");
}

TEST_F(AttemptsTest, ASessionsEndDropsTheQueueAndTheHandles) {
  queue(command("a"));
  queue(command("b"));
  attempts = Attempts(1);
  queue(command("a"));
  queue(command("b"));
  start();
  attempts.session_over();
  EXPECT_EQ(attempts.queued(), 0u);
  EXPECT_EQ(at(token).order.handle, Handle{});
  EXPECT_NE(attempts.find(JobRef{Handle{}, key_of_id("a"), 1}), nullptr);
}

// Thousands come and go in every order: each is found while it is there and never afterwards.
TEST_F(AttemptsTest, FindWhatIsThereHoweverItComesAndGoes) {
  attempts = Attempts(1);
  std::vector<std::string> here;
  std::uint64_t random = 1;
  for (int i = 0; i < 20'000; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    if (here.empty() || (random >> 60) < 8) {
      here.push_back(std::to_string(i));
      queue(command(here.back()));
      continue;
    }
    const std::size_t index = (random >> 20) % here.size();
    std::swap(here[index], here.back());
    Attempt* const found = attempts.find(JobRef{Handle{}, key_of_id(here.back()), 1});
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(found->order.id, here.back());
    attempts.end(*found, now);
    ASSERT_EQ(attempts.find(JobRef{Handle{}, key_of_id(here.back()), 1}), nullptr);
    here.pop_back();
  }
  ASSERT_EQ(attempts.queued(), here.size());
  ASSERT_EQ(attempts.take_queued().size(), here.size());
}

}  // namespace
}  // namespace workpool::worker
