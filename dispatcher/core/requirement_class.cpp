// SPDX-License-Identifier: MIT
#include "dispatcher/core/requirement_class.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kFailureLeast = microseconds(200);
constexpr std::uint32_t kUsualFrom = 64;
// Parts of the median that a job moves it by, of the first ones and later: a busy moment of the machine, in
// which a hundred jobs take long, must not seem usual.
constexpr int kFirstSteps = 8;
constexpr int kSteps = 256;

// Jobs of one handler do similar work, so its classes share one run time until each has its own. Without that
// the first job of every class waited for a free slot. Commands that differ in their limits only share one,
// too: there may be as many keys as hosts. Other commands share none: any two may run different programs.
// Empty: none.
std::string shared_by(const Requirement& requirement) {
  if (!requirement.type.empty() || requirement.limits.empty()) return requirement.type;
  std::string name = '\n' + std::to_string(requirement.slots);
  for (const std::string& label : requirement.labels) name.append("\n").append(label);
  return name;
}

}  // namespace

void RunTime::train(Duration measured) {
  if (trained_ < kUsualFrom) ++trained_;
  if (sixteen_.count() == 0) {
    sixteen_ = 16 * measured;
  } else {
    sixteen_ += measured - sixteen_ / 16;
  }
  const Duration step = std::max(Duration{1}, median_ / (trained_ < kUsualFrom ? kFirstSteps : kSteps));
  if (median_.count() == 0) {
    median_ = measured;
  } else if (measured > median_) {
    median_ += std::min(step, measured - median_);
  } else {
    median_ -= std::min(step, median_ - measured);
  }
}

std::optional<Duration> RunTime::mean() const {
  if (sixteen_.count() > 0) return std::max(Duration{1}, sixteen_ / 16);
  return wider_ != nullptr ? wider_->mean() : std::nullopt;
}

Duration RunTime::worked(Duration ran) const {
  const RunTime& known = wider_ != nullptr ? *wider_ : *this;
  if (known.trained_ < kUsualFrom || ran > 4 * known.median_) return Duration{0};
  return std::min(ran, known.median_);
}

void RunTime::ok(Duration ran) {
  if (std::exchange(only_failures_, false)) sixteen_ = median_ = Duration{0};
  train(std::max(ran, Duration{1}));
  if (wider_ != nullptr) wider_->ok(ran);
}

void RunTime::failed(Duration ran) {
  if (only_failures_) train(std::max(ran, kFailureLeast));
  if (wider_ != nullptr) wider_->failed(ran);
}

void RequirementClass::start_loading(const QueueRank& rank) {
  if (loading_ == 0 || rank.before(loading_best_)) loading_best_ = rank;
  ++loading_;
}

std::optional<QueueRank> RequirementClass::loading_rank() const {
  if (loading_ == 0) return std::nullopt;
  return loading_best_;
}

// ---- the table ----

RequirementClasses::RequirementClasses(const std::vector<Requirement>& of_file) {
  for (const Requirement& requirement : of_file) classes_[add(requirement)]->of_file_ = true;
}

std::uint32_t RequirementClasses::add(const Requirement& requirement) {
  std::uint32_t number = size();
  if (free_.empty()) {
    classes_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  classes_[number] = std::make_unique<RequirementClass>(requirement, run_time_of(requirement));
  limits_.meet(number, requirement.limits);
  classes_[number]->serial_ = ++serials_;
  new_.push_back(number);
  change(number);
  return number;
}

std::shared_ptr<RunTime> RequirementClasses::run_time_of(const Requirement& requirement) {
  const std::string name = shared_by(requirement);
  if (name.empty()) return nullptr;
  std::shared_ptr<RunTime>& known = shared_times_[name];
  if (known == nullptr) known = std::make_shared<RunTime>();
  return known;
}

std::uint32_t RequirementClasses::number_of(const Requirement& requirement) {
  const auto found = numbers_.find(requirement);
  if (found != numbers_.end()) return found->second;
  const std::uint32_t number = add(requirement);
  numbers_.emplace(requirement, number);
  return number;
}

void RequirementClasses::mark_changed(std::uint32_t number) {
  classes_[number]->changed_ = true;
  changed_.push_back(number);
}

void RequirementClasses::takes_work(std::uint32_t number, bool starts) {
  RequirementClass& group = *classes_[number];
  CHECK(starts || group.fitting_ > 0);
  starts ? ++group.fitting_ : --group.fitting_;
  // Only then does it enter or leave what placement looks at.
  if (group.fitting_ == (starts ? 1 : 0)) change(number);
}

void RequirementClasses::registers(std::uint32_t number, bool comes) {
  RequirementClass& group = *classes_[number];
  CHECK(comes || group.registered_ > 0);
  comes ? ++group.registered_ : --group.registered_;
  if (comes && group.registered_ == 1) ++newly_met_;
}

std::vector<std::uint32_t> RequirementClasses::take_changed() {
  for (const std::uint32_t number : changed_) classes_[number]->changed_ = false;
  return std::exchange(changed_, {});
}

std::vector<std::uint32_t> RequirementClasses::take_new() { return std::exchange(new_, {}); }

bool RequirementClasses::free_unused(std::uint32_t number) {
  const RequirementClass& group = at(number);
  if (group.of_file_ || group.jobs() > 0) return false;
  CHECK(!group.changed_);
  const Requirement requirement = group.requirement();
  numbers_.erase(requirement);
  classes_[number].reset();
  limits_.forget(number);
  const auto shared = shared_times_.find(shared_by(requirement));
  if (shared != shared_times_.end() && shared->second.use_count() == 1) shared_times_.erase(shared);
  free_.push_back(number);
  return true;
}

}  // namespace workpool::dispatcher
