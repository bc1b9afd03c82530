// SPDX-License-Identifier: MIT
#include "dispatcher/io/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace workpool::dispatcher {

bool stops(int signal_number) {
  return signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP;
}

std::string ignored_text(int signal_number) {
  return std::string(signal_number == SIGQUIT ? "SIGQUIT" : "SIGUSR2") +
         " is ignored: SIGINT (Ctrl-C) or SIGTERM stops the run, SIGUSR1 shows its status";
}

StopKind stop_kind_of(int signal_number) {
  return signal_number == SIGINT    ? StopKind::kInterrupt
         : signal_number == SIGTERM ? StopKind::kTerminate
                                    : StopKind::kHangup;
}

ExitCode stopped_by(int signal_number) { return exit_code_of(Stopped{stop_kind_of(signal_number)}); }

namespace {

bool hangup_counts() {
  struct sigaction before {};
  return ::sigaction(SIGHUP, nullptr, &before) != 0 || before.sa_handler != SIG_IGN;
}

void stop_at_once(int number) { ::_exit(exit_status(stopped_by(number))); }
// Unlike SIG_IGN this is not inherited by the programs that we start.
void ignore(int) {}

}  // namespace

void let_signals_end_it() {
  struct sigaction action {};
  action.sa_handler = stop_at_once;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  if (hangup_counts()) ::sigaction(SIGHUP, &action, nullptr);
  action.sa_handler = ignore;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGUSR1, SIGUSR2, SIGQUIT}) ::sigaction(number, &action, nullptr);
}

int block_signals() {
  const bool hangup = hangup_counts();
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGQUIT}) sigaddset(&set, number);
  if (hangup) sigaddset(&set, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  return fd;
}

void end_by_closed_pipe() {
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t pipe_only;
  ::sigemptyset(&pipe_only);
  ::sigaddset(&pipe_only, SIGPIPE);
  ::sigprocmask(SIG_UNBLOCK, &pipe_only, nullptr);
  ::raise(SIGPIPE);
}

}  // namespace workpool::dispatcher
