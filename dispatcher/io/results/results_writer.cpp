// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_writer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "common/io/threads.h"
#include "dispatcher/io/results/line_output.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlockBytes = 1 << 20;           // of one write and one sync: about 4,000 lines
constexpr std::size_t kBufferBytesKept = 4 << 20;      // more is given back after a burst of long lines
constexpr std::uint64_t kUnwrittenBytesMax = 8 << 20;  // architecture.md §4, backpressure
constexpr auto kUnwrittenMax = std::chrono::milliseconds(100);
constexpr auto kUnwrittenInSyncMax = std::chrono::seconds(1);
constexpr auto kSpaceRetry = std::chrono::milliseconds(200);
constexpr Duration kStreamWait = milliseconds(50);  // then `blocked` and a stop are looked at again
constexpr Duration kFinishMax = seconds(2);
constexpr Duration kFinishHurried = milliseconds(100);
constexpr auto kLeaveMax = std::chrono::milliseconds(500);

// What a record holds in memory until it is written, roughly.
std::uint64_t cost_bytes(const ResultLine& line) { return 200 + line.id.size() + line.outcome.size_bytes(); }

struct Batch {
  std::vector<ResultLine> lines;
  std::uint64_t bytes = 0;
  Clock::time_point given;
};

}  // namespace

struct ResultsWriter::Impl {
  Impl(int fd, bool regular, Durability durability, std::function<void()> changed, std::string given_path)
      : output(fd, regular),
        path(std::move(given_path)),
        sync_wanted(regular && durability == Durability::kSync),
        changed_callback(std::move(changed)) {}

  // --- The writer's thread alone.
  void run();
  bool collect_block();
  bool take_batch(std::unique_lock<std::mutex>& held);
  void format_some();
  bool write_block();
  std::uint64_t take_written(std::string_view& rest, std::size_t bytes);
  bool sync_written();
  void count_written(std::uint64_t records);
  bool pause_for_space();
  void fail(int error);
  void tell();

  bool is_misplaced();

  LineOutput output;
  const std::string path;  // where it has to stay
  const bool sync_wanted;
  Batch batch;                   // being formatted
  std::size_t batch_next = 0;    // its first line that is not in `block`
  std::string block;             // whole lines
  std::uint64_t block_cost = 0;  // of the records in `block`
  std::uint64_t block_lines = 0;
  WriterState told;  // what the last call of `changed_callback` was about

  // --- Both threads, guarded by `mutex`.
  WriterState judged_state(Clock::time_point now) const;
  std::optional<Clock::time_point> oldest_unwritten() const;

  mutable std::mutex mutex;
  std::condition_variable wake;      // the writer: lines or a stop
  std::condition_variable progress;  // finish() and the destructor
  std::deque<Batch> queue;
  std::uint64_t appended = 0;  // records
  std::uint64_t written = 0;
  std::uint64_t durable = 0;
  std::uint64_t unwritten_bytes = 0;
  std::optional<Clock::time_point>
      batch_given;  // of `batch` and `block`, while something of them is unwritten
  Clock::time_point sync_ended{};
  bool syncing = false;
  bool no_space = false;
  int error = 0;
  bool stop = false;  // leave, at once where the file is blocked
  bool left = false;  // the thread is at its end

  // Apart from `mutex`, since the callback may ask for the state.
  std::mutex callback_mutex;
  std::function<void()> changed_callback;

  std::thread thread;
};

// --- State
// ------------------------------------------------------------------------------------------

std::optional<Clock::time_point> ResultsWriter::Impl::oldest_unwritten() const {
  std::optional<Clock::time_point> oldest = batch_given;
  if (!oldest && !queue.empty()) oldest = queue.front().given;
  // The time that a sync took is not held against the lines that waited for it.
  if (oldest) oldest = std::max(*oldest, sync_ended);
  return oldest;
}

WriterState ResultsWriter::Impl::judged_state(Clock::time_point now) const {
  WriterState judged{durable, no_space, no_space, error};
  if (unwritten_bytes > kUnwrittenBytesMax) judged.blocked = true;
  if (const auto oldest = oldest_unwritten()) {
    const Clock::duration limit =
        syncing ? Clock::duration(kUnwrittenInSyncMax) : Clock::duration(kUnwrittenMax);
    if (now - *oldest > limit) judged.blocked = true;
  }
  return judged;
}

// --- The thread
// -------------------------------------------------------------------------------------

void ResultsWriter::Impl::run() {
  while (collect_block() && write_block() && !is_misplaced() && sync_written()) {
    if (block.capacity() > kBufferBytesKept) block = std::string();
    tell();
  }
  const std::lock_guard<std::mutex> lock(mutex);
  left = true;
  progress.notify_all();
}

// Waits for lines and formats what is there, up to a block. False: leave.
bool ResultsWriter::Impl::collect_block() {
  block.clear();
  block_cost = 0;
  block_lines = 0;
  std::unique_lock<std::mutex> held(mutex);
  while (block.size() < kBlockBytes) {
    if (stop) return false;
    if (batch_next == batch.lines.size() && !take_batch(held)) break;
    held.unlock();
    format_some();
    held.lock();
  }
  return !block.empty();
}

// The next batch, waited for only while the block is empty. False: none, or leave.
bool ResultsWriter::Impl::take_batch(std::unique_lock<std::mutex>& held) {
  // A batch that does not fill the block is written at once: waiting for more would only add latency.
  if (block.empty()) wake.wait(held, [this] { return stop || !queue.empty(); });
  if (queue.empty()) return false;
  batch = std::move(queue.front());
  batch_next = 0;
  queue.pop_front();
  if (!batch_given) batch_given = batch.given;
  return true;
}

