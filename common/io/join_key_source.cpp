// SPDX-License-Identifier: MIT
#include "common/io/join_key_source.h"

#include <fcntl.h>
#include <sodium/utils.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "common/io/descriptor.h"
#include "common/io/whole_file.h"

namespace workpool {
namespace {

constexpr std::size_t kKeyTextBytesMax = 4096;  // a key has 90 letters; the rest is for white space

JoinKeyFault unsafe(std::string message) { return {ExitCode::kUnsafe, std::move(message)}; }

// Reads up to and with the first newline, and nothing behind it: that is for somebody else. Returns false if
// the line is too long; an error of the read is its end.
bool read_line(int fd, std::string& text) {
  text.reserve(kKeyTextBytesMax + 1);
  char letter = 0;
  while (text.size() <= kKeyTextBytesMax) {
    const ssize_t count = ::read(fd, &letter, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || letter == '\n') break;
    text += letter;
  }
  sodium_memzero(&letter, 1);
  return text.size() <= kKeyTextBytesMax;
}

// `name`: what the text is from.
FoundJoinKey key_in(std::string_view text, const std::string& name, ExitCode code) {
  auto parsed = parse_join_key(text);
  if (auto* key = std::get_if<JoinKey>(&parsed)) return std::move(*key);
  if (!text.empty() && text.front() == '{') {
    return JoinKeyFault{code, name +
                                  " is a dispatcher's key file, and a worker needs its own join key: "
                                  "`workpool keygen FILE --worker NAME` prints one"};
  }
  return JoinKeyFault{code, name + " " + std::get<std::string>(parsed)};
}

FoundJoinKey key_from_descriptor(int fd, const std::string& name) {
  std::string text;
  const WipedAtEnd wiped(text);
  if (!read_line(fd, text)) return unsafe(name + " holds no join key: its first line is longer than 4 KiB");
  return key_in(text, name, ExitCode::kUnsafe);
}

// Why the opened file must not be trusted with a key, to follow its name; or "".
std::string file_problem(const struct stat& info, const std::string& shown) {
  if (!S_ISREG(info.st_mode)) return "is no regular file";
  const bool is_ours = info.st_uid == ::geteuid();
  if (info.st_uid == 0) {
    if ((info.st_mode & 022) != 0) return "can be written by other users: chmod go-w " + shown;
  } else if (!is_ours) {
    return "belongs to another user (" + std::to_string(info.st_uid) +
           "): give a copy of your own that only you can read";
  } else if ((info.st_mode & 077) != 0) {
    return "can be read or written by other users: chmod 600 " + shown;
  }
  if (info.st_size == 0) return "is empty";
  if (static_cast<std::size_t>(info.st_size) > kKeyTextBytesMax) return "is longer than 4 KiB";
  return "";
}

// The file, opened; -1 with errno. Waits for nobody who would have to open a pipe's other end.
Descriptor open_key_file(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  Descriptor file(::open(path.c_str(), kFlags | O_NOFOLLOW));
  if (file.is_open() || errno != ELOOP) return file;
  struct stat link {};
  if (::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode) && link.st_uid == 0)
    return Descriptor(::open(path.c_str(), kFlags));
  errno = ELOOP;
  return file;
}

FoundJoinKey key_from_file(const std::string& path) {
  const std::string shown = printable(path, 300);
  const std::string name = "--key: " + shown;
  const Descriptor file = open_key_file(path);
  if (!file.is_open()) {
    if (errno == ENOENT) return unsafe(name + " does not exist");
    if (errno == ELOOP) return unsafe(name + " is a symbolic link: give the file that it leads to");
    return unsafe(name + " cannot be read: " + std::generic_category().message(errno));
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return unsafe(name + " cannot be read: " + std::generic_category().message(errno));
  if (const std::string problem = file_problem(info, shown); !problem.empty())
    return unsafe(name + " " + problem);
  std::string text(kKeyTextBytesMax, '\0');
  const WipedAtEnd wiped(text);
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
  if (count < 0) return unsafe(name + " cannot be read: " + std::generic_category().message(errno));
  text.resize(static_cast<std::size_t>(count));
  const std::size_t end = text.find('\n');
  if (end != std::string::npos && text.front() != '{' &&
      text.find_first_not_of(" \t\r\n", end) != std::string::npos)
    return unsafe(name + " has more than one line: put one join key into it");
  return key_in(text, name, ExitCode::kUnsafe);
}

FoundJoinKey key_from_flag(const std::string& value) {
  if (value.starts_with("wp1-")) {
    return JoinKeyFault{ExitCode::kUsage,
                        "--key takes a file; a key on the command line can be seen by everyone (ps): set "
                        "WORKPOOL_KEY instead"};
  }
  if (value == "-" || value == "/dev/stdin") return key_from_descriptor(STDIN_FILENO, "--key: stdin");
  if (const auto number = descriptor_named(value))
    return key_from_descriptor(*number, "--key: " + printable(value));
  return key_from_file(value);
}

FoundJoinKey look(const std::optional<std::string>& flag_value, const Environment& environment) {
  if (flag_value) return key_from_flag(*flag_value);
  const char* const value = environment(kJoinKeyVariable);
  if (value == nullptr || *value == '\0') return std::monostate{};
  return key_in(value, kJoinKeyVariable, ExitCode::kUsage);
}

}  // namespace

FoundJoinKey find_join_key(const std::optional<std::string>& flag_value, const Environment& environment) {
  FoundJoinKey found = look(flag_value, environment);
  forget_variable(kJoinKeyVariable);
  return found;
}

void forget_variable(const std::string& name) {
  // All of them: a process can be started with the same name twice.
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name.c_str(), name.size()) != 0 || (*entry)[name.size()] != '=') continue;
    char* const value = *entry + name.size() + 1;
    sodium_memzero(value, std::strlen(value));
  }
  ::unsetenv(name.c_str());
}

}  // namespace workpool
