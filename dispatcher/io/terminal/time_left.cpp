// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/time_left.h"

#include <algorithm>
#include <bit>

namespace workpool::dispatcher {
namespace {

// What jobs cost beyond their own time does not matter from here on. Below, the measured rate says more.
constexpr Duration kLongJob = milliseconds(100);
constexpr std::int64_t kBeyondDivisor = 4;  // a quarter longer than the longest one is not much longer
constexpr std::int64_t kLeastDivisor = 20;
constexpr Duration kForever = std::chrono::hours(24 * 365);

Duration times(Duration each, double count) {
  const double micros = static_cast<double>(each.count()) * count;
  return micros < static_cast<double>(kForever.count()) ? Duration(static_cast<std::int64_t>(micros))
                                                        : kForever;
}

// The time of the workers that a job takes, its retries included. Jobs that run for longer than the usual one
// tell that the next ones will, too, before they end.
Duration cost_of_job(std::uint64_t finished, std::uint64_t runs, const RunningJobs& running,
                     const RunTimes& times_of_attempts) {
  const Duration mean = times_of_attempts.sum() / static_cast<std::int64_t>(times_of_attempts.count());
  const Duration age = running.longest ? (running.longest->ran + running.shortest_ran) / 2 : Duration{0};
  const Duration excess = times(std::max(Duration{0}, age - mean), static_cast<double>(runs));
  return times(times_of_attempts.sum() + excess, 1.0 / static_cast<double>(finished));
}

}  // namespace

std::size_t RunTimes::class_of(Duration ran) {
  const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(ran.count(), 4));
  const auto doublings = static_cast<std::size_t>(std::bit_width(micros)) - 1;  // at least 2
  return doublings * 4 + ((micros >> (doublings - 2)) & 3);
}

// A worker may say anything: what no run takes is cut, so that no sum overflows.
void RunTimes::add(Duration reported) {
  const Duration ran = std::min<Duration>(reported, kForever);
  if (sum_ > Duration::max() - ran) return;
  Class& place = classes_[class_of(ran)];
  ++place.count;
  place.sum += ran;
  ++count_;
  sum_ += ran;
  longest_ = std::max(longest_, ran);
}

std::optional<Duration> RunTimes::left_after(Duration ran) const {
  if (count_ == 0) return std::nullopt;
  const Duration least = ran / kLeastDivisor;
  if (ran >= longest_) {
    if (ran > longest_ + longest_ / kBeyondDivisor) return std::nullopt;
    return std::max(least, ran / kBeyondDivisor);
  }
  Class longer;
  for (std::size_t i = class_of(ran); i < classes_.size(); ++i) {
    // Of its own class only the mean is known.
    if (classes_[i].count == 0 || (i == class_of(ran) && classes_[i].mean() <= ran)) continue;
    longer.count += classes_[i].count;
    longer.sum += classes_[i].sum;
  }
  if (longer.count == 0) return std::max(least, longest_ - ran);
  return std::max(least, longer.mean() - ran);
}

std::optional<Duration> time_left(const Snapshot& snapshot, const RunningJobs& running,
                                  const RunTimes& times_of_attempts, const RateMeter& rate) {
  if (!snapshot.total_known) return std::nullopt;
  const std::uint64_t left = snapshot.total - std::min(snapshot.done(), snapshot.total);
  if (left == 0) return Duration{0};
  const std::uint64_t finished = snapshot.done() - std::min(snapshot.before, snapshot.done());
  const bool moves = std::holds_alternative<Nothing>(snapshot.waiting_for) && snapshot.slots > 0;
  if (finished == 0 || times_of_attempts.count() == 0 || !moves) return std::nullopt;

  const std::uint64_t runs = std::min(snapshot.running, left);
  const std::uint64_t queued = left - runs;
  const Duration cost = cost_of_job(finished, runs, running, times_of_attempts);
  Duration queue{0};
  if (queued > 0 && cost >= kLongJob) {
    // As many at once as now: a job may take several slots, and not every slot may fit.
    const std::uint64_t at_once = runs > 0 ? runs : snapshot.slots;
    const std::uint64_t rounds = (queued + at_once - 1) / at_once;
    queue = times(cost, static_cast<double>(rounds));
  } else if (queued > 0) {
    queue =
        rate.per_second() > 0 ? times(seconds(1), static_cast<double>(left) / rate.per_second()) : kForever;
  }
  Duration end = queue;
  if (running.longest && runs > 0) {
    const auto of_longest = times_of_attempts.left_after(running.longest->ran);
    const auto of_latest = times_of_attempts.left_after(running.shortest_ran);
    // It may well take as long again as it has taken. If the others take longer, that does not matter.
    if (!of_longest && queue < running.longest->ran) return std::nullopt;
    const Duration first = of_longest.value_or(of_latest.value_or(cost));
    end = std::max(queue + (queued > 0 ? std::min(first, cost) : first), of_latest.value_or(Duration{0}));
  }
  if (end >= kForever) return std::nullopt;
  return end;
}

}  // namespace workpool::dispatcher
