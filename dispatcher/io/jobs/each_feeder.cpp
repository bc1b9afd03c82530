// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/each_feeder.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/io/descriptor.h"
#include "common/io/leavable_thread.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kWriteBytes = 64 * 1024;
constexpr int kPipeBytes = 1 << 20;  // fewer turns of two threads; a smaller pipe works as well
constexpr Duration kLeaveMax = milliseconds(200);

}  // namespace

struct EachFeeder::Impl {
  explicit Impl(EachJobs&& made) : total(made.total()), jobs(std::move(made)) {}

  void serve() {
    std::string lines;
    const BeforeWait before_wait = [&](int fd) {
      if (!write_all(lines)) return false;
      while (!stopping && wake_up.wait(fd) && !stopping) {
      }
      return !stopping;
    };
    while (!stopping && jobs.next(lines, before_wait)) {
      if (lines.size() >= kWriteBytes && !write_all(lines)) break;
    }
    write_all(lines);
    {
      const std::lock_guard lock(mutex);
      problem = jobs.problem();
    }
    writing.close();
  }

  // Returns false if nobody reads, or the thread is to leave.
  bool write_all(std::string& lines) {
    std::string_view rest = lines;
    while (!rest.empty() && !stopping) {
      const ssize_t written = ::write(writing.get(), rest.data(), rest.size());
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (written < 0 && errno == EAGAIN) {
        wake_up.wait(writing.get(), true);
      } else if (written < 0 && errno != EINTR) {
        break;
      }
    }
    const bool all = rest.empty();
    lines.clear();
    return all && !stopping;
  }

  const std::optional<std::uint64_t> total;
  EachJobs jobs;  // the thread's
  Descriptor reading;
  Descriptor writing;  // the thread's
  std::atomic<bool> stopping{false};
  WakeUp wake_up;
  std::mutex mutex;
  std::string problem;  // guarded by mutex
  LeavableThread thread;
};

EachFeeder::EachFeeder(EachJobs jobs) : impl_(std::make_shared<Impl>(std::move(jobs))) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  impl_->reading = Descriptor(ends[0]);
  impl_->writing = Descriptor(ends[1]);
  ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  impl_->thread.start([impl = impl_] { impl->serve(); });
}

EachFeeder::~EachFeeder() {
  impl_->stopping = true;
  impl_->wake_up.raise();
  impl_->thread.ends_within(kLeaveMax);
}

JobsInput EachFeeder::take_input() {
  const int fd = ::fcntl(impl_->reading.get(), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "pipe");
  impl_->reading.close();
  return JobsInput::of_pipe(fd, "each");
}

std::optional<std::uint64_t> EachFeeder::total() const { return impl_->total; }

std::string EachFeeder::problem() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->problem;
}

}  // namespace workpool::dispatcher
