// SPDX-License-Identifier: MIT
// What starting a command costs at the least: two threads that start /bin/true with a bare vfork, two pipes
// each, read its output to the end and wait for it. No session, no timeout, no limits, no record. Prints
// commands per second.
//
//   bench_spawn_loop [COMMANDS]
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int kThreads = 2;

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read = ends[0];
    write = ends[1];
  }
};

void read_to_the_end(const Pipe& pipe) {
  char buffer[4096];
  while (::read(pipe.read, buffer, sizeof buffer) > 0) {
  }
  ::close(pipe.read);
}

// Returns whether the command was started and ended with 0.
bool run_true() {
  static char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  const Pipe out;
  const Pipe err;
  const pid_t pid = ::vfork();
  if (pid == 0) {
    ::dup2(out.write, STDOUT_FILENO);
    ::dup2(err.write, STDERR_FILENO);
    ::execv(program, arguments);
    ::_exit(127);
  }
  ::close(out.write);
  ::close(err.write);
  read_to_the_end(out);
  read_to_the_end(err);
  int status = 0;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long commands = argc > 1 ? std::atol(argv[1]) : 5'000;
  std::atomic<long> left{commands};
  std::atomic<bool> failed{false};
  const auto loop = [&] {
    while (left.fetch_sub(1) > 0) {
      if (!run_true()) failed = true;
    }
  };
  const auto start = std::chrono::steady_clock::now();
  std::thread threads[kThreads];
  for (std::thread& thread : threads) thread = std::thread(loop);
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("%.0f\n", static_cast<double>(commands) / elapsed.count());
  return failed ? 1 : 0;
}