void ResultsWriter::Impl::format_some() {
  while (batch_next < batch.lines.size() && block.size() < kBlockBytes) {
    const ResultLine& line = batch.lines[batch_next++];
    append_result_line(block, line);
    block_cost += cost_bytes(line);
    ++block_lines;
  }
}

// Takes what was written off the front of the block's rest; gives how many lines it ended.
std::uint64_t ResultsWriter::Impl::take_written(std::string_view& rest, std::size_t bytes) {
  const std::string_view written_now = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  // Mostly the whole block at once, whose lines have been counted.
  if (rest.empty() && bytes == block.size()) return block_lines;
  return static_cast<std::uint64_t>(std::count(written_now.begin(), written_now.end(), '\n'));
}

// Until the whole block is written. False: leave.
bool ResultsWriter::Impl::write_block() {
  std::string_view rest = block;
  while (!rest.empty()) {
    const LineOutput::Attempt attempt = output.write(rest);
    count_written(take_written(rest, attempt.bytes));
    switch (attempt.ending) {
      case LineOutput::Ending::kDone:
        break;
      case LineOutput::Ending::kNotReady:
        tell();
        output.wait_ready(kStreamWait);
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
  if (batch_next < batch.lines.size()) batch_given = batch.given;
  return true;
}

void ResultsWriter::Impl::count_written(std::uint64_t records) {
  const std::lock_guard<std::mutex> lock(mutex);
  written += records;
  if (!sync_wanted) {
    durable = written;
    progress.notify_all();
  }
}

// What found room is made durable first, so that its workers hear of it while the disk is full.
bool ResultsWriter::Impl::pause_for_space() {
  if (!sync_written()) return false;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    no_space = true;
  }
  tell();
  std::unique_lock<std::mutex> held(mutex);
  return !wake.wait_for(held, kSpaceRetry, [this] { return stop; });
}

// What was written is nowhere that a resume would find: as bad as a failed write.
bool ResultsWriter::Impl::is_misplaced() {
  const int reason = path.empty() ? 0 : output.misplaced(path);
  if (reason != 0) fail(reason);
  return reason != 0;
}

// False: it failed, which is final.
bool ResultsWriter::Impl::sync_written() {
  if (!sync_wanted) return true;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (durable == written) return true;
    syncing = true;
  }
  const int reason = output.sync();
  {
    const std::lock_guard<std::mutex> lock(mutex);
    syncing = false;
    sync_ended = Clock::now();
    if (reason == 0) durable = written;
    progress.notify_all();
  }
  if (reason != 0) fail(reason);
  return reason == 0;
}

void ResultsWriter::Impl::fail(int reason) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    error = reason;
    no_space = false;
    queue.clear();
    progress.notify_all();
  }
  tell();
}

// Calls the callback where the state is another than at its last call.
void ResultsWriter::Impl::tell() {
  WriterState now;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    now = judged_state(Clock::now());
  }
  if (now == told) return;
  told = now;
  const std::lock_guard<std::mutex> lock(callback_mutex);
  if (changed_callback) changed_callback();
}

// --- The caller's side
// ------------------------------------------------------------------------------

ResultsWriter::ResultsWriter(int fd, bool regular, Durability durability, std::function<void()> changed,
                             const std::string& path)
    : finish_limit_(kFinishMax),
      impl_(std::make_shared<Impl>(fd, regular, durability, std::move(changed), path)) {
  impl_->thread = start_thread([impl = impl_] { impl->run(); });
}

ResultsWriter::~ResultsWriter() {
  finish(finish_limit_);
  bool left = false;
  {
    std::unique_lock<std::mutex> held(impl_->mutex);
    impl_->stop = true;
    impl_->wake.notify_all();
    left = impl_->progress.wait_for(held, std::min<Duration>(kLeaveMax, finish_limit_),
                                    [this] { return impl_->left; });
  }
  if (left) {
    impl_->thread.join();
    return;
  }
  // It hangs in write(2) or fdatasync(2); no call would end that.
  {
    const std::lock_guard<std::mutex> lock(impl_->callback_mutex);
    impl_->changed_callback = nullptr;
  }
  impl_->thread.detach();
}

bool ResultsWriter::in_place() const {
  return impl_->path.empty() || impl_->output.misplaced(impl_->path) == 0;
}

void ResultsWriter::give_up() { finish_limit_ = kFinishHurried; }

void ResultsWriter::append(std::vector<ResultLine>&& lines) {
  if (lines.empty()) return;
  Batch batch{std::move(lines), 0, Clock::now()};
  for (const ResultLine& line : batch.lines) batch.bytes += cost_bytes(line);
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->appended += batch.lines.size();
  if (impl_->error != 0) return;
  impl_->unwritten_bytes += batch.bytes;
  impl_->queue.push_back(std::move(batch));
  impl_->wake.notify_one();
}

WriterState ResultsWriter::state() const {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  return impl_->judged_state(Clock::now());
}

bool ResultsWriter::finish(Duration limit) {
  std::unique_lock<std::mutex> held(impl_->mutex);
  const auto done = [this] { return impl_->durable == impl_->appended || impl_->error != 0; };
  impl_->progress.wait_for(held, limit, done);
  return impl_->durable == impl_->appended;
}

}  // namespace workpool::dispatcher
