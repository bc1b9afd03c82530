// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/job_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kHeldBytesMost = 32 << 20;
constexpr std::size_t kConsoleBytes = 64 * 1024;  // given to it at a time

bool is_file_of_stderr() {
  struct stat out {};
  struct stat err {};
  if (::fstat(STDOUT_FILENO, &out) != 0 || ::fstat(STDERR_FILENO, &err) != 0) return false;
  const bool same_device = S_ISCHR(err.st_mode) && ::isatty(STDOUT_FILENO) == 1 && out.st_rdev == err.st_rdev;
  return same_device || (!S_ISCHR(err.st_mode) && out.st_dev == err.st_dev && out.st_ino == err.st_ino);
}

Descriptor unnamed_file() {
  const char* folder = std::getenv("TMPDIR");
  if (folder == nullptr || *folder == '\0') folder = "/tmp";
  std::string path = std::string(folder) + "/workpool-XXXXXX";
  Descriptor file(::mkostemp(path.data(), O_CLOEXEC));
  if (file.is_open()) ::unlink(path.c_str());
  return file;
}

bool write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return true;
}

std::string bytes_at(int fd, std::size_t size, std::uint64_t offset) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count = ::pread(fd, bytes.data() + have, size - have, static_cast<off_t>(offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    have += static_cast<std::size_t>(count);
  }
  bytes.resize(have);
  return bytes;
}

std::string name_of_job(const Record& record) {
  const bool has_name = record.facts.notes && !record.facts.notes->name.empty();
  return has_name ? record.facts.notes->name : record.facts.full_id();
}

}  // namespace

JobOutput::JobOutput(Console& console, const OutputOptions& options)
    : console_(console), options_(options), stdout_(STDOUT_FILENO, false), one_file_(is_file_of_stderr()) {}

std::string JobOutput::tagged(std::string_view text, const Record& record) const {
  if (!options_.tagged || text.empty()) return std::string(text);
  const std::string tag = printable(name_of_job(record), 400) + "\t";
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.append(tag).append(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

void JobOutput::print(bool errors, std::string bytes) {
  if (bytes.empty()) return;
  if (!chunks_.empty() && chunks_.back().errors == errors && chunks_.back().bytes.size() < kConsoleBytes) {
    chunks_.back().bytes += bytes;
  } else {
    chunks_.push_back({errors, std::move(bytes)});
  }
}

void JobOutput::add(const Record& record) {
  Held held;
  if (record.outcome.command) {
    held.output = tagged(record.outcome.command->standard_output, record);
    held.errors = tagged(record.outcome.command->standard_error, record);
    if (const std::uint64_t cut = record.outcome.command->truncated; cut > 0) {
      if (!held.errors.empty() && !held.errors.ends_with('\n')) held.errors += '\n';
      held.errors +=
          "workpool: " + name_of_job(record) + ": " + counted(cut, "byte") +
          " of its output are missing, from the middle: more than --capture keeps; let a file hold it "
          "(--stdout FILE)\n";
    }
  }
  if (options_.keep_order) {
    hold(record.facts.line, std::move(held));
  } else {
    release(std::move(held));
  }
}

void JobOutput::hold(std::uint64_t line, Held held) {
  held.output_bytes = held.output.size();
  held.errors_bytes = held.errors.size();
  const std::size_t bytes = held.output_bytes + held.errors_bytes;
  if (line != next_line_ && held_bytes_ + bytes > kHeldBytesMost && bytes > 0) {
    if (!file_.is_open()) file_ = unnamed_file();
    held.offset = file_bytes_;
    held.in_file = file_.is_open() && write_at(file_.get(), held.output, held.offset) &&
                   write_at(file_.get(), held.errors, held.offset + held.output_bytes);
    if (held.in_file) {
      file_bytes_ += bytes;
      ++held_in_file_;
      // An assignment would keep their memory.
      std::string().swap(held.output);
      std::string().swap(held.errors);
    }
  }
  held_bytes_ += held.output.size() + held.errors.size();
  held_.insert_or_assign(line, std::move(held));
}

void JobOutput::release(Held held) {
  if (held.in_file) {
    held.output = bytes_at(file_.get(), held.output_bytes, held.offset);
    held.errors = bytes_at(file_.get(), held.errors_bytes, held.offset + held.output_bytes);
  }
  print(false, std::move(held.output));
  print(true, std::move(held.errors));
}

// Releases the output of the next job, if it is its turn. One at a time: what is in the file stays there
// until it is written.
bool JobOutput::release_next() {
  {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t line : skipped_) held_.try_emplace(line);
    skipped_.clear();
  }
  if (held_.empty() || (held_.begin()->first > next_line_ && !nothing_comes_)) return false;
  Held held = std::move(held_.begin()->second);
  next_line_ = held_.begin()->first + 1;
  held_.erase(held_.begin());
  held_bytes_ -= held.output.size() + held.errors.size();
  const bool was_in_file = held.in_file;
  release(std::move(held));
  if (was_in_file && --held_in_file_ == 0 && ::ftruncate(file_.get(), 0) == 0) file_bytes_ = 0;
  return true;
}

void JobOutput::skipped(std::uint64_t line) {
  if (!options_.keep_order) return;
  const std::lock_guard lock(mutex_);
  skipped_.push_back(line);
}

LineOutput::Attempt JobOutput::write() {
  while (!chunks_.empty() || release_next()) {
    if (chunks_.empty()) continue;
    const Chunk& chunk = chunks_.front();
    const std::string_view rest = std::string_view(chunk.bytes).substr(written_);
    if (chunk.errors || one_file_) {
      if (!console_.take(rest.substr(0, kConsoleBytes), rest.size() <= kConsoleBytes))
        return {0, LineOutput::Ending::kNotReady, 0};
      if (const int error = console_.error(); one_file_ && error != 0)
        return {0, LineOutput::Ending::kError, error};
      written_ += std::min(rest.size(), kConsoleBytes);
    } else {
      const LineOutput::Attempt attempt = stdout_.write(rest);
      written_ += attempt.bytes;
      if (attempt.ending != LineOutput::Ending::kDone) return attempt;
    }
    if (written_ < chunk.bytes.size()) continue;
    chunks_.pop_front();
    written_ = 0;
  }
  return {};
}

void JobOutput::wait_ready(Duration limit) {
  if (chunks_.empty()) return;
  if (chunks_.front().errors || one_file_) {
    console_.flush(limit);
  } else {
    stdout_.wait_ready(limit);
  }
}

}  // namespace workpool::dispatcher
