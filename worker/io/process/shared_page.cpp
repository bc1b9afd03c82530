// SPDX-License-Identifier: MIT
#include "worker/io/process/shared_page.h"

#include <sys/mman.h>
#include <sys/random.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "common/base/check.h"
#include "common/io/clock.h"

namespace workpool::worker {
namespace {

constexpr std::uint32_t kDeathsMax = 64;
constexpr int kNoExit = -1;

enum PlaceState : std::uint32_t { kFree = 0, kClaimed = 1, kRunning = 2 };

std::uint64_t random_nonzero() {
  std::uint64_t value = 0;
  while (value == 0) {
    if (::getrandom(&value, sizeof value, 0) != sizeof value && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
  }
  return value;
}

}  // namespace

// A place goes free -> claimed -> running -> free. The key is written while the place is claimed, so an
// engine that dies in between leaves no half-written key. Its job had not been started.
struct SharedPage::Place {
  std::atomic<std::uint32_t> state;
  Key key;
};

// Only the supervisor writes these, while no engine lives.
struct SharedPage::DeathRecord {
  std::uint32_t engine;
  std::uint32_t ran;  // keys, in the array that belongs to this record
  char cause[56];
};

// Followed by `places` Places, kDeathsMax DeathRecords and kDeathsMax arrays of `places` keys.
struct SharedPage::Layout {
  std::uint32_t free_places;  // for whoever comes; fixed ones follow them
  std::uint32_t places;       // all
  std::uint64_t worker;
  std::atomic<bool> closed;
  std::atomic<int> announced_exit;
  std::atomic<bool> end_noted;
  EngineEnd end;         // the guard's until end_noted, then the supervisor's
  std::uint32_t deaths;  // recorded ever; the last kDeathsMax are kept, number n in record n % kDeathsMax
  std::atomic<std::uint32_t> acked;  // highest engine whose death needs nothing more
  std::atomic<std::uint64_t> run;
  std::atomic<std::uint32_t> joins;
  std::atomic<std::int64_t> worker_timeout_us;
  Time made_at;
  std::atomic<bool> heard_dispatcher;
  std::atomic<bool> ran_job;
  std::atomic<std::int64_t> lacking_since_us;  // CLOCK_BOOTTIME; 0 = never
  std::atomic<std::uint64_t> jobs_ran;
  std::atomic<std::uint64_t> jobs_not_ok;
};

SharedPage::SharedPage(std::uint32_t free_places, std::uint32_t fixed) {
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
  CHECK(free_places > 0);
  const std::uint32_t places = free_places + fixed;
  bytes_ = sizeof(Layout) + places * sizeof(Place) +
           kDeathsMax * (sizeof(DeathRecord) + std::size_t{places} * sizeof(Key));
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap of the shared page");
  layout_ = new (memory) Layout{};  // the rest is zero: free places
  layout_->free_places = free_places;
  layout_->places = places;
  layout_->worker = random_nonzero();
  layout_->announced_exit = kNoExit;
  layout_->made_at = boot_time();
  note_worker_timeout(seconds(10));
}

SharedPage::~SharedPage() { ::munmap(layout_, bytes_); }

SharedPage::Place& SharedPage::place(std::uint32_t number) const {
  return reinterpret_cast<Place*>(layout_ + 1)[number];
}

SharedPage::DeathRecord& SharedPage::death(std::uint32_t number) const {
  return reinterpret_cast<DeathRecord*>(&place(layout_->places))[number % kDeathsMax];
}

Key* SharedPage::keys_of_death(std::uint32_t number) const {
  return reinterpret_cast<Key*>(&death(0) + kDeathsMax) + std::size_t{number % kDeathsMax} * layout_->places;
}

std::uint32_t SharedPage::started(const Key& key, std::uint32_t hint) {
  const std::uint32_t places = layout_->free_places;
  // Another thread may free a place behind the search and take one before it, hence more than one round.
  for (std::uint64_t tried = 0; tried < std::uint64_t{places} * 16 + 16; ++tried) {
    const auto number = static_cast<std::uint32_t>((hint + tried) % places);
    std::uint32_t expected = kFree;
    if (place(number).state.compare_exchange_strong(expected, kClaimed, std::memory_order_acquire)) {
      place(number).key = key;
      place(number).state.store(kRunning, std::memory_order_release);
      return number;
    }
  }
  CHECK(!"more jobs run than there are slots");
  return 0;
}

std::uint32_t SharedPage::started_at_fixed(std::uint32_t number, const Key& key) {
  const std::uint32_t at = layout_->free_places + number;
  CHECK(at < layout_->places);
  place(at).state.store(kClaimed, std::memory_order_relaxed);
  place(at).key = key;
  place(at).state.store(kRunning, std::memory_order_release);
  return at;
}

void SharedPage::ended(std::uint32_t number) { place(number).state.store(kFree, std::memory_order_release); }

std::size_t SharedPage::running() const {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < layout_->places; ++i) count += place(i).state == kRunning ? 1 : 0;
  return count;
}

void SharedPage::note_worker_timeout(Duration timeout) {
  layout_->worker_timeout_us = std::chrono::duration_cast<microseconds>(timeout).count();
}
Duration SharedPage::worker_timeout() const { return microseconds(layout_->worker_timeout_us.load()); }

void SharedPage::close() { layout_->closed = true; }
bool SharedPage::is_closed() const { return layout_->closed; }

void SharedPage::announce_exit(int code) { layout_->announced_exit = code; }

std::optional<int> SharedPage::take_announced_exit() {
  layout_->closed = false;
  const int code = layout_->announced_exit.exchange(kNoExit);
  if (code == kNoExit) return std::nullopt;
  return code;
}

void SharedPage::note_engine_end(const EngineEnd& end) {
  layout_->end = end;
  layout_->end_noted = true;
}

std::optional<EngineEnd> SharedPage::take_engine_end() {
  if (!layout_->end_noted.exchange(false)) return std::nullopt;
  return layout_->end;
}

void SharedPage::record_death(std::uint32_t engine, const char* cause) {
  const std::uint32_t number = layout_->deaths;
  DeathRecord& record = death(number);
  record = {};
  record.engine = engine;
  std::strncpy(record.cause, cause, sizeof record.cause - 1);
  for (std::uint32_t i = 0; i < layout_->places; ++i) {
    if (place(i).state == kRunning) keys_of_death(number)[record.ran++] = place(i).key;
  }
  ++layout_->deaths;
  forget_running();
}

void SharedPage::forget_running() {
  for (std::uint32_t i = 0; i < layout_->places; ++i) place(i).state = kFree;
}

std::vector<Death> SharedPage::deaths() const {
  std::vector<Death> result;
  const std::uint32_t end = layout_->deaths;
  for (std::uint32_t number = end > kDeathsMax ? end - kDeathsMax : 0; number < end; ++number) {
    const DeathRecord& record = death(number);
    if (record.engine <= layout_->acked) continue;
    const Key* keys = keys_of_death(number);
    result.push_back({record.engine, record.cause, std::vector<Key>(keys, keys + record.ran)});
  }
  return result;
}

void SharedPage::deaths_acked(std::uint32_t up_to_engine) {
  std::uint32_t acked = layout_->acked;
  while (acked < up_to_engine && !layout_->acked.compare_exchange_weak(acked, up_to_engine)) {
  }
}

void SharedPage::note_run(RunId run) {
  layout_->run = run.value;
  ++layout_->joins;
}
std::uint32_t SharedPage::joins() const { return layout_->joins; }
RunId SharedPage::last_run() const { return {layout_->run}; }

void SharedPage::note_ran(std::uint64_t jobs, std::uint64_t not_ok) {
  layout_->jobs_ran += jobs;
  layout_->jobs_not_ok += not_ok;
}
Work SharedPage::work() const { return {layout_->jobs_ran, layout_->jobs_not_ok}; }

Time SharedPage::made_at() const { return layout_->made_at; }

void SharedPage::note_step(FirstStep step) {
  (step == FirstStep::kRanJob ? layout_->ran_job : layout_->heard_dispatcher) = true;
}
bool SharedPage::has_made(FirstStep step) const {
  return step == FirstStep::kRanJob ? layout_->ran_job : layout_->heard_dispatcher;
}

void SharedPage::note_lack(Time now) {
  std::int64_t never = 0;
  layout_->lacking_since_us.compare_exchange_strong(
      never, std::chrono::duration_cast<microseconds>(now.time_since_epoch()).count());
}
std::optional<Time> SharedPage::lacking_since() const {
  const std::int64_t since = layout_->lacking_since_us;
  if (since == 0) return std::nullopt;
  return Time{} + microseconds(since);
}

WorkerId SharedPage::worker() const { return {layout_->worker}; }

}  // namespace workpool::worker
