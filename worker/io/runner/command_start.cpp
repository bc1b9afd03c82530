// SPDX-License-Identifier: MIT
#include "worker/io/runner/command_start.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "common/base/ids.h"
#include "common/base/text.h"
#include "common/formats/jobs_file.h"
#include "common/formats/output_path.h"
#include "worker/io/process/spawn_failure.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;

CannotStart cannot_start(const std::string& message) {
  CannotStart result;
  result.outcome.status = Status::kFailed;
  result.outcome.kind = ErrorKind::kSpawn;
  result.outcome.command.emplace();
  result.outcome.message = std::string(utf8_prefix(message, kMessageBytesMax));
  return result;
}

struct Pipes {
  Pipe input;
  Pipe output;
  Pipe errors;

  // False with errno set if there are no descriptors left. Streams that go to files need none.
  bool make(const CommandWork& work) {
    if (work.standard_input && !make_pipe(input)) return false;
    if ((!work.output_path && !make_pipe(output)) || (!work.error_path && !make_pipe(errors))) return false;
    // Each end is an open file of its own, so the child's ends stay blocking, as programs expect.
    for (const int fd : {input.write.get(), output.read.get(), errors.read.get()}) {
      if (fd >= 0 && ::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
    }
    return true;
  }
};

OutputFiles::Wanted wanted_files(const CommandWork& work, const JobOrder& order, int starting_fd,
                                 const std::string& key) {
  const auto expanded = [&order](const std::optional<std::string>& path) -> std::optional<std::string> {
    if (!path) return std::nullopt;
    return expanded_output_path(*path, order.full_id(), order.line, order.attempt);
  };
  return {starting_fd, work.cwd.value_or(""), expanded(work.output_path), expanded(work.error_path), key};
}

}  // namespace

std::string random_key() {
  std::uint64_t bits[2] = {};
  while (::getrandom(bits, sizeof bits, 0) < 0 && errno == EINTR) {
  }
  return hex64(bits[0]) + hex64(bits[1]);
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

void StartUnderWay::kill() {
  const std::lock_guard lock(mutex_);
  const int pidfd = *static_cast<volatile int*>(&pidfd_);
  if (pidfd >= 0) ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
}

StartingPoint::StartingPoint(char* const* environ_of_worker, const RunnerOptions& options)
    : environment(environ_of_worker),
      null(lifted(::open("/dev/null", O_RDONLY | O_CLOEXEC))),
      new_privs(options.new_privs) {
  if (!null.is_open()) throw std::system_error(errno, std::generic_category(), "open of /dev/null");
  directory = lifted(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (::getrlimit(RLIMIT_NOFILE, &descriptor_limit) == 0) descriptor_limit.rlim_cur = options.job_descriptors;
  if (::getrlimit(RLIMIT_CORE, &core_limit) == 0) core_limit.rlim_cur = options.job_core_bytes;
}

CommandStart CommandStarter::start(const StartAttempt& start, std::uint32_t slot, StartUnderWay& under_way) {
  const JobOrder& order = start.order;
  auto parsed = parser_.parse(order.work);
  if (const auto* error = std::get_if<LineError>(&parsed))
    return cannot_start("unusable job: " + error->message);
  auto* const work = std::get_if<CommandWork>(&parsed);
  if (work == nullptr || work->argv.empty()) return cannot_start("unusable job: it has no command");

  Pipes pipes;
  if (!pipes.make(*work)) {
    if (is_lack_of_resources(errno)) return NoResources{std::generic_category().message(errno)};
    return cannot_start("cannot make pipes: " + std::generic_category().message(errno));
  }
  const std::string key = random_key();
  OutputFiles files;
  if (work->output_path || work->error_path) {
    if (auto fault = files.open(wanted_files(*work, order, from_->directory.get(), key))) {
      if (is_lack_of_resources(fault->error)) return NoResources{fault->message};
      return cannot_start(fault->message);
    }
  }

  const std::string attempt_key = from_->environment.attempt_key(key);
  const ChildEnvironment environment(from_->environment, work->env, order.full_id(), order.attempt, slot,
                                     attempt_key);
  SpawnAttempt attempt{work->argv[0], environment.search_path(),
                       candidates_for(work->argv[0], environment.search_path()), work->cwd.value_or("")};
  const std::vector<char*> argv = pointers_to(work->argv);
  const std::vector<char*> programs = pointers_to(attempt.candidates);
  SpawnRequest request;
  request.argv = argv.data();
  request.envp = environment.pointers();
  request.programs = programs.data();
  if (work->cwd) request.directory = work->cwd->c_str();
  request.starting_fd = from_->directory.get();
  request.standard_input = work->standard_input ? pipes.input.read.get() : from_->null.get();
  request.standard_output = work->output_path ? files.output_fd() : pipes.output.write.get();
  request.standard_error = work->error_path ? files.error_fd() : pipes.errors.write.get();
  request.descriptor_limit = from_->descriptor_limit;
  request.core_limit = from_->core_limit;
  request.new_privs = from_->new_privs;

  request.pidfd = under_way.begin();
  Spawned spawned = launcher_.spawn(request);
  under_way.end();
  if (spawned.lacks_resources()) return NoResources{std::generic_category().message(spawned.error)};
  if (!spawned.is_running()) return cannot_start(explain(spawned, attempt));
  files.close_ours();
  Command::Channels channels{std::move(spawned.pidfd), std::move(pipes.input.write),
                             std::move(pipes.output.read), std::move(pipes.errors.read)};
  return std::make_unique<Command>(spawned.pid, std::move(channels), attempt_key,
                                   std::move(work->standard_input).value_or(""),
                                   services_->capture_bytes.load(), work->ok_exits, std::move(files));
}

}  // namespace workpool::worker
