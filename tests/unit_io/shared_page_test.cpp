// SPDX-License-Identifier: MIT
#include "worker/io/process/shared_page.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "tests/unit_io/forked.h"

namespace workpool::worker {
namespace {

Key key(std::uint64_t number) { return Key{{number, number}}; }

TEST(SharedPage, TellsWhatRanWhenAnEngineDies) {
  SharedPage page(3);
  page.started(key(1));
  const auto second = page.started(key(2));
  page.started(key(3));
  page.ended(second);
  page.record_death(4, "signal 11 (SIGSEGV)");
  const std::vector<Death> deaths = page.deaths();
  ASSERT_EQ(deaths.size(), 1U);
  EXPECT_EQ(deaths[0].engine, 4U);
  EXPECT_EQ(deaths[0].cause, "signal 11 (SIGSEGV)");
  EXPECT_EQ(deaths[0].ran, (std::vector<Key>{key(1), key(3)}));
  for (int i = 0; i < 3; ++i) page.started(key(9));  // all places are free again
}

TEST(SharedPage, KeepsDeathsUntilTheyAreAcked) {
  SharedPage page(1);
  for (std::uint32_t engine = 1; engine <= 3; ++engine) page.record_death(engine, "x");
  page.deaths_acked(2);
  page.deaths_acked(1);  // never goes back
  ASSERT_EQ(page.deaths().size(), 1U);
  EXPECT_EQ(page.deaths()[0].engine, 3U);
  page.deaths_acked(3);
  EXPECT_TRUE(page.deaths().empty());
}

TEST(SharedPage, KeepsTheLast64Deaths) {
  SharedPage page(2);
  for (std::uint32_t engine = 1; engine <= 100; ++engine) {
    page.started(key(engine));
    page.record_death(engine, std::string(200, 'c').c_str());
  }
  const std::vector<Death> deaths = page.deaths();
  ASSERT_EQ(deaths.size(), 64U);
  EXPECT_EQ(deaths.front().engine, 37U);
  EXPECT_EQ(deaths.front().ran, std::vector<Key>{key(37)});
  EXPECT_EQ(deaths.back().engine, 100U);
  EXPECT_EQ(deaths.back().cause, std::string(55, 'c'));
}

TEST(SharedPage, IsSharedWithChildren) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  SharedPage page(2);
  EXPECT_NE(page.worker().value, 0U);
  const int code = code_of_child([&] {
    page.started(key(5));
    page.announce_exit(69);
    page.close();
    return 0;
  });
  ASSERT_EQ(code, 0);
  EXPECT_TRUE(page.is_closed());
  EXPECT_EQ(page.take_announced_exit(), 69);
  EXPECT_FALSE(page.is_closed());
  EXPECT_FALSE(page.take_announced_exit());
  page.record_death(1, "x");
  EXPECT_EQ(page.deaths()[0].ran, std::vector<Key>{key(5)});
}

TEST(SharedPage, ThreadsNeverShareAPlace) {
  constexpr std::uint32_t kThreads = 4;
  SharedPage page(kThreads);
  std::atomic<std::uint32_t> inside[kThreads] = {};
  std::atomic<bool> shared{false};
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < 20'000; ++i) {
        const std::uint32_t place = page.started(key(number), number);
        if (inside[place].fetch_add(1) != 0) shared = true;
        inside[place].fetch_sub(1);
        page.ended(place);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(shared);
}

}  // namespace
}  // namespace workpool::worker
