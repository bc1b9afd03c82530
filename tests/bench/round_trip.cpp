// SPDX-License-Identifier: MIT
// How long one job takes when one is sent at a time: a line into a program's stdin, a line out of its stdout.
//
//   bench_round_trip JOBS PROGRAM [ARGUMENT...]   prints the median and the 99th percentile in microseconds
//   bench_round_trip hops                         the least that it can take: a program to be measured so
//
// `hops` has the threads and hand-overs of `run - -o -` with a local worker, and nothing in them: reader,
// loop, ZeroMQ's thread, over TCP to another process with ZeroMQ's thread, loop and pool thread, and back
// over ZeroMQ's two threads, loop and writer.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <zmq.hpp>

namespace {

// ---- hops ----

// Lines that one thread hands to another. The loop waits for its descriptor, the other threads in take().
class Queue {
 public:
  Queue() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  int fd() const { return wake_; }

  void put(std::string line) {
    {
      const std::lock_guard lock(mutex_);
      lines_.push_back(std::move(line));
    }
    changed_.notify_one();
  }
  void put_for_loop(std::string line) {
    put(std::move(line));
    const std::uint64_t one = 1;
    if (::write(wake_, &one, sizeof one) < 0) std::abort();
  }

  std::vector<std::string> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !lines_.empty(); });
    return std::exchange(lines_, {});
  }
  std::vector<std::string> take_in_loop() {
    std::uint64_t count = 0;
    if (::read(wake_, &count, sizeof count) < 0) return {};
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  const int wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

// The loop of both processes: what comes from the socket goes to a thread, what comes from a thread is sent.
[[noreturn]] void loop(zmq::socket_t& in, zmq::socket_t& out, Queue& from_thread, Queue& to_thread) {
  zmq::pollitem_t items[2] = {{in, 0, ZMQ_POLLIN, 0}, {nullptr, from_thread.fd(), ZMQ_POLLIN, 0}};
  zmq::message_t message;
  while (true) {
    zmq::poll(items, 2, std::chrono::milliseconds(-1));
    while (in.recv(message, zmq::recv_flags::dontwait)) to_thread.put(message.to_string());
    for (const std::string& line : from_thread.take_in_loop()) out.send(zmq::buffer(line));
  }
}

[[noreturn]] void work(int endpoints) {
  char buffer[256] = {};
  if (::read(endpoints, buffer, sizeof buffer - 1) <= 0) std::_Exit(1);
  const std::string line(buffer);
  zmq::context_t context(1);
  zmq::socket_t in(context, zmq::socket_type::pull);
  zmq::socket_t out(context, zmq::socket_type::push);
  in.connect(line.substr(0, line.find(' ')));
  out.connect(line.substr(line.find(' ') + 1));
  Queue to_run;
  Queue ended;
  std::thread([&] {
    while (true) {
      for (std::string& job : to_run.take()) ended.put_for_loop(std::move(job));
    }
  }).detach();
  loop(in, out, ended, to_run);
}

// Never returns: ends the process at the end of stdin, and the worker with it.
[[noreturn]] void hops() {
  int endpoints[2];
  if (::pipe(endpoints) != 0) std::abort();
  if (::fork() == 0) {  // before there is any ZeroMQ context
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(endpoints[0]);
  }
  zmq::context_t context(1);
  zmq::socket_t in(context, zmq::socket_type::pull);
  zmq::socket_t out(context, zmq::socket_type::push);
  in.bind("tcp://127.0.0.1:*");
  out.bind("tcp://127.0.0.1:*");
  const std::string line = out.get(zmq::sockopt::last_endpoint) + ' ' + in.get(zmq::sockopt::last_endpoint);
  if (::write(endpoints[1], line.data(), line.size()) < 0) std::abort();
  Queue read;
  Queue to_write;
  std::thread([&] {
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
      read.put_for_loop(std::string(buffer, static_cast<std::size_t>(count)));
    std::_Exit(0);
  }).detach();
  std::thread([&] {
    while (true) {
      for (const std::string& job : to_write.take()) {
        if (::write(STDOUT_FILENO, job.data(), job.size()) < 0) std::_Exit(1);
      }
    }
  }).detach();
  loop(in, out, read, to_write);
}

// ---- the client ----

constexpr int kWarmUp =
    200;  // jobs that are not counted: the program starts, and learns how long a job takes
constexpr int kLimitMs = 30'000;  // for one answer

struct Child {
  pid_t pid = -1;
  int to = -1;
  int from = -1;
};

Child start(char** command) {
  int to[2];
  int from[2];
  if (::pipe(to) != 0 || ::pipe(from) != 0) std::abort();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(to[0], STDIN_FILENO);
    ::dup2(from[1], STDOUT_FILENO);
    for (const int fd : {to[0], to[1], from[0], from[1]}) ::close(fd);
    ::execv(command[0], command);
    std::perror(command[0]);
    ::_exit(127);
  }
  ::close(to[0]);
  ::close(from[1]);
  return {pid, to[1], from[0]};
}

// Sends a job and waits for its line. Returns whether it came.
bool one_round_trip(const Child& child) {
  static constexpr char kJob[] = "{\"type\":\"noop\"}\n";
  if (::write(child.to, kJob, sizeof kJob - 1) < 0) return false;
  char buffer[4096];
  while (true) {
    pollfd readable{child.from, POLLIN, 0};
    if (::poll(&readable, 1, kLimitMs) <= 0) return false;
    const ssize_t count = ::read(child.from, buffer, sizeof buffer);
    if (count <= 0) return false;
    if (buffer[count - 1] == '\n') return true;
  }
}

int measure(int jobs, char** command) {
  ::signal(SIGPIPE, SIG_IGN);
  const Child child = start(command);
  std::vector<double> took;
  bool answered = true;
  for (int i = 0; answered && i < kWarmUp + jobs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    answered = one_round_trip(child);
    const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - begin;
    if (i >= kWarmUp) took.push_back(elapsed.count());
  }
  ::close(child.to);
  if (!answered) ::kill(child.pid, SIGKILL);  // a local worker ends with its dispatcher
  ::waitpid(child.pid, nullptr, 0);
  if (!answered || took.empty()) {
    std::fprintf(stderr, "%s: no answer within %d ms\n", command[0], kLimitMs);
    return 1;
  }
  std::sort(took.begin(), took.end());
  std::printf("%.1f %.1f\n", took[took.size() / 2], took[took.size() * 99 / 100]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "hops") == 0) hops();
  if (argc > 2) return measure(std::atoi(argv[1]), argv + 2);
  std::fprintf(stderr, "usage: bench_round_trip JOBS PROGRAM [ARGUMENT...] | bench_round_trip hops\n");
  return 2;
}
