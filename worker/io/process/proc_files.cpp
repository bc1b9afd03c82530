// SPDX-License-Identifier: MIT
#include "worker/io/process/proc_files.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "common/io/descriptor.h"

namespace workpool::worker {

std::string path_of(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + '/' + file; }

std::string read_from_start(int fd, std::size_t limit) {
  std::string text;
  std::size_t size = 0;
  while (size < limit) {
    text.resize(size + 4096);
    const ssize_t part = ::pread(fd, text.data() + size, 4096, static_cast<off_t>(size));
    if (part <= 0) break;
    size += static_cast<std::size_t>(part);
  }
  text.resize(size);
  return text;
}

std::string read_file(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() ? read_from_start(file.get(), limit) : "";
}

// The fields follow the last ')': the name before them may hold any byte.
std::string stat_fields(pid_t pid) {
  const std::string stat = read_file(path_of(pid, "stat"), 4096);
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return "";
  return stat.substr(name_end + 2);
}

std::optional<std::uint64_t> stat_number(const std::string& fields, int number) {
  constexpr int kState = 3;
  std::size_t at = 0;
  for (int field = kState; field < number; ++field) {
    at = fields.find(' ', at);
    if (at == std::string::npos) return std::nullopt;
    ++at;
  }
  std::uint64_t value = 0;
  if (std::from_chars(fields.data() + at, fields.data() + fields.size(), value).ec != std::errc())
    return std::nullopt;
  return value;
}

bool is_dead(pid_t pid) {
  const std::string fields = stat_fields(pid);
  if (fields.empty()) return ::kill(pid, 0) != 0 && errno == ESRCH;
  // The state is that of the main thread, which counts as a thread until the last one has ended.
  return (fields[0] == 'Z' || fields[0] == 'X') && stat_number(fields, kStatThreads).value_or(0) <= 1;
}

std::string variable_of(pid_t pid, std::string_view name) {
  const std::string environment = read_file(path_of(pid, "environ"), kEnvironmentBytesMax);
  const std::string prefix = std::string(name) + '=';
  for (std::size_t at = 0; at < environment.size(); at = environment.find('\0', at) + 1) {
    if (environment.compare(at, prefix.size(), prefix) == 0) return environment.c_str() + at + prefix.size();
    if (environment.find('\0', at) == std::string::npos) break;
  }
  return "";
}

}  // namespace workpool::worker
