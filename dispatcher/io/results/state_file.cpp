// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "common/formats/json_scalars.h"
#include "common/formats/path_member.h"
#include "common/formats/results_file.h"
#include "common/io/bounded_lines.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kStateLineBytesMax = 64 << 10;  // a path has 4 KiB, a name 64 bytes
constexpr std::string_view kHead = "{\"state\":1,\"run\":\"";
constexpr std::string_view kWorker = "{\"worker\":\"";

// `text`: a line without its crc and what follows it.
std::optional<GrantedName> name_in(std::string_view text) {
  if (text.substr(0, kWorker.size()) != kWorker) return std::nullopt;
  const auto members = json_scalars(std::string(text) + "}");
  if (!members || !members->contains("name")) return std::nullopt;
  GrantedName granted;
  granted.name = members->at("name");
  if (!parse_hex64(members->at("worker"), granted.worker.value)) return std::nullopt;
  if (const auto key = members->find("key"); key != members->end()) granted.key = key->second;
  return granted;
}

}  // namespace

void append_name_line(std::string& out, const GrantedName& granted) {
  const std::size_t start = out.size();
  out += kWorker;
  out += hex64(granted.worker.value);
  out += "\",\"name\":";
  append_json_string(out, granted.name);
  if (!granted.key.empty()) {
    out += ",\"key\":";
    append_json_string(out, granted.key);
  }
  append_crc(out, start);
}

StateHead state_head_of(const std::string& results) {
  char resolved[PATH_MAX];
  const char* const path = ::realpath(results.c_str(), resolved);
  try {
    // Another user's may be readable only.
    const StateFile state(std::string(path != nullptr ? path : results.c_str()) + ".state",
                          O_RDONLY | O_NONBLOCK);
    return {state.run(), state.jobs_path()};
  } catch (const std::system_error&) {
    return {};
  }
}

StateFile::StateFile(std::string path) : StateFile(std::move(path), O_RDWR | O_APPEND) {}

StateFile::StateFile(std::string path, int access) : path_(std::move(path)) {
  // Not through a link: the name is made from that of RESULTS, and nobody has a reason to put a link there.
  fd_ = open(path_.c_str(), access | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ >= 0) {
    read();
  } else if (errno != ENOENT) {
    throw std::system_error(errno, std::generic_category());
  }
}

StateFile::~StateFile() {
  if (fd_ >= 0) close(fd_);
}

void StateFile::read() {
  BoundedLines lines(fd_, kStateLineBytesMax);
  for (BoundedLines::Line line; lines.next(line);) {
    if (!line.ended) break;
    whole_bytes_ = static_cast<std::int64_t>(line.end);
    std::string_view text = line.text;
    if (line.too_long || !strip_crc(text)) continue;
    if (text.substr(0, kHead.size()) == kHead) {
      read_head(text.substr(kHead.size()));
    } else if (const auto granted = name_in(text)) {
      worker_names_.push_back(*granted);
    }
  }
}

void StateFile::read_head(std::string_view text) {
  std::uint64_t run = 0;
  if (text.size() < 18 || text.substr(16, 2) != "\"," || !parse_hex64(std::string(text.substr(0, 16)), run))
    return;
  if (run_ && run_->value != run) worker_names_.clear();
  run_ = RunId{run};
  jobs_ = text.substr(18);
}

bool StateFile::names(const std::string& jobs_path) const {
  return run_ && jobs_ == path_member("jobs", jobs_path);
}

std::string StateFile::jobs_shown() const {
  const auto members = json_scalars("{" + jobs_ + "}");
  if (!members) return jobs_;
  const auto path = members->find("jobs");
  if (path != members->end()) return printable(path->second);
  const auto base64 = members->find("jobs_base64");
  return base64 != members->end() ? "whose name in base64 is " + base64->second : jobs_;
}

std::string StateFile::jobs_path() const {
  const auto members = json_scalars("{" + jobs_ + "}");
  if (!members) return "";
  return path_in(*members, "jobs");
}

int StateFile::begin(RunId run, const std::string& jobs_path) {
  run_.reset();
  worker_names_.clear();
  const int error = open_to_write(0);
  return error != 0 ? error : append_head(run, jobs_path);
}

int StateFile::keep(RunId run, const std::string& jobs_path) {
  const int error = open_to_write(whole_bytes_);
  if (error != 0) return error;
  return names(jobs_path) ? output_->sync() : append_head(run, jobs_path);
}

int StateFile::open_to_write(std::int64_t keep_bytes) {
  if (fd_ < 0) fd_ = open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) return errno;
  output_.reset();
  if (ftruncate(fd_, keep_bytes) != 0) return errno;
  whole_bytes_ = keep_bytes;
  output_ = std::make_unique<LineOutput>(fd_, true);
  return 0;
}

int StateFile::append(const std::string& line) {
  if (output_ == nullptr) return EBADF;
  const LineOutput::Attempt attempt = output_->write(line);
  if (attempt.ending == LineOutput::Ending::kDone) return 0;
  // After any other error nothing may follow, or a torn line could stand in the middle.
  if (attempt.ending == LineOutput::Ending::kError) output_.reset();
  return attempt.error;
}

int StateFile::append_head(RunId run, const std::string& jobs_path) {
  std::string line(kHead);
  line += hex64(run.value);
  line += "\",";
  line += path_member("jobs", jobs_path);
  append_crc(line, 0);
  if (const int error = append(line); error != 0) return error;
  if (const int error = output_->sync(); error != 0) return error;
  run_ = run;
  jobs_ = path_member("jobs", jobs_path);
  return 0;
}

}  // namespace workpool::dispatcher
