// SPDX-License-Identifier: MIT
// The yardstick of the throughput benchmark: a bare PUSH/PULL pipeline that keeps no records. A ventilator
// (this process) pushes messages of 64 jobs x 100 bytes to two worker processes. These push a message of as
// many 31-byte results for each to a sink (this process again). Prints jobs per second.
//
//   bench_raw_pipeline [JOBS]
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <zmq.hpp>

namespace {

constexpr int kWorkers = 2;
constexpr int kJobsAMessage = 64;
constexpr int kJobBytes = 100;
constexpr int kResultBytes = 31;

std::string last_endpoint(zmq::socket_t& socket) { return socket.get(zmq::sockopt::last_endpoint); }

// Pulls jobs and pushes results until it is killed.
[[noreturn]] void work(const std::string& jobs_at, const std::string& results_at) {
  zmq::context_t context(1);
  zmq::socket_t jobs(context, zmq::socket_type::pull);
  zmq::socket_t results(context, zmq::socket_type::push);
  jobs.connect(jobs_at);
  results.connect(results_at);
  const std::string answer(kJobsAMessage * kResultBytes, 'r');
  zmq::message_t message;
  while (true) {
    if (!jobs.recv(message)) continue;
    results.send(zmq::buffer(answer));
  }
}

// Passes on the endpoints that the parent bound: the children are made before any ZeroMQ context is.
std::vector<pid_t> start_workers(int pipes[kWorkers][2]) {
  std::vector<pid_t> pids;
  for (int i = 0; i < kWorkers; ++i) {
    if (::pipe(pipes[i]) != 0) std::abort();
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      char buffer[256] = {};
      if (::read(pipes[i][0], buffer, sizeof buffer - 1) <= 0) std::_Exit(1);
      const std::string line(buffer);
      work(line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1));
    }
    pids.push_back(pid);
  }
  return pids;
}

}  // namespace

int main(int argc, char** argv) {
  const long messages = (argc > 1 ? std::atol(argv[1]) : 4'000'000) / kJobsAMessage;
  int pipes[kWorkers][2];
  const std::vector<pid_t> pids = start_workers(pipes);
  {
    zmq::context_t context(1);
    zmq::socket_t ventilator(context, zmq::socket_type::push);
    zmq::socket_t sink(context, zmq::socket_type::pull);
    ventilator.set(zmq::sockopt::linger, 0);
    ventilator.bind("tcp://127.0.0.1:*");
    sink.bind("tcp://127.0.0.1:*");
    const std::string line = last_endpoint(ventilator) + ' ' + last_endpoint(sink);
    for (auto& ends : pipes) {
      if (::write(ends[1], line.data(), line.size()) < 0) return 1;
    }
    ::usleep(300'000);  // both workers are connected, so that each gets its half
    const auto start = std::chrono::steady_clock::now();
    std::thread push([&] {
      const std::string batch(kJobsAMessage * kJobBytes, 'j');
      for (long i = 0; i < messages; ++i) ventilator.send(zmq::buffer(batch));
    });
    zmq::message_t message;
    for (long i = 0; i < messages; ++i) {
      if (!sink.recv(message)) --i;
    }
    push.join();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::printf("%.0f\n", static_cast<double>(messages * kJobsAMessage) / elapsed.count());
  }
  for (const pid_t pid : pids) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}
