// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/journal_writer.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "common/formats/results_file.h"
#include "common/io/leavable_thread.h"
#include "dispatcher/io/results/line_output.h"
#include "dispatcher/io/results/state_file.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlockBytes = 1 << 20;           // of one write and one sync: about 4,000 lines
constexpr std::size_t kBufferBytesKept = 4 << 20;      // more is freed after a burst of long lines
constexpr std::uint64_t kUnwrittenBytesMax = 8 << 20;  // above this no new work is given out
constexpr auto kUnwrittenMax = std::chrono::milliseconds(100);
constexpr auto kUnwrittenInSyncMax = std::chrono::seconds(1);
// Results that trickle in share a sync; the first after a pause is synced at once. So is a name, since the
// first jobs of its worker wait for it, and that does not delay the next results. (One sync for each short
// command was a tenth of its cost.)
constexpr auto kSyncsApart = std::chrono::milliseconds(4);
constexpr auto kSpaceRetry = std::chrono::milliseconds(200);
constexpr Duration kStreamWait = milliseconds(50);  // then `blocked` and a stop are looked at again
constexpr Duration kFinishMax = seconds(2);
constexpr Duration kFinishHurried = milliseconds(100);
constexpr Duration kLeaveMax = milliseconds(500);

// Roughly how many bytes of memory an entry takes until it is written.
std::uint64_t cost_bytes(const JournalEntry& entry) {
  if (const auto* record = std::get_if<Record>(&entry))
    return 200 + record->facts.id.size() + record->outcome.size_bytes();
  return 200 + std::get<GrantedName>(entry).name.size();
}

struct Batch {
  std::vector<JournalEntry> entries;
  std::uint64_t bytes = 0;
  bool has_name = false;
  Clock::time_point given;
  std::int64_t given_ms = 0;  // the same as Unix time
};

std::int64_t unix_milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

struct JournalWriter::Impl {
  Impl(const JournalFiles& files, Durability durability, std::function<void()> changed)
      : results(files.results, files.regular),
        path(files.path),
        run_id(files.run),
        sync_wanted(files.regular && durability == Durability::kSync),
        output(files.output),
        changed_call(std::move(changed)) {
    if (files.state >= 0) state.emplace(files.state, true);
  }

  // --- The writer's thread alone.
  void run();
  bool collect_block();
  bool take_batch(std::unique_lock<std::mutex>& held);
  void format_some();
  ResultLine line_of(const Record& record) const;
  LineOutput* target_of(const JournalEntry& entry);
  bool write_block();
  std::uint64_t take_written(std::string_view& rest, std::size_t bytes);
  bool sync_written();
  void count_written(std::uint64_t entries);
  bool pause_for_space();
  void fail(int error);
  void tell();

  bool print();
  bool print_rest();

  bool is_misplaced();

  LineOutput results;
  std::optional<LineOutput> state;
  const std::string path;  // where RESULTS has to stay
  const RunId run_id;
  const bool sync_wanted;
  const std::shared_ptr<JobOutput> output;
  Batch batch;                   // being formatted
  Timestamp batch_finished{0};   // when it was given, which is when its jobs have finished
  std::size_t batch_next = 0;    // its first entry that is not in `block`
  std::string block;             // whole lines for one of the files, so that entries are written in order
  LineOutput* target = nullptr;  // that file; nullptr for names that are kept nowhere
  std::uint64_t block_cost = 0;  // of the entries in `block`
  std::uint64_t block_entries = 0;
  JournalState told;  // what the last `changed_call` was about

  // --- Both threads, guarded by `mutex`.
  JournalState judged_state(Clock::time_point now) const;
  std::optional<Clock::time_point> oldest_unwritten() const;

