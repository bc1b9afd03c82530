// SPDX-License-Identifier: MIT
// When the writer syncs. Both files are in memory, so a sync takes no time of its own.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/io/descriptor.h"
#include "dispatcher/io/results/journal_writer.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kApart{4};  // kSyncsApart of the writer
constexpr std::chrono::seconds kGenerous{20};

class JournalSyncs : public ::testing::Test {
 protected:
  JournalSyncs()
      : results_(memfd_create("results", MFD_CLOEXEC)),
        names_(memfd_create("names", MFD_CLOEXEC)),
        writer_({results_.get(), true, {}, names_.get()}, Durability::kSync, [this] { note(); }) {}

  // Each returns its number.
  std::uint64_t append_result() {
    Record result;
    result.facts.id = "job";
    result.facts.line = 1;
    result.attempt = 1;
    result.worker = "w1";
    return append(std::move(result));
  }
  std::uint64_t append_name() {
    return append(GrantedName{{appended_ + 1}, "w" + std::to_string(appended_)});
  }

  // Waits for the sync that made this entry durable, and returns when it was over.
  Clock::time_point synced(std::uint64_t entry) {
    std::unique_lock<std::mutex> held(mutex_);
    const auto is_durable = [&] { return !syncs_.empty() && syncs_.back().durable >= entry; };
    EXPECT_TRUE(more_.wait_for(held, kGenerous, is_durable));
    return std::find_if(syncs_.begin(), syncs_.end(), [&](const Sync& sync) { return sync.durable >= entry; })
        ->ended;
  }
  std::size_t syncs() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return syncs_.size();
  }

 private:
  struct Sync {
    Clock::time_point ended;
    std::uint64_t durable = 0;
  };

  std::uint64_t append(JournalEntry&& entry) {
    std::vector<JournalEntry> entries;
    entries.push_back(std::move(entry));
    writer_.append(std::move(entries));
    return ++appended_;
  }
  // Called by the writer's thread.
  void note() {
    const Clock::time_point now = Clock::now();
    const std::uint64_t durable = writer_.state().durable;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!syncs_.empty() && syncs_.back().durable == durable) return;  // something else has changed
    syncs_.push_back({now, durable});
    more_.notify_all();
  }

  const Descriptor results_;
  const Descriptor names_;
  std::uint64_t appended_ = 0;
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<Sync> syncs_;
  JournalWriter writer_;
};

TEST_F(JournalSyncs, ResultsThatTrickleInShareASync) {
  const Clock::time_point start = Clock::now();
  std::uint64_t last = 0;
  for (int i = 0; i < 300; ++i) {
    last = append_result();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  synced(last);
  // However long that took: one at the start, then one each time that the distance has passed.
  const auto most = static_cast<std::size_t>((Clock::now() - start) / kApart) + 1;
  EXPECT_LE(syncs(), most);
}

// Whatever else the machine does may hold up one try; the distance between two syncs would hold up each.
constexpr int kTries = 100;

TEST_F(JournalSyncs, ANameDoesNotPutOffTheNextResult) {
  Clock::duration shortest = kGenerous;
  for (int i = 0; i < kTries && shortest > kApart / 2; ++i) {
    std::this_thread::sleep_for(kApart + std::chrono::milliseconds(1));  // the last result is long ago
    const Clock::time_point name = synced(append_name());
    shortest = std::min(shortest, synced(append_result()) - name);
  }
  EXPECT_LE(shortest, kApart / 2);
}

TEST_F(JournalSyncs, ANameIsNotPutOffByAResult) {
  Clock::duration shortest = kGenerous;
  for (int i = 0; i < kTries && shortest > kApart / 2; ++i) {
    const Clock::time_point result = synced(append_result());
    shortest = std::min(shortest, synced(append_name()) - result);
  }
  EXPECT_LE(shortest, kApart / 2);
}

// Entries are written in order, so the results before the name come with it.
TEST_F(JournalSyncs, ANameDoesNotWaitBehindAResult) {
  Clock::duration shortest = kGenerous;
  for (int i = 0; i < kTries && shortest > kApart / 2; ++i) {
    const Clock::time_point before = synced(append_result());
    append_result();
    shortest = std::min(shortest, synced(append_name()) - before);
  }
  EXPECT_LE(shortest, kApart / 2);
}

}  // namespace
}  // namespace workpool::dispatcher
