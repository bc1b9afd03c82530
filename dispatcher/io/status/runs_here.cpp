// SPDX-License-Identifier: MIT
#include "dispatcher/io/status/runs_here.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "common/formats/path_member.h"
#include "common/io/write_all.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kFileBytesMost = 64 << 10;
constexpr std::string_view kEnding = ".json";

std::string folder_path() {
  const char* const given = std::getenv("WORKPOOL_RUN_DIR");
  return given != nullptr && *given != '\0' ? given : "/tmp/workpool-" + std::to_string(::geteuid());
}

// Opens the folder; -1 with the reason in `problem` if it is not ours alone: everybody can write to /tmp.
Descriptor open_folder(const std::string& path, bool make, std::string& problem) {
  if (make && ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    problem = std::strerror(errno);
    return {};
  }
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!folder.is_open() || ::fstat(folder.get(), &info) != 0) {
    problem = std::strerror(errno);
    return {};
  }
  if (info.st_uid != ::geteuid()) {
    problem = "it belongs to another user";
    return {};
  }
  if ((info.st_mode & 077) != 0) {
    problem = "others may enter it (chmod 700)";
    return {};
  }
  return folder;
}

std::string text_of(const RunHere& run) {
  std::string text =
      R"({"v":1,"run":")" + hex64(run.run.value) + R"(","pid":)" + std::to_string(run.pid) + R"(,"address":)";
  append_json_string(text, run.address);
  return text + "," + path_member("jobs", run.jobs) + "," + path_member("results", run.results) + "}\n";
}

std::optional<RunHere> run_in(int fd) {
  std::string text(kFileBytesMost, '\0');
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto members = json_scalars(text);
  if (!members || !members->contains("run") || !members->contains("address")) return std::nullopt;
  RunHere run;
  if (!parse_hex64(members->at("run"), run.run.value)) return std::nullopt;
  run.address = members->at("address");
  if (members->contains("pid")) run.pid = std::strtoull(members->at("pid").c_str(), nullptr, 10);
  run.jobs = path_in(*members, "jobs");
  run.results = path_in(*members, "results");
  return run;
}

}  // namespace

RunHereFile::RunHereFile(const RunHere& run) {
  const std::string folder = folder_path();
  const Descriptor opened = open_folder(folder, true, problem_);
  if (opened.is_open()) {
    // Locked before it gets its name, so that nobody takes it for one that is left over.
    // The next start of the run has another name, so nobody takes its file for the one that is left over.
    const std::string name = hex64(run.run.value) + "." + std::to_string(::getpid()) + std::string(kEnding);
    const std::string temporary = "." + name;
    fd_ = Descriptor(::openat(opened.get(), temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const bool done = fd_.is_open() && ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 &&
                      write_all(fd_.get(), text_of(run)) == 0 &&
                      ::renameat(opened.get(), temporary.c_str(), opened.get(), name.c_str()) == 0;
    if (done) {
      path_ = folder + "/" + name;
      return;
    }
    problem_ = std::strerror(errno);
    if (fd_.is_open()) ::unlinkat(opened.get(), temporary.c_str(), 0);
    fd_.close();
  }
  problem_ = "the folder " + printable(folder) + " cannot be used: " + problem_;
}

RunHereFile::~RunHereFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::vector<RunHere> runs_here(std::string& problem) {
  std::vector<RunHere> runs;
  const std::string path = folder_path();
  Descriptor folder = open_folder(path, false, problem);
  if (!folder.is_open()) {
    problem = errno == ENOENT ? "" : "the folder " + printable(path) + " cannot be used: " + problem;
    return runs;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(::dup(folder.get())), ::closedir);
  if (list == nullptr) return runs;
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string_view name = entry->d_name;
    if (!name.ends_with(kEnding) || name.starts_with('.')) continue;
    const Descriptor file(::openat(folder.get(), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file.is_open()) continue;
    if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) {
      ::unlinkat(folder.get(), entry->d_name, 0);
    } else if (auto run = run_in(file.get())) {
      runs.push_back(std::move(*run));
    }
  }
  std::sort(runs.begin(), runs.end(), [](const RunHere& a, const RunHere& b) { return a.pid < b.pid; });
  return runs;
}

}  // namespace workpool::dispatcher