  mutable std::mutex mutex;
  std::condition_variable wake;      // the writer: lines or a stop
  std::condition_variable progress;  // finish()
  std::deque<Batch> queue;
  std::uint64_t appended = 0;  // entries
  std::uint64_t written = 0;
  std::uint64_t durable = 0;
  std::uint64_t unwritten_bytes = 0;
  std::size_t names_queued = 0;  // batches of `queue` that have one
  // When `batch` and `block` were given, while something of them is unwritten.
  std::optional<Clock::time_point> batch_given;
  Clock::time_point sync_ended{};
  Clock::time_point results_synced{};  // the same, of results
  bool syncing = false;
  bool no_space = false;
  int error = 0;
  bool finishing = false;  // somebody waits for everything
  bool rest_printed = false;
  bool stop = false;  // leave, at once if the file is blocked

  WakeCall changed_call;  // not under `mutex`, since it may ask for the state
  LeavableThread thread;
};

// ---- state ----

std::optional<Clock::time_point> JournalWriter::Impl::oldest_unwritten() const {
  std::optional<Clock::time_point> oldest = batch_given;
  if (!oldest && !queue.empty()) oldest = queue.front().given;
  // The age of lines that waited for a sync counts from its end.
  if (oldest) oldest = std::max(*oldest, sync_ended);
  return oldest;
}

JournalState JournalWriter::Impl::judged_state(Clock::time_point now) const {
  JournalState judged{durable, no_space, no_space, error};
  if (unwritten_bytes > kUnwrittenBytesMax) judged.blocked = true;
  if (const auto oldest = oldest_unwritten()) {
    const Clock::duration limit =
        syncing ? Clock::duration(kUnwrittenInSyncMax) : Clock::duration(kUnwrittenMax);
    if (now - *oldest > limit) judged.blocked = true;
  }
  return judged;
}

// ---- the thread ----

void JournalWriter::Impl::run() {
  while (collect_block()) {
    if (block_entries == 0) {
      if (!print_rest()) return;
      continue;
    }
    if (!write_block() || is_misplaced() || !sync_written() || !print()) return;
    if (block.capacity() > kBufferBytesKept) std::string().swap(block);  // an assignment would keep it
    tell();
  }
}

