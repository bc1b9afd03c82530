// SPDX-License-Identifier: MIT
#include "worker/io/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include "common/base/exit_code.h"
#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "common/io/log.h"
#include "common/io/threads.h"
#include "worker/core/facts.h"
#include "worker/io/guard.h"
#include "worker/io/process/process_tree.h"

// Exists only if the build measures coverage; without the call _exit() would lose the counts.
extern "C" void gcov_dump() __asm__("__gcov_dump") __attribute__((weak));

namespace workpool::worker {
namespace {

constexpr Duration kLongestPause = seconds(5);
constexpr Duration kHealthyLife = seconds(10);  // after it the next death is a first one again
constexpr Duration kToEndNow = milliseconds(500);
constexpr Duration kKillEverything = milliseconds(500);
// If so many engines in a row could not be made, or died within this time without having met a dispatcher,
// the system lacks what an engine needs (memory, processes). The tries take about 20 s.
constexpr Duration kStillborn = seconds(2);
constexpr int kStillbornMost = 8;
constexpr int kSystemLacks = exit_status(ExitCode::kSystem);
constexpr int kStopped = exit_status(ExitCode::kOk);
constexpr int kDispatcherGone = exit_status(ExitCode::kDispatcherGone);

std::string cause_of(const EngineEnd& end) {
  if (end.was_stopped) return "stopped by SIGSTOP, then killed";
  if (end.code == CLD_EXITED) return "exit status " + std::to_string(end.status) + " not of its own";
  std::string text = "signal " + std::to_string(end.status);
  if (const char* name = ::sigabbrev_np(end.status)) text += std::string(" (SIG") + name + ')';
  return text;
}

// Ends the engine once the supervisor, the only writer of the pipe, is gone.
void follow_supervisor(int control_fd, SharedPage& page) {
  pollfd watched{control_fd, 0, 0};
  while (::poll(&watched, 1, -1) < 0 && errno == EINTR) {
  }
  kill_everything_now(page);
  ::_exit(kDispatcherGone);
}

[[noreturn]] void be_engine(const EngineBirth& birth, const std::string& program,
                            const std::function<int(const EngineBirth&)>& engine_main) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // A stopped engine notices nothing, so the death of its guard wakes it. A CONT at any other time is
  // harmless.
  ::prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  try {
    const int own_fd = ::fcntl(birth.control_fd, F_DUPFD_CLOEXEC, 3);
    if (own_fd < 0) throw std::system_error(errno, std::generic_category(), "dup of the control pipe");
    start_thread([own_fd, &page = *birth.page] { follow_supervisor(own_fd, page); }).detach();
    const int code = engine_main(birth);
    std::fflush(nullptr);
    if (gcov_dump != nullptr) gcov_dump();
    birth.page->announce_exit(code);
    ::_exit(code);  // not exit(): threads of handlers that never returned may still run
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: the engine failed: %s\n", program.c_str(), error.what());
  } catch (...) {
    std::fprintf(stderr, "%s: the engine failed\n", program.c_str());
  }
  std::abort();
}

class Supervisor {
 public:
  Supervisor(const SupervisorOptions& options, const std::function<int(const EngineBirth&)>& engine_main)
      : options_(options),
        engine_main_(engine_main),
        parent_fd_(options.parent_fd),
        pause_(options.first_pause) {}

  int run();

 private:
  void prepare();
  bool start_engine();
  void wait_until(Time until);
  void read_signals();
  void read_parent();
  void reap();
  void tell_engine(char byte);
  void give_up_after(Duration time);
  void kill_engine();
  std::optional<int> bury_engine();
  EngineEnd take_end();
  void count_stillborn(bool stillborn);
  void write_log(LogLevel level, std::string_view event, Fields fields);

  bool is_stopping() const { return stops_ > 0 || parent_gone_; }
  int code_of_stop() const { return parent_gone_ ? kDispatcherGone : kStopped; }

