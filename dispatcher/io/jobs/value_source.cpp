// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/value_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::string shown_name(const EachSource& source) {
  return source.path == "-" ? "stdin" : printable(source.path);
}

bool has_columns(ValueFormat format) {
  return format != ValueFormat::kLines && format != ValueFormat::kNul && format != ValueFormat::kRawLines;
}

}  // namespace

std::variant<ValueSource, JobsProblem> ValueSource::open(const EachSource& source,
                                                         const EachOptions& options) {
  ValueSource opened(source, options);
  if (!source.is_file) return opened;
  const std::string shown = shown_name(source);
  opened.file_ = Descriptor(source.path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                               : ::open(source.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.file_.is_open()) return JobsProblem{shown + ": cannot be opened: " + reason(errno)};
  struct stat status {};
  if (::fstat(opened.file_.get(), &status) != 0)
    return JobsProblem{shown + ": cannot be examined: " + reason(errno)};
  if (S_ISDIR(status.st_mode))
    return JobsProblem{shown + ": is a directory; give the path of a file of values"};
  opened.regular_ = S_ISREG(status.st_mode) && source.path != "-";
  opened.named_columns_ = options.named_columns;
  const BeforeWait wait_on = [](int) { return true; };
  if (has_columns(options.format) && !opened.read_columns(opened.reader_, wait_on)) {
    if (opened.problem_.empty()) opened.problem_ = shown + ": empty; its first row names the columns";
    return JobsProblem{opened.problem_};
  }
  return opened;
}

// Calls `take` until it has a row, reading more bytes as it needs them. Returns false if there is none.
template <class Take>
bool ValueSource::take_from(ValueReader& reader, const BeforeWait& before_wait, const Take& take) {
  while (true) {
    switch (take()) {
      case ValueReader::Taken::kRow:
        return true;
      case ValueReader::Taken::kMore:
        if (!fill(reader, before_wait)) return false;
        break;
      case ValueReader::Taken::kError:
        describe(reader);
        return false;
      case ValueReader::Taken::kEnd:
        return false;
    }
  }
}

bool ValueSource::read_columns(ValueReader& reader, const BeforeWait& before_wait) {
  return take_from(reader, before_wait, [&] { return reader.read_columns(named_columns_); });
}

void ValueSource::describe(const ValueReader& reader) {
  problem_ = shown_name(*source_) + ":" + std::to_string(reader.line()) + ": " + reader.error();
}

bool ValueSource::fill(ValueReader& reader, const BeforeWait& before_wait) {
  while (regular_ || before_wait(file_.get())) {
    const std::span<char> room = reader.room();
    const ssize_t got = ::read(file_.get(), room.data(), room.size());
    if (got < 0 && errno == EAGAIN) {
      pollfd ready{file_.get(), POLLIN, 0};
      ::poll(&ready, 1, 100);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem_ = shown_name(*source_) + ": cannot be read: " + reason(errno);
    if (got < 0) return false;
    if (got == 0) reader.finish();
    reader.add(static_cast<std::size_t>(got));
    return true;
  }
  return false;
}

bool ValueSource::next(std::vector<std::string>& row, const BeforeWait& before_wait) {
  if (!source_->is_file) {
    if (next_value_ == source_->values.size()) return false;
    row.assign(1, source_->values[next_value_++]);
    return true;
  }
  return next_of(reader_, row, before_wait);
}

bool ValueSource::next_of(ValueReader& reader, std::vector<std::string>& row, const BeforeWait& before_wait) {
  return take_from(reader, before_wait, [&] { return reader.next(row); });
}

std::optional<std::uint64_t> ValueSource::count() {
  if (!source_->is_file) return source_->values.size();
  if (!regular_) return std::nullopt;
  // A reader of its own, from the beginning; the other one goes on where it was.
  const off_t before = ::lseek(file_.get(), 0, SEEK_CUR);
  if (before < 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0) return std::nullopt;
  ValueReader reader(format_, separator_);
  const BeforeWait wait_on = [](int) { return true; };
  std::uint64_t rows = 0;
  std::vector<std::string> row;
  if (!has_columns(format_) || read_columns(reader, wait_on)) {
    while (next_of(reader, row, wait_on)) ++rows;
  }
  ::lseek(file_.get(), before, SEEK_SET);
  return rows;
}

}  // namespace workpool::dispatcher
