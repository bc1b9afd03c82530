// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/stream_reader.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "common/formats/jobs_shape.h"
#include "common/formats/line_splitter.h"
#include "common/io/leavable_thread.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;  // what a pipe holds
constexpr std::size_t kBatchItems = 256;
constexpr Duration kLeaveMax = milliseconds(200);

}  // namespace

struct StreamReader::Impl {
  Impl(int descriptor, std::optional<JobsFormat> given_format, const JobDefaults& given,
       std::function<void()> woken, const StreamLimits& bounds)
      : fd(descriptor),
        defaults(std::make_shared<const JobDefaults>(given)),
        wake(std::move(woken)),
        limits(bounds),
        shape_known(given_format == JobsFormat::kJsonLines) {
    if (given_format) use(*given_format);
  }

  void use(JobsFormat chosen) {
    format = chosen;
    parser.emplace(chosen, defaults);
  }

  // Takes the line of defaults. If it is wrong, so is every job behind it: nothing more is read.
  void take_defaults(std::string_view text) {
    auto read = read_job_defaults(text);
    if (const auto* error = std::get_if<LineError>(&read)) {
      refused = true;
      problem = "line " + std::to_string(line) + ", column " + std::to_string(error->column) + ": " +
                error->message;
      return;
    }
    JobDefaults all = *defaults;
    all.fill_in(std::get<JobDefaults>(read));
    defaults = std::make_shared<const JobDefaults>(std::move(all));
    use(format);
  }

  void serve() {
    while (!stopping && !refused) {
      if (full()) {
        hand_over(false);
        if (begin_waiting()) wake_up.wait();
      } else if (!take_line()) {
        if (lines.finished()) break;
        hand_over(false);
        read_more();
      }
    }
    if (!shape_known) judge_shape({}, true);
    if (!stopping) hand_over(true);
  }

  // Whether too much is open after everything was handed over. Checked again under the lock, since a release
  // in between did not wake a thread that was not waiting yet.
  bool begin_waiting() {
    const std::lock_guard lock(mutex);
    return waits_for_release = is_full(0, 0);
  }

  bool full() {
    if (!shape_known) return false;
    const std::lock_guard lock(mutex);
    return is_full(pending.size(), pending_bytes);
  }
  // Whether it is full with so much added to what is open. REQUIRES: mutex is held.
  bool is_full(std::uint64_t more_items, std::uint64_t more_bytes) const {
    return open_items + more_items >= limits.jobs || open_bytes + more_bytes >= limits.payload_bytes;
  }

  // Keeps JSON from being run as shell commands. Lines are kept back until it is clear what they are: at most
  // a few lone brackets, which a shell would refuse.
  void judge_shape(std::string_view text, bool last) {
    start.append(text);
    start += '\n';
    const std::size_t place = first_job_place(start, parser ? format : JobsFormat::kLines);
    if (place == start.size()) return start.clear();
    if (!parser) {
      use(guessed_format(start));
      // Not judged by more than its first byte, so that its first job need not wait for a second.
      shape_known = format == JobsFormat::kJsonLines;
      refused = shape_known && start[place] == '[';
      if (refused)
        problem = "line " + std::to_string(line) + ": " + advice_for(JobsShape::kJsonArray, format);
      if (shape_known) return start.clear();
    }
    const JobsShape shape = jobs_shape(start, last, format);
    if (shape == JobsShape::kUndecided) return;
    shape_known = true;
    refused = shape != JobsShape::kAsExpected;
    if (refused) problem = "line " + std::to_string(line) + ": " + advice_for(shape, format);
    start = {};
  }

  // Takes the next whole line that has been read; false if there is none.
  bool take_line() {
    LineSplitter::Line next;
    if (!lines.next(next)) return false;
    add_line(next);
    if (pending.size() >= kBatchItems) hand_over(false);
    return true;
  }