// Writes what the jobs of the block have printed. Returns false if the thread is to leave.
bool JournalWriter::Impl::print() {
  if (output == nullptr) return true;
  for (LineOutput::Attempt attempt = output->write(); attempt.ending != LineOutput::Ending::kDone;
       attempt = output->write()) {
    if (attempt.ending != LineOutput::Ending::kNotReady) {
      fail(attempt.error);
      return false;
    }
    tell();
    output->wait_ready(kStreamWait);
    if (const std::lock_guard<std::mutex> lock(mutex); stop) return false;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  durable = written;
  progress.notify_all();
  return true;
}

// Nothing more comes: writes what was held back for its order.
bool JournalWriter::Impl::print_rest() {
  output->expect_nothing();
  if (!print()) return false;
  const std::lock_guard<std::mutex> lock(mutex);
  rest_printed = true;
  progress.notify_all();
  return true;
}

// Waits for entries and formats what is there, up to a block, which stays empty if somebody waits for all of
// it and nothing is left. Returns false if the thread is to leave.
bool JournalWriter::Impl::collect_block() {
  block.clear();
  block_cost = 0;
  block_entries = 0;
  target = nullptr;
  std::unique_lock<std::mutex> held(mutex);
  while (block.size() < kBlockBytes) {
    if (stop) return false;
    if (batch_next == batch.entries.size() && !take_batch(held)) break;
    if (block_entries > 0 && target != target_of(batch.entries[batch_next])) break;
    held.unlock();
    format_some();
    held.lock();
  }
  return block_entries > 0 || !stop;
}

// Takes the next batch; waits for one only while the block is empty. Returns false if there is none, or if
// the thread is to leave.
bool JournalWriter::Impl::take_batch(std::unique_lock<std::mutex>& held) {
  // A batch that does not fill the block is written at once: waiting for more would only add latency.
  if (block_entries == 0) {
    wake.wait(held, [this] {
      const bool has_rest = finishing && output != nullptr && !rest_printed;
      return stop || !queue.empty() || has_rest;
    });
    const auto is_due = [this] {
      return stop || finishing || names_queued > 0 || unwritten_bytes >= kBlockBytes;
    };
    if (sync_wanted && !queue.empty()) wake.wait_until(held, results_synced + kSyncsApart, is_due);
  }
  if (queue.empty()) return false;
  batch = std::move(queue.front());
  batch_finished = Timestamp(batch.given_ms);
  batch_next = 0;
  queue.pop_front();
  if (batch.has_name) --names_queued;
  if (!batch_given) batch_given = batch.given;
  return true;
}

void JournalWriter::Impl::format_some() {
  if (block_entries == 0) target = target_of(batch.entries[batch_next]);
  while (batch_next < batch.entries.size() && block.size() < kBlockBytes) {
    const JournalEntry& entry = batch.entries[batch_next];
    if (target_of(entry) != target) return;
    if (const auto* record = std::get_if<Record>(&entry)) {
      append_result_line(block, line_of(*record));
      if (output != nullptr) output->add(*record);
    } else if (target != nullptr) {
      append_name_line(block, std::get<GrantedName>(entry));
    }
    block_cost += cost_bytes(entry);
    ++block_entries;
    ++batch_next;
  }
}

ResultLine JournalWriter::Impl::line_of(const Record& record) const {
  const JobFacts& facts = record.facts;
  return {facts.id,       facts.repeat,
          facts.line,     record.attempt,
          record.outcome, record.worker,
          record.queued,  record.ran,
          batch_finished, run_id,
          facts.spec,     facts.notes ? std::string_view(facts.notes->members) : std::string_view()};
}

LineOutput* JournalWriter::Impl::target_of(const JournalEntry& entry) {
  if (std::holds_alternative<Record>(entry)) return &results;
  return state ? &*state : nullptr;
}

// Takes the written bytes off the front of the block's rest; returns how many lines ended in them.
std::uint64_t JournalWriter::Impl::take_written(std::string_view& rest, std::size_t bytes) {
  const std::string_view written_now = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  // Mostly it is the whole block at once, whose lines have been counted.
  if (rest.empty() && bytes == block.size()) return block_entries;
  return static_cast<std::uint64_t>(std::count(written_now.begin(), written_now.end(), '\n'));
}

// Writes the whole block. Returns false if the thread is to leave.
bool JournalWriter::Impl::write_block() {
  if (target == nullptr) count_written(block_entries);
  std::string_view rest = block;
  while (!rest.empty()) {
    const LineOutput::Attempt attempt = target->write(rest);
    count_written(take_written(rest, attempt.bytes));
    switch (attempt.ending) {
      case LineOutput::Ending::kDone:
        break;
      case LineOutput::Ending::kNotReady:
        tell();
        target->wait_ready(kStreamWait);
        if (const std::lock_guard<std::mutex> lock(mutex); stop) return false;
        break;
      case LineOutput::Ending::kNoSpace:
        if (!pause_for_space()) return false;
        break;
      case LineOutput::Ending::kError:
        fail(attempt.error);
        return false;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex);
  no_space = false;
  unwritten_bytes -= block_cost;
  batch_given.reset();
  if (batch_next < batch.entries.size()) batch_given = batch.given;
  return true;
}

void JournalWriter::Impl::count_written(std::uint64_t entries) {
  const std::lock_guard<std::mutex> lock(mutex);
  written += entries;
  if (!sync_wanted && output == nullptr) {
    durable = written;
    progress.notify_all();
  }
}

// Makes durable what found room, so that its workers are acknowledged while the disk is full, then waits a
// while. Returns false if the thread is to leave.
bool JournalWriter::Impl::pause_for_space() {
  if (!sync_written()) return false;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    no_space = true;
  }
  tell();
  std::unique_lock<std::mutex> held(mutex);
  return !wake.wait_for(held, kSpaceRetry, [this] { return stop; });
}

// If a resume would not find what was written, that is as bad as a failed write.
bool JournalWriter::Impl::is_misplaced() {
  const int reason = path.empty() ? 0 : results.misplaced(path);
  if (reason != 0) fail(reason);
  return reason != 0;
}

// Returns false if the sync failed, which is final.
bool JournalWriter::Impl::sync_written() {
  if (!sync_wanted) return true;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (durable == written) return true;
    syncing = true;
  }
  const int reason = target->sync();
  {
    const std::lock_guard<std::mutex> lock(mutex);
    syncing = false;
    sync_ended = Clock::now();
    if (target == &results) results_synced = sync_ended;
    if (reason == 0 && output == nullptr) durable = written;
    progress.notify_all();
  }
  if (reason != 0) fail(reason);
  return reason == 0;
}

