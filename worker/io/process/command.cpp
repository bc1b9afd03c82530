// SPDX-License-Identifier: MIT
#include "worker/io/process/command.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/base/check.h"

namespace workpool::worker {
namespace {

// Reads from one pipe before the others have their turn. A pipe holds 64 KiB, so what a child wrote before it
// died is read in one turn.
constexpr int kReadsMax = 8;

std::string signal_text(int number) {
  std::string text = "killed by signal " + std::to_string(number);
  if (const char* name = ::sigabbrev_np(number)) text += std::string(" (SIG") + name + ')';
  return text;
}

}  // namespace

Command::~Command() {
  for (const Channel channel : {kProcess, kInput, kOutput, kErrors}) close(channel);
}

void Command::watch(int epoll, std::uint64_t tag) {
  epoll_ = epoll;
  for (const Channel channel : {kProcess, kInput, kOutput, kErrors}) {
    if (!channels_[channel].is_open()) continue;
    epoll_event event{};
    event.events = channel == kInput ? EPOLLOUT : EPOLLIN;
    event.data.u64 = tag + channel;
    // Fails only without memory or at max_user_watches. We would then never see the job's end.
    CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, channels_[channel].get(), &event) == 0);
  }
}

// A child that another thread is spawning has copies of all our descriptors until it executes its program.
// Until then close() alone would leave the event in place, and the loop would spin on it.
void Command::close(Channel channel) {
  Descriptor& descriptor = channels_[channel];
  if (descriptor.is_open() && epoll_ >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor.get(), nullptr);
  descriptor.close();
}

void Command::abandon() {
  for (const Channel channel : {kInput, kOutput, kErrors}) close(channel);
  if (channels_[kProcess].is_open()) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, channels_[kProcess].get(), nullptr);
}

void Command::feed() {
  while (channels_[kInput].is_open()) {
    ssize_t written = 0;
    if (fed_ < input_.size()) {
      written = ::write(channels_[kInput].get(), input_.data() + fed_, input_.size() - fed_);
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return;
    if (written > 0) fed_ += static_cast<std::size_t>(written);
    // Anything else is EPIPE: a command may end, or close its stdin, without reading all of it.
    if (written < 0 || fed_ == input_.size()) {
      close(kInput);
      std::string().swap(input_);  // an assignment would keep its memory
      fed_ = 0;
    }
  }
}

void Command::drain(Channel channel, CaptureBuffer& into, std::string& buffer) {
  const Descriptor& pipe = channels_[channel];
  for (int reads = 0; pipe.is_open() && reads < kReadsMax; ++reads) {
    const ssize_t size = ::read(pipe.get(), buffer.data(), buffer.size());
    if (size > 0) {
      into.append({buffer.data(), static_cast<std::size_t>(size)});
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      close(channel);
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

void Command::take_usage(const rusage& used) {
  const auto micros = [](const timeval& time) {
    return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
  };
  processor_time_ = Duration(micros(used.ru_utime) + micros(used.ru_stime));
  // The kernel also counts the memory that the process shared with us before it executed its program, so what
  // is not more than ours may be ours.
  rusage own{};
  if (::getrusage(RUSAGE_SELF, &own) == 0 && used.ru_maxrss > own.ru_maxrss)
    memory_kib_ = static_cast<std::uint64_t>(used.ru_maxrss);
}

bool Command::reap() {
  siginfo_t info{};
  rusage used{};
  if (exited_) return true;
  // The function of the C library does not return the usage.
  if (::syscall(SYS_waitid, P_PIDFD, channels_[kProcess].get(), &info, WEXITED | WNOHANG, &used) != 0) {
    // Cannot happen, since only we wait for this child. Report a kill rather than wait forever.
    if (errno != ECHILD) return false;
    info.si_code = CLD_KILLED;
    info.si_status = SIGKILL;
  } else if (info.si_pid == 0) {
    return false;
  }
  take_usage(used);
  exited_ = true;
  by_signal_ = info.si_code != CLD_EXITED;
  status_ = info.si_status;
  close(kProcess);
  return true;
}

Outcome Command::take_outcome() {
  Outcome outcome;
  CommandEnd& end = outcome.command.emplace();
  if (!exited_) {
    outcome.status = Status::kFailed;
    outcome.kind = ErrorKind::kSignal;
    outcome.message = "it cannot be killed";
  } else if (by_signal_) {
    outcome.status = Status::kFailed;
    outcome.kind = ErrorKind::kSignal;
    end.signal = status_;
    outcome.message = signal_text(status_);
  } else {
    end.exit = status_;
    if (!is_ok()) {
      outcome.status = Status::kFailed;
      outcome.kind = ErrorKind::kExit;
      outcome.message = "exit status " + std::to_string(status_);
    }
  }
  end.processor_time = processor_time_;
  end.memory_kib = memory_kib_;
  end.standard_output = output_.take(end.truncated);
  end.standard_error = error_output_.take(end.truncated);
  return outcome;
}

}  // namespace workpool::worker