  // Waits for bytes and adds them. The end of the input ends the last line, too.
  void read_more() {
    if (wake_up.wait(fd)) return;  // stopping, or released: there is nothing to read
    const std::span<char> room = lines.room();
    const ssize_t got = read(fd, room.data(), std::min(room.size(), kReadBytes));
    if (got > 0) return lines.add(static_cast<std::size_t>(got));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got < 0) problem = "the jobs cannot be read any further: " + std::generic_category().message(errno);
    lines.finish();
  }

  void add_line(const LineSplitter::Line& next) {
    ++line;
    if (!shape_known) judge_shape(next.text, false);
    if (refused) return pending.clear();
    if (!parser) return;  // nothing but blank lines and comments so far
    auto parsed = next.too_long ? line_too_long() : parser->parse(next.text);
    if (std::holds_alternative<NoJob>(parsed)) return;
    const bool first = std::exchange(nothing_came, false);
    if (auto* error = std::get_if<LineError>(&parsed)) {
      if (first && format == JobsFormat::kJsonLines && !next.too_long && is_defaults_line(next.text))
        return take_defaults(next.text);
      pending.push_back({line, std::move(*error), spec_of_work(next.text)});
    } else if (const auto* job = std::get_if<JobView>(&parsed)) {
      StreamJob made;
      made.requirement = job->requirement.own();
      made.loaded = load_job(*job, *defaults, works);
      made.loaded.facts.number = next_number++;
      made.loaded.facts.line = line;
      pending_bytes += made.loaded.facts.payload_bytes;
      pending.push_back({line, std::move(made), spec_of_work(next.text)});
    }
  }

  void hand_over(bool end) {
    if (!end && (pending.empty() || !shape_known)) return;
    {
      const std::lock_guard lock(mutex);
      open_items += pending.size();
      open_bytes += pending_bytes;
      ready.items.insert(ready.items.end(), std::make_move_iterator(pending.begin()),
                         std::make_move_iterator(pending.end()));
      ready.ended = end;
      ready.problem = problem;
    }
    pending.clear();
    pending_bytes = 0;
    wake.make();
  }

  // The thread's.
  const int fd;
  std::shared_ptr<const JobDefaults> defaults;  // not null
  WakeCall wake;
  const StreamLimits limits;
  JobsFormat format = JobsFormat::kJsonLines;
  std::optional<JobLineParser> parser;  // once the format is known
  SharedBytesPacker works;
  LineSplitter lines{kLineBytesMax, kReadBytes};
  std::uint64_t line = 0;
  JobNumber next_number = 0;
  std::vector<StreamItem> pending;  // read, not handed over
  std::uint64_t pending_bytes = 0;
  std::string problem;  // why nothing more is read
  bool refused =
      false;  // the text is not what its format says, or has no good defaults: nothing more is read
  bool nothing_came = true;  // neither a job nor a bad line
  bool shape_known;          // the text is what its format says, or a problem
  std::string start;         // while it is not: the lines that do not tell

  // Both threads'.
  std::atomic<bool> stopping{false};
  WakeUp wake_up;
  std::mutex mutex;
  StreamBatch ready;  // guarded by mutex, as are the three below
  std::uint64_t open_items = 0;
  std::uint64_t open_bytes = 0;
  bool waits_for_release = false;

  LeavableThread thread;
};

StreamReader::StreamReader(int fd, std::optional<JobsFormat> format, const JobDefaults& defaults,
                           std::function<void()> wake, const StreamLimits& limits)
    : impl_(std::make_shared<Impl>(fd, format, defaults, std::move(wake), limits)) {
  impl_->thread.start([impl = impl_] { impl->serve(); });
}

StreamReader::~StreamReader() {
  impl_->stopping = true;
  impl_->wake_up.raise();
  if (!impl_->thread.ends_within(kLeaveMax)) impl_->wake.cancel();  // it hangs in read(2)
}

StreamBatch StreamReader::take() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->ready, {});
}

void StreamReader::released(std::uint64_t items, std::uint64_t payload_bytes) {
  bool waited_for = false;
  {
    const std::lock_guard lock(impl_->mutex);
    CHECK(items <= impl_->open_items && payload_bytes <= impl_->open_bytes);
    impl_->open_items -= items;
    impl_->open_bytes -= payload_bytes;
    if (impl_->waits_for_release && !impl_->is_full(0, 0)) {
      impl_->waits_for_release = false;
      waited_for = true;
    }
  }
  if (waited_for) impl_->wake_up.raise();
}

}  // namespace workpool::dispatcher