  const SupervisorOptions& options_;
  const std::function<int(const EngineBirth&)>& engine_main_;
  Descriptor signals_;
  Descriptor control_;         // to the engine
  int parent_fd_;              // -1 once its end was seen
  std::uint32_t engine_ = 0;   // number of the last one
  pid_t guard_ = 0;            // of the engine; 0 = none runs
  siginfo_t guard_end_{};      // of the last one
  std::vector<pid_t> others_;  // children that this process had before it became a worker
  Time born_{};
  Duration pause_{0};
  std::uint32_t joins_before_ = 0;  // of the last engine's start
  int stillborn_ = 0;               // in a row
  Time give_up_at_ = kNever;
  bool given_up_ = false;
  std::uint32_t stops_ = 0;
  bool parent_gone_ = false;
};

int Supervisor::run() {
  prepare();
  while (true) {
    if (start_engine()) {
      while (guard_ != 0) {
        wait_until(give_up_at_);
        if (guard_ != 0 && boot_time() >= give_up_at_) kill_engine();
      }
      if (const auto code = bury_engine()) return *code;
    } else {
      count_stillborn(true);
      pause_ = std::min(pause_ * 2, kLongestPause);
    }
    if (stillborn_ >= kStillbornMost) {
      write_log(LogLevel::kError, "engine_cannot_start", {{"tries", stillborn_}, {"exit", kSystemLacks}});
      return kSystemLacks;
    }
    for (const Time until = boot_time() + pause_; !is_stopping() && boot_time() < until;) wait_until(until);
    if (is_stopping()) return code_of_stop();
  }
}

void Supervisor::prepare() {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&blocked, signal);
  if (!options_.ignore_hup) ::sigaddset(&blocked, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  ::signal(SIGCHLD,
           SIG_DFL);  // ignored, as whoever started us may have left it, it would swallow the statuses
  ::signal(SIGPIPE, SIG_IGN);
  if (options_.ignore_hup) ::signal(SIGHUP, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  others_ = children_of_self();
  signals_ = Descriptor(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_open()) throw std::system_error(errno, std::generic_category(), "signalfd");
}

// False if the system has no room for a process now.
bool Supervisor::start_engine() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  Descriptor for_engine(ends[0]);
  control_ = Descriptor(ends[1]);
  std::fflush(nullptr);  // what is buffered would be written twice
  const pid_t pid = ::fork();
  if (pid < 0) {
    write_log(LogLevel::kError, "engine_not_started", {{"reason", std::strerror(errno)}});
    return false;
  }
  ++engine_;
  if (pid == 0) {
    control_.close();
    signals_.close();
    if (options_.parent_fd >= 0) ::close(options_.parent_fd);
    be_guard({engine_, options_.page, for_engine.get()},
             [this](const EngineBirth& birth) { be_engine(birth, options_.program, engine_main_); });
  }
  guard_ = pid;
  born_ = boot_time();
  joins_before_ = options_.page->joins();
  return true;
}

// Returns after each event, or at `until`.
void Supervisor::wait_until(Time until) {
  int wait_ms = -1;
  if (until != kNever) {
    const auto left = std::chrono::ceil<milliseconds>(until - boot_time()).count();
    wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
  }
  pollfd watched[] = {{signals_.get(), POLLIN, 0}, {parent_fd_, POLLIN, 0}};
  if (::poll(watched, 2, wait_ms) <= 0) return;
  if (watched[0].revents != 0) read_signals();
  if (watched[1].revents != 0) read_parent();
}

void Supervisor::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      reap();
      continue;
    }
    ++stops_;
    tell_engine('s');
    give_up_after(stops_ == 1 ? options_.grace + options_.to_end : options_.to_end);
  }
}

void Supervisor::read_parent() {
  char ignored[64];
  const ssize_t size = ::read(parent_fd_, ignored, sizeof ignored);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return;
  parent_fd_ = -1;
  parent_gone_ = true;
  tell_engine('n');
  give_up_after(kToEndNow);
}

