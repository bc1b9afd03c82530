// SPDX-License-Identifier: MIT
#include "common/io/runs_here.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "common/formats/path_member.h"
#include "common/io/write_all.h"

namespace workpool {
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
  append_json_string(text, run.address.text());
  if (run.listen) {
    text += R"(,"listen":)";
    append_json_string(text, run.listen->text());
  }
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
  const auto address = parse_address(members->at("address"));
  if (!address) return std::nullopt;
  run.address = *address;
  if (members->contains("listen")) run.listen = parse_address(members->at("listen"));
  if (members->contains("pid")) run.pid = std::strtoull(members->at("pid").c_str(), nullptr, 10);
  run.jobs = path_in(*members, "jobs");
  run.results = path_in(*members, "results");
  return run;
}

}  // namespace

RunHereFile::RunHereFile(const RunHere& run) : folder_(folder_path()) {
  std::uint64_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != static_cast<ssize_t>(sizeof start)) return;
  // The next start of the run has another name, so nobody takes its file for the one that is left over.
  const std::string name = std::to_string(run.pid) + "." + hex64(start) + std::string(kEnding);
  name_ = name;
  if (!write(run)) name_.clear();
}

bool RunHereFile::write(const RunHere& run) {
  const Descriptor opened = open_folder(folder_, true, problem_);
  if (opened.is_open()) {
    // Locked before it gets its name, so that nobody takes it for one that is left over.
    const std::string temporary = "." + name_;
    Descriptor file(
        ::openat(opened.get(), temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    const bool done = file.is_open() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 &&
                      write_all(file.get(), text_of(run)) == 0 &&
                      ::renameat(opened.get(), temporary.c_str(), opened.get(), name_.c_str()) == 0;
    if (done) {
      fd_ = std::move(file);
      return true;
    }
    problem_ = std::strerror(errno);
    if (file.is_open()) ::unlinkat(opened.get(), temporary.c_str(), 0);
  }
  problem_ = "the folder " + printable(folder_) + " cannot be used: " + problem_;
  return false;
}

void RunHereFile::update(const RunHere& run) {
  if (!name_.empty()) write(run);
}

RunHereFile::~RunHereFile() {
  if (!name_.empty()) ::unlink((folder_ + "/" + name_).c_str());
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

std::optional<Address> run_here_at(const std::string& host, std::uint16_t port) {
  if (!is_loopback_literal(host)) return std::nullopt;
  std::string problem;
  for (const RunHere& run : runs_here(problem)) {
    if (!run.listen || run.listen->port != port) continue;
    const std::string& listens = run.listen->host;
    const bool everywhere = listens == "*" || listens == "0.0.0.0" || listens == "::";
    if (everywhere || listens == host) return run.address;
  }
  return std::nullopt;
}

}  // namespace workpool
