// SPDX-License-Identifier: MIT
#include "worker/io/process/spawn_failure.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/base/text.h"
#include "common/io/descriptor.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kNameBytesMax = 1000;

// The system's text for `error`. Unlike strerror this is safe in any thread.
std::string reason(int error) {
  const char* text = ::strerrordesc_np(error);
  return text != nullptr ? text : "error " + std::to_string(error);
}

// A name as shown in a message; cut, so that what follows it is not lost.
std::string shown(const std::string& name) {
  return name.size() <= kNameBytesMax ? name : std::string(utf8_prefix(name, kNameBytesMax)) + "…";
}

// `path` as the child saw it after it had changed to its directory.
std::string as_seen(const SpawnAttempt& attempt, const std::string& path) {
  if (path.starts_with('/')) return path;
  return attempt.directory.empty() ? path : attempt.directory + '/' + path;
}

// The first directory on the way to `path` that is missing or is none; empty if all are there.
std::string missing_directory(const SpawnAttempt& attempt, const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string directory = path.substr(0, slash);
    struct stat info {};
    if (::stat(as_seen(attempt, directory).c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return directory;
  }
  return "";
}

// The file that a script's first line names; empty for a program that is no script.
std::string interpreter_of(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char start[256];
  const ssize_t size = file.is_open() ? ::read(file.get(), start, sizeof start) : 0;
  std::string_view line(start, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (!line.starts_with("#!")) return "";
  line.remove_prefix(2);
  line = line.substr(0, line.find('\n'));
  while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  return printable(line.substr(0, line.find_first_of(" \t")));
}

std::string explain_interpreter(const Spawned& spawned, const SpawnAttempt& attempt) {
  const std::string& file = attempt.candidates[spawned.program];
  const std::string interpreter = interpreter_of(as_seen(attempt, file));
  const std::string what =
      interpreter.empty() ? "the loader that it needs" : "its interpreter " + interpreter;
  return "cannot run " + shown(file) + ": " + what + ": " + reason(spawned.error);
}

std::string explain_exec(const Spawned& spawned, const SpawnAttempt& attempt) {
  const std::string cannot = "cannot run " + shown(attempt.program);
  const bool searched = attempt.program.find('/') == std::string::npos;
  const std::string& file = attempt.candidates[spawned.program];
  if (spawned.error == ENOENT) {
    if (searched) return cannot + ": no such program in the folders of PATH";
    const std::string directory = missing_directory(attempt, file);
    if (!directory.empty()) {
      struct stat info {};
      const bool is_there = ::stat(as_seen(attempt, directory).c_str(), &info) == 0;
      return cannot + ": directory " + shown(directory) + ": " + reason(is_there ? ENOTDIR : errno);
    }
  }
  std::string text = cannot;
  if (searched) text += ": " + shown(file);
  text += ": " + reason(spawned.error);
  if (spawned.error == ENOEXEC) text += " (no program of this machine, and no script with a #! line)";
  struct stat info {};
  const std::string seen = as_seen(attempt, file);
  if (spawned.error == EACCES && ::stat(seen.c_str(), &info) == 0) {
    // The file itself may be executed, so it is its interpreter that may not.
    if (S_ISREG(info.st_mode) && ::access(seen.c_str(), X_OK) == 0 && !interpreter_of(seen).empty()) {
      return explain_interpreter(spawned, attempt);
    }
    text += S_ISDIR(info.st_mode) ? " (it is a directory)" : " (is it executable?)";
  }
  return text;
}

}  // namespace

std::string explain(const Spawned& spawned, const SpawnAttempt& attempt) {
  switch (spawned.failed) {
    case SpawnStep::kNone:
      return "";
    case SpawnStep::kClone:
      return "cannot make a process: " + reason(spawned.error);
    case SpawnStep::kSession:
      return "cannot make a session: " + reason(spawned.error);
    case SpawnStep::kDirectory:
      return "cannot change to directory " + shown(attempt.directory) + ": " + reason(spawned.error);
    case SpawnStep::kDescriptors:
      return "cannot set up stdin, stdout and stderr: " + reason(spawned.error);
    case SpawnStep::kInterpreter:
      return explain_interpreter(spawned, attempt);
    case SpawnStep::kExec:
      return explain_exec(spawned, attempt);
  }
  return "";
}

}  // namespace workpool::worker
