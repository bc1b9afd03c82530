// SPDX-License-Identifier: MIT
// The ceiling of the throughput benchmark: all the work that workpool promises for a no-op job, in the same
// processes and threads and over the same sockets, with nothing else: no retries, no lost workers, no
// timeouts, no other kinds of jobs. What workpool is below this figure is what its generality costs.
//
// Done for each job: its line is validated and hashed, its id is looked for among all others, the line is
// read, validated and compared again, given out with credit, run under a lease with its key in shared memory
// and one reading of the clock; the result is kept until it is acked, checked against what was given,
// formatted with a checksum, written and synced.
//
//   bench_floor JOBS RESULTS [os]    `os`: without fdatasync
//
// JOBS has no-ops, no two alike; `workpool-dispatcher verify JOBS RESULTS` proves that all were recorded.
// Prints jobs per second from the start, jobs per second without the index, and microseconds of processor
// time per job.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/floor/dispatcher.h"
#include "tests/bench/floor/index.h"
#include "tests/bench/floor/reader.h"
#include "tests/bench/floor/worker.h"
#include "tests/bench/floor/writer.h"

namespace {

using namespace workpool::bench;
using Clock = std::chrono::steady_clock;

struct Child {
  pid_t pid = -1;
  int endpoints = -1;  // where it waits for "LANE SINK"
};

// Started before there is any ZeroMQ context.
Child start_worker() {
  int ends[2];
  if (::pipe(ends) != 0) give_up("no pipe");
  const pid_t pid = ::fork();
  if (pid != 0) return {pid, ends[1]};
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char buffer[256] = {};
  if (::read(ends[0], buffer, sizeof buffer - 1) <= 0) std::_Exit(1);
  const std::string line(buffer);
  Worker(line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1)).run();
  std::_Exit(0);
}

void connect(Sockets& sockets, const std::vector<Child>& workers) {
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const std::string line = sockets.lane(i).get(zmq::sockopt::last_endpoint) + ' ' +
                             sockets.sink().get(zmq::sockopt::last_endpoint);
    if (::write(workers[i].endpoints, line.data(), line.size()) < 0) give_up("a worker has gone");
  }
  sockets.wait_for_workers();
}

double processor_seconds(int who) {
  rusage used{};
  ::getrusage(who, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) give_up("usage: bench_floor JOBS RESULTS [os]");
  const bool sync = argc == 3 || std::string_view(argv[3]) != "os";
  std::vector<Child> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) workers.push_back(start_worker());
  Sockets sockets;
  connect(sockets, workers);

  const auto start = Clock::now();
  const int input = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  const int output = ::open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (input < 0 || output < 0) give_up("JOBS or RESULTS cannot be opened");
  const Index index(input);
  const auto indexed = Clock::now();
  Wake wake;
  {
    Reader reader(input, index, wake);
    Writer writer(output, sync, wake);
    Dispatcher(sockets, index.size(), reader, writer, wake).run();
  }
  const auto end = Clock::now();
  for (const Child& worker : workers) {
    int status = 0;
    if (::waitpid(worker.pid, &status, 0) != worker.pid || status != 0) give_up("a worker failed");
  }
  const auto jobs = static_cast<double>(index.size());
  const auto rate = [&](Clock::time_point from) {
    return jobs / std::chrono::duration<double>(end - from).count();
  };
  std::printf("%.0f %.0f %.3f\n", rate(start), rate(indexed),
              (processor_seconds(RUSAGE_SELF) + processor_seconds(RUSAGE_CHILDREN)) / jobs * 1e6);
  return 0;
}
