// SPDX-License-Identifier: MIT
// What tests with real processes ask and wait for. Waiting is for an event, with a limit that a slow machine
// keeps.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "common/io/clock.h"
#include "common/io/descriptor.h"

namespace workpool::worker {

// Sanitizers and busy machines included.
inline constexpr Duration kPatience = seconds(60);

template <typename Condition>
bool wait_for(Condition&& condition, Duration limit = kPatience) {
  for (const Time until = boot_time() + limit; boot_time() < until;) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return condition();
}

// Empty if it cannot be read, for example because the process ends meanwhile.
inline std::string read_text(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char part[4096];
  for (ssize_t size = 1; size > 0;) {
    size = ::read(file.get(), part, sizeof part);
    if (size > 0) text.append(part, static_cast<std::size_t>(size));
  }
  return text;
}

// Exists and is no zombie.
inline bool is_alive(pid_t pid) {
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "workpool-test-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(std::string_view name) const { return path_ + '/' + std::string(name); }
  const std::string& path() const { return path_; }
  void write(std::string_view name, std::string_view text, bool executable = false) const {
    std::ofstream(path(name), std::ios::binary) << text;
    using std::filesystem::perms;
    std::filesystem::permissions(path(name),
                                 executable ? perms::owner_all : perms::owner_read | perms::owner_write);
  }
  // The number that a job wrote into `name`; 0 until a whole line is there.
  pid_t pid_in(std::string_view name) const {
    const std::string text = read_text(path(name));
    return text.ends_with('\n') ? std::atoi(text.c_str()) : 0;
  }
  pid_t wait_for_pid(std::string_view name) const {
    wait_for([&] { return pid_in(name) > 0; });
    return pid_in(name);
  }

 private:
  std::string path_;
};

}  // namespace workpool::worker
