// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_index.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace workpool::dispatcher {
namespace {

Key key(std::uint64_t prefix) { return Key{{prefix, 0}}; }
Spec spec(std::uint64_t prefix) { return Spec{{prefix, 0}}; }

// Prefixes are hashes; tests want them small and yet spread.
std::uint64_t spread(std::uint64_t value) { return value * 0x9e37'79b9'7f4a'7c15ULL; }

JobIndex::Entry plain(std::uint64_t number) {
  JobIndex::Entry entry;
  entry.key_prefix = spread(number + 1);
  entry.spec_prefix = spread(number + 1'000'000);
  entry.offset = number * 40;
  entry.line = number + 1;
  entry.repeat = 1;
  return entry;
}

void expect_equal(const JobIndex::Entry& left, const JobIndex::Entry& right) {
  EXPECT_EQ(left.key_prefix, right.key_prefix);
  EXPECT_EQ(left.spec_prefix, right.spec_prefix);
  EXPECT_EQ(left.offset, right.offset);
  EXPECT_EQ(left.line, right.line);
  EXPECT_EQ(left.repeat, right.repeat);
  EXPECT_EQ(left.requirement, right.requirement);
  EXPECT_EQ(left.priority, right.priority);
}

std::vector<JobNumber> drain(JobIndex& index, std::uint32_t requirement) {
  std::vector<JobNumber> numbers;
  while (const auto number = index.front(requirement)) {
    EXPECT_TRUE(index.take(*number));
    numbers.push_back(*number);
  }
  return numbers;
}

TEST(JobIndex, EmptyIsFine) {
  JobIndex index;
  index.seal();
  index.open_queues(false);
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(index.open(), 0U);
  EXPECT_EQ(index.open(0), 0U);
  EXPECT_FALSE(index.front(0));
  EXPECT_FALSE(index.front(7));
  EXPECT_FALSE(index.find(key(1)));
}

TEST(JobIndex, GivesBackWhatWasAdded) {
  std::vector<JobIndex::Entry> entries;
  for (std::uint64_t number = 0; number < 2000; ++number) {
    JobIndex::Entry entry = plain(number);
    entry.line += number / 7;                     // gaps
    if (number > 500) entry.repeat = number % 3;  // given, first and repeated ids
    if (number > 900) entry.priority = static_cast<std::int32_t>(number % 5) - 2;
    if (number > 1200) entry.requirement = static_cast<std::uint32_t>(number % 4);
    if (number > 1500) entry.offset += std::uint64_t{1} << 39;
    entries.push_back(entry);
  }
  JobIndex index;
  for (const auto& entry : entries) index.add(entry);
  index.seal();
  ASSERT_EQ(index.size(), entries.size());
  for (std::uint64_t number = 0; number < entries.size(); ++number) {
    expect_equal(index.entry(number), entries[number]);
    EXPECT_EQ(index.find(key(entries[number].key_prefix)), number);
    EXPECT_TRUE(index.ids().has_spec(number, spec(entries[number].spec_prefix)));
    EXPECT_FALSE(index.ids().has_spec(number, spec(entries[number].spec_prefix + 1)));
  }
  EXPECT_FALSE(index.find(key(spread(999'999))));
}

TEST(JobIndex, FindsWhileItIsFilled) {
  JobIndex index;
  EXPECT_FALSE(index.ids().find_prefix(plain(0).key_prefix));
  index.reserve(10);
  for (std::uint64_t number = 0; number < 1000; ++number) {
    EXPECT_FALSE(index.ids().find_prefix(plain(number).key_prefix));
    index.add(plain(number));
    EXPECT_EQ(index.ids().find_prefix(plain(number).key_prefix), number);
    EXPECT_EQ(index.ids().find_prefix(plain(0).key_prefix), 0U);
  }
}

TEST(JobIndex, PrefixesAtBothEndsOfTheTable) {
  JobIndex index;
  std::vector<std::uint64_t> added;
  for (const std::uint64_t prefix : {~0ULL, ~0ULL - 1, ~0ULL - 2, 0ULL, 1ULL}) {  // the probing goes round
    JobIndex::Entry entry = plain(added.size());
    entry.key_prefix = prefix;
    index.add(entry);
    added.push_back(prefix);
    for (std::size_t i = 0; i < added.size(); ++i) EXPECT_EQ(index.find(key(added[i])), i);
  }
}

TEST(JobIndex, OneQueueIsTheOrderOfTheFile) {
  JobIndex index;
  for (std::uint64_t number = 0; number < 5; ++number) index.add(plain(number));
  index.seal();
  index.open_queues(false);
  EXPECT_EQ(index.open(), 5U);
  EXPECT_TRUE(index.take(0));
  EXPECT_FALSE(index.take(0));
  EXPECT_TRUE(index.take(3)) << "from the middle";
  EXPECT_EQ(index.open(0), 3U);
  EXPECT_EQ(drain(index, 0), (std::vector<JobNumber>{1, 2, 4}));
  EXPECT_EQ(index.open(), 0U);
  EXPECT_FALSE(index.front(0));
}

TEST(JobIndex, PriorityFirstThenTheOrderOfTheFile) {
  JobIndex index;
  const std::vector<std::int32_t> priorities{0, 5, -3, 5, 0, 2147483647, -2147483647 - 1};
  for (std::uint64_t number = 0; number < priorities.size(); ++number) {
    JobIndex::Entry entry = plain(number);
    entry.priority = priorities[number];
    index.add(entry);
  }
  index.seal();
  index.open_queues(false);
  EXPECT_EQ(drain(index, 0), (std::vector<JobNumber>{5, 1, 3, 0, 4, 2, 6}));
}

TEST(JobIndex, AQueueForEachRequirement) {
  JobIndex index;
  const auto any = index.requirement_number({});
  const auto gpu = index.requirement_number({"", {"gpu"}, 1});
  const auto wide = index.requirement_number({"", {}, 4});
  EXPECT_EQ(index.requirement_number({"", {"gpu"}, 1}), gpu);
  ASSERT_EQ(index.requirements().size(), 3U);
  EXPECT_EQ(index.requirements()[wide].slots, 4U);
  const std::vector<std::uint32_t> requirements{any, gpu, any, wide, gpu};
  for (std::uint64_t number = 0; number < requirements.size(); ++number) {
    JobIndex::Entry entry = plain(number);
    entry.requirement = requirements[number];
    entry.priority = number == 4 ? 1 : 0;
    index.add(entry);
  }
  index.seal();
  index.open_queues(false);
  EXPECT_EQ(index.open(gpu), 2U);
  EXPECT_EQ(drain(index, gpu), (std::vector<JobNumber>{4, 1}));
  EXPECT_EQ(index.open(), 3U);
  EXPECT_EQ(drain(index, wide), (std::vector<JobNumber>{3}));
  EXPECT_EQ(drain(index, any), (std::vector<JobNumber>{0, 2}));
}

TEST(JobIndex, ThePastDecidesWhatIsOpen) {
  JobIndex index;
  for (std::uint64_t number = 0; number < 4; ++number) index.add(plain(number));
  index.seal();
  index.ids().set_past(1, JobRegister::Past::kOk);
  index.ids().set_past(2, JobRegister::Past::kOk);
  index.ids().set_past(2, JobRegister::Past::kFailed);  // the last line of a job counts
  EXPECT_EQ(index.ids().past(0), JobRegister::Past::kNone);
  EXPECT_EQ(index.ids().past(2), JobRegister::Past::kFailed);

  index.open_queues(false);
  EXPECT_EQ(index.open(), 2U);
  EXPECT_TRUE(index.taken(1));
  EXPECT_EQ(drain(index, 0), (std::vector<JobNumber>{0, 3}));

  index.open_queues(true);
  EXPECT_EQ(drain(index, 0), (std::vector<JobNumber>{0, 2, 3}));
  EXPECT_EQ(index.ids().past(2), JobRegister::Past::kFailed) << "taking a job does not change its past";
}

// Against the obvious model: a map of sorted sets.
RC_GTEST_PROP(JobIndexProperty, HandsOutLikeASortedList, ()) {
  JobIndex index;
  std::map<std::uint32_t, std::vector<std::pair<std::int64_t, JobNumber>>> model;
  const auto count = *rc::gen::inRange<std::uint64_t>(0, 60);
  const auto requirements = *rc::gen::inRange<std::uint32_t>(1, 4);
  for (std::uint32_t i = 0; i < requirements; ++i) index.requirement_number({"t" + std::to_string(i), {}, 1});
  std::uint64_t line = 0;
  for (std::uint64_t number = 0; number < count; ++number) {
    JobIndex::Entry entry = plain(number);
    line += *rc::gen::inRange<std::uint64_t>(1, 4);
    entry.line = line;
    entry.requirement = *rc::gen::inRange<std::uint32_t>(0, requirements);
    entry.priority = *rc::gen::inRange<std::int32_t>(-1, 2);
    index.add(entry);
    model[entry.requirement].emplace_back(-std::int64_t{entry.priority}, number);
    RC_ASSERT(index.entry(number).line == line);
  }
  index.seal();
  index.open_queues(false);
  for (auto& [requirement, jobs] : model) std::sort(jobs.begin(), jobs.end());
  for (std::uint64_t step = 0; step < count; ++step) {
    const auto requirement = *rc::gen::inRange<std::uint32_t>(0, requirements);
    auto& jobs = model[requirement];
    RC_ASSERT(index.open(requirement) == jobs.size());
    const auto front = index.front(requirement);
    RC_ASSERT(front.has_value() == !jobs.empty());
    if (jobs.empty()) continue;
    RC_ASSERT(*front == jobs.front().second);
    const auto chosen = *rc::gen::inRange<std::size_t>(0, jobs.size());
    RC_ASSERT(index.take(jobs[chosen].second));
    jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(chosen));
  }
}

}  // namespace
}  // namespace workpool::dispatcher
