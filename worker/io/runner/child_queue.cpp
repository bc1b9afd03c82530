// SPDX-License-Identifier: MIT
#include "worker/io/runner/child_queue.h"

#include <algorithm>
#include <iterator>

namespace workpool::worker {

std::uint32_t ChildQueue::find(std::string_view type) const {
  std::uint32_t place = 0;
  while (place < programs_.size() && programs_[place].name != type) ++place;
  return place;
}

// Rather a seat that has a child of the handler already. Returns false if there is no idle one that may take
// its jobs. REQUIRES: mutex_ is held.
bool ChildQueue::wake_one(std::uint32_t handler) {
  if (idle_ == 0) return false;
  Seat* chosen = nullptr;
  for (const auto& seat : seats_) {
    if (!seat->is_idle || seat->children[handler] == Child::kEnds) continue;
    chosen = seat.get();
    if (seat->children[handler] == Child::kTalks) break;
  }
  if (chosen == nullptr) return false;
  set_idle(*chosen, false);
  chosen->wake.raise();
  return true;
}

void ChildQueue::set_idle(Seat& seat, bool idle) {
  if (seat.is_idle == idle) return;
  seat.is_idle = idle;
  idle_ = idle ? idle_ + 1 : idle_ - 1;
}

std::size_t ChildQueue::add(std::vector<ChildJob>& jobs) {
  const std::lock_guard lock(mutex_);
  std::vector<ChildJob> refused;
  std::size_t waiting = 0;
  for (ChildJob& job : jobs) {
    if (states_[job.handler].stopped) {
      refused.push_back(std::move(job));
      continue;
    }
    if (!wake_one(job.handler)) ++waiting;
    jobs_.push_back(std::move(job));
  }
  jobs = std::move(refused);
  return waiting;
}

void ChildQueue::add_seat(const std::shared_ptr<Seat>& seat) {
  const std::lock_guard lock(mutex_);
  seats_.push_back(seat);
}

bool ChildQueue::take(Seat& seat, const std::vector<bool>& ready, ChildJob& job) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(jobs_.begin(), jobs_.end(), [&](const ChildJob& other) { return ready[other.handler]; });
  set_idle(seat, found == jobs_.end());
  if (found == jobs_.end()) return false;
  job = std::move(*found);
  jobs_.erase(found);
  return true;
}

void ChildQueue::take_more(std::uint32_t handler, std::size_t most, std::size_t slots,
                           std::vector<ChildJob>& jobs) {
  const std::lock_guard lock(mutex_);
  if (slots > 1) most = std::min(most, jobs_.size() / (2 * slots));
  std::size_t bytes = 0;
  while (most-- > 0 && !jobs_.empty() && jobs_.front().handler == handler && bytes < kAheadBytes) {
    bytes += jobs_.front().attempt.order.work.size();
    jobs.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
  }
}

void ChildQueue::give_back(Seat& seat, std::vector<ChildJob>& jobs) {
  const std::lock_guard lock(mutex_);
  std::vector<ChildJob> left;
  for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
    const auto is_it = [&](const Kill& kill) { return kill.token == job->attempt.token; };
    if (states_[job->handler].stopped || std::any_of(seat.kills.begin(), seat.kills.end(), is_it)) {
      left.push_back(std::move(*job));
    } else {
      wake_one(job->handler);
      jobs_.push_front(std::move(*job));
    }
  }
  jobs = std::move(left);
}

std::vector<ChildQueue::Kill> ChildQueue::take_kills(Seat& seat) {
  const std::lock_guard lock(mutex_);
  return std::exchange(seat.kills, {});
}

void ChildQueue::note_child(Seat& seat, std::uint32_t handler, Child child) {
  const std::lock_guard lock(mutex_);
  seat.children[handler] = child;
}

bool ChildQueue::kill(Kill kill) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                  [&](const ChildJob& job) { return job.attempt.token == kill.token; });
  if (found != jobs_.end()) {
    jobs_.erase(found);
    return true;
  }
  for (const auto& seat : seats_) {
    if (seat->is_idle) continue;
    seat->kills.push_back(kill);
    seat->wake.raise();
  }
  return false;
}

bool ChildQueue::died(std::uint32_t handler, const Key& key, std::vector<ChildJob>& left) {
  const std::lock_guard lock(mutex_);
  if (states_[handler].stopped || !states_[handler].deaths.died(key)) return false;
  states_[handler].stopped = true;
  const auto others = std::stable_partition(jobs_.begin(), jobs_.end(),
                                            [&](const ChildJob& job) { return job.handler != handler; });
  left.assign(std::make_move_iterator(others), std::make_move_iterator(jobs_.end()));
  jobs_.erase(others, jobs_.end());
  for (const auto& seat : seats_) seat->wake.raise();  // their children of it have nothing to wait for
  return true;
}

void ChildQueue::answered(std::uint32_t handler) {
  const std::lock_guard lock(mutex_);
  states_[handler].deaths.answered();
}

void ChildQueue::close() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  jobs_.clear();
  for (const auto& seat : seats_) seat->wake.raise();
}

bool ChildQueue::is_closing() const {
  const std::lock_guard lock(mutex_);
  return closing_;
}

}  // namespace workpool::worker