// Reaps the guard, and whatever became our child as we are PID 1 or a subreaper.
void Supervisor::reap() {
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    std::erase(others_, info.si_pid);
    if (info.si_pid != guard_) continue;
    guard_end_ = info;
    guard_ = 0;
  }
}

void Supervisor::tell_engine(char byte) {
  // A full pipe already holds more stops than the engine counts (EAGAIN), and a dead engine needs none
  // (EPIPE).
  if (guard_ != 0 && control_.is_open() && ::write(control_.get(), &byte, 1) < 0 && errno != EAGAIN &&
      errno != EPIPE) {
    write_log(LogLevel::kWarn, "stop_not_forwarded", {{"reason", std::strerror(errno)}});
  }
}

void Supervisor::give_up_after(Duration time) { give_up_at_ = std::min(give_up_at_, boot_time() + time); }

// Closes the control pipe; at its end the guard kills the engine.
void Supervisor::kill_engine() {
  write_log(LogLevel::kError, "engine_hangs", {{"engine", engine_}, {"action", "killed"}});
  given_up_ = true;
  give_up_at_ = kNever;
  control_.close();
}

// How the engine ended. If the guard was killed first, the engine and all below it are our children now and
// are killed here, except for the children that this process had before it became a worker.
EngineEnd Supervisor::take_end() {
  if (const auto noted = options_.page->take_engine_end()) return *noted;
  EngineEnd end;
  end.code = guard_end_.si_code;
  end.status = guard_end_.si_status;
  end.left_some = !kill_descendants_of_self(kKillLeftovers, true, others_);
  return end;
}

// What the end of the engine means: the exit code of the worker, or nullopt if another engine has to be
// started.
std::optional<int> Supervisor::bury_engine() {
  control_.close();
  const EngineEnd end = take_end();
  if (end.left_some) write_log(LogLevel::kError, "jobs_survive_kill", {{"engine", engine_}});
  const std::optional<int> announced = options_.page->take_announced_exit();
  const bool by_itself = announced && end.code == CLD_EXITED && end.status == (*announced & 0xff);
  if (given_up_) return code_of_stop();
  if (by_itself && *announced != kExitRestart) return *announced;
  if (by_itself) {
    options_.page->forget_running();
    pause_ = options_.first_pause;
    write_log(LogLevel::kInfo, "engine_restarts", {{"engine", engine_}});
  } else if (end.code == 0) {
    write_log(LogLevel::kError, "engine_not_started", {{"reason", std::strerror(end.status)}});
    count_stillborn(true);
    pause_ = std::min(pause_ * 2, kLongestPause);
  } else {
    const std::string cause = cause_of(end);
    const std::size_t ran = options_.page->running();
    options_.page->record_death(engine_, cause.c_str());
    count_stillborn(options_.page->joins() == joins_before_ && boot_time() - born_ < kStillborn);
    pause_ = boot_time() - born_ >= kHealthyLife || engine_ == 1 ? options_.first_pause
                                                                 : std::min(pause_ * 2, kLongestPause);
    // The dispatcher of a local worker reports it on the same terminal.
    write_log(options_.parent_fd >= 0 ? LogLevel::kInfo : LogLevel::kWarn, "engine_died",
              {{"engine", engine_}, {"cause", cause}, {"running", ran}, {"restart_in", pause_}});
  }
  if (is_stopping()) return code_of_stop();
  return std::nullopt;
}

void Supervisor::count_stillborn(bool stillborn) { stillborn_ = stillborn ? stillborn_ + 1 : 0; }

void Supervisor::write_log(LogLevel level, std::string_view event, Fields fields) {
  if (options_.log != nullptr) options_.log->write(level, event, fields);
}

}  // namespace

int supervise(const SupervisorOptions& options, const std::function<int(const EngineBirth&)>& engine_main) {
  return Supervisor(options, engine_main).run();
}

void kill_everything_now(SharedPage& page) {
  page.close();
  kill_descendants_of_self(kKillEverything, false);
}

}  // namespace workpool::worker
