// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_register.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace workpool::dispatcher {
namespace {

using Past = JobRegister::Past;

Key key(std::uint64_t prefix) { return Key{{prefix, 0}}; }
Spec spec(std::uint64_t prefix) { return Spec{{prefix, 0}}; }

// A backlog's side is tested with JobIndex, which is made of it.

TEST(JobRegister, AnIdComesOnceWhateverItsWork) {
  JobRegister ids;
  EXPECT_EQ(ids.admit(key(1), spec(1), false), Past::kNone);
  EXPECT_EQ(ids.admit(key(1), spec(1), false), std::nullopt);
  EXPECT_EQ(ids.admit(key(1), spec(2), false), std::nullopt);
  EXPECT_EQ(ids.admit(key(2), spec(1), false), Past::kNone);
  ids.forget(key(1));
  EXPECT_EQ(ids.admit(key(1), spec(2), false), Past::kNone);
  EXPECT_EQ(ids.admit(key(1), spec(1), false), std::nullopt);
  EXPECT_EQ(ids.size(), 2U) << "the number of what is forgotten is used again";
}

TEST(JobRegister, ThePastIsOfAnIdAndItsWork) {
  JobRegister ids;
  ids.remember(key(1), spec(1), Past::kFailed);
  ids.remember(key(1), spec(2), Past::kOk);
  ids.remember(key(1), spec(1), Past::kTimeout);
  EXPECT_EQ(ids.size(), 2U);
  EXPECT_EQ(ids.remembered(key(1), spec(1)), Past::kTimeout) << "the last line counts";
  EXPECT_EQ(ids.remembered(key(1), spec(3)), Past::kNone);
  EXPECT_EQ(ids.admit(key(1), spec(1), false), Past::kTimeout);
  EXPECT_EQ(ids.remembered(key(1), spec(1)), Past::kNone) << "it has come";
  EXPECT_EQ(ids.admit(key(1), spec(2), false), std::nullopt);
  EXPECT_EQ(ids.admit(key(2), spec(2), false), Past::kNone);
}

TEST(JobRegister, DefaultIdsAreNumberedAsTheyCome) {
  JobRegister ids;
  ids.remember(key(10), spec(1), Past::kOk);
  EXPECT_EQ(ids.next_repeat(10, 1), 1U) << "only known from the results file";
  EXPECT_EQ(ids.admit(key(10), spec(1), true), Past::kOk);
  EXPECT_EQ(ids.next_repeat(10, 1), 2U);
  EXPECT_EQ(ids.next_repeat(10, 1), 3U);
  EXPECT_EQ(ids.next_repeat(20, 2), 1U);
  EXPECT_EQ(ids.admit(key(20), spec(2), false), Past::kNone);
  EXPECT_EQ(ids.next_repeat(20, 2), 1U) << "that id was given to a job, which is no default id";
  JobRegister file;
  file.add({10, 1, 1});
  EXPECT_EQ(file.next_repeat(10, 1), 2U);
}

// Few ids, so that they meet; prefixes at both ends and in the middle of the table, close together and the
// same.
std::uint64_t clashing_prefix(int id) {
  static constexpr std::uint64_t kBases[] = {0, 1, ~0ULL, ~0ULL - 1, 1ULL << 63, (1ULL << 63) + 256};
  return kBases[static_cast<std::size_t>(id) % 6] + static_cast<std::uint64_t>(id / 6) * 512;
}

RC_GTEST_PROP(JobRegister, AgreesWithAMapOfWhatHasCome, ()) {
  JobRegister ids;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Past> past;
  std::map<std::uint64_t, std::uint64_t> came;  // and its work
  for (const auto& [what, id, drawn] : *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
           rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 40), rc::gen::inRange(0, 3)))) {
    const std::uint64_t prefix = clashing_prefix(id);
    const auto work = static_cast<std::uint64_t>(drawn);
    const auto before = came.find(prefix);
    if (what == 0 && before == came.end()) {
      const Past result = id % 2 == 0 ? Past::kOk : Past::kFailed;
      ids.remember(key(prefix), spec(work), result);
      past[{prefix, work}] = result;
    } else if (what < 3) {
      ids.forget(key(prefix));
      if (before == came.end()) continue;
      past.erase({prefix, before->second});
      came.erase(before);
    } else {
      const auto found = past.find({prefix, work});
      std::optional<Past> expected = found == past.end() ? Past::kNone : found->second;
      if (!came.try_emplace(prefix, work).second) expected = std::nullopt;
      RC_ASSERT(ids.admit(key(prefix), spec(work), false) == expected);
    }
    for (const auto& [other, its_work] : came) RC_ASSERT(ids.find_prefix(other).has_value());
  }
}

}  // namespace
}  // namespace workpool::dispatcher