void JournalWriter::Impl::fail(int reason) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    error = reason;
    no_space = false;
    queue.clear();
    names_queued = 0;
    progress.notify_all();
  }
  tell();
}

// Calls the callback if the state has changed since its last call.
void JournalWriter::Impl::tell() {
  JournalState now;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    now = judged_state(Clock::now());
  }
  if (now == told) return;
  told = now;
  changed_call.make();
}

// ---- the caller's side ----

JournalWriter::JournalWriter(const JournalFiles& files, Durability durability, std::function<void()> changed)
    : finish_limit_(kFinishMax), impl_(std::make_shared<Impl>(files, durability, std::move(changed))) {
  impl_->thread.start([impl = impl_] { impl->run(); });
}

JournalWriter::~JournalWriter() {
  finish(finish_limit_);
  {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    impl_->stop = true;
    impl_->wake.notify_all();
  }
  // It may hang in write(2) or fdatasync(2), and no call would end that.
  if (!impl_->thread.ends_within(std::min(kLeaveMax, finish_limit_))) impl_->changed_call.cancel();
}

bool JournalWriter::in_place() const {
  return impl_->path.empty() || impl_->results.misplaced(impl_->path) == 0;
}

void JournalWriter::give_up() { finish_limit_ = kFinishHurried; }

void JournalWriter::append(std::vector<JournalEntry>&& entries) {
  std::vector<std::vector<JournalEntry>> parts;
  parts.push_back(std::move(entries));
  append_all(std::move(parts));
}

void JournalWriter::append_all(std::vector<std::vector<JournalEntry>>&& parts) {
  const Clock::time_point now = Clock::now();
  const std::int64_t now_ms = unix_milliseconds();
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (std::vector<JournalEntry>& entries : parts) {
    if (entries.empty()) continue;
    impl_->appended += entries.size();
    if (impl_->error != 0) continue;
    Batch batch{std::move(entries), 0, false, now, now_ms};
    for (const JournalEntry& entry : batch.entries) {
      batch.bytes += cost_bytes(entry);
      batch.has_name = batch.has_name || std::holds_alternative<GrantedName>(entry);
    }
    impl_->unwritten_bytes += batch.bytes;
    if (batch.has_name) ++impl_->names_queued;
    impl_->queue.push_back(std::move(batch));
  }
  impl_->wake.notify_one();
}

JournalState JournalWriter::state() const {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  return impl_->judged_state(Clock::now());
}

bool JournalWriter::finish(Duration limit) {
  std::unique_lock<std::mutex> held(impl_->mutex);
  impl_->finishing = true;
  impl_->wake.notify_one();
  const auto all = [this] {
    const bool printed = impl_->output == nullptr || impl_->rest_printed;
    return impl_->durable == impl_->appended && printed;
  };
  impl_->progress.wait_for(held, limit, [&] { return all() || impl_->error != 0; });
  impl_->finishing = false;
  return all();
}

}  // namespace workpool::dispatcher
