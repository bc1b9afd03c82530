// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_indexer.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "common/base/ids.h"
#include "common/base/text.h"
#include "common/formats/jobs_shape.h"
#include "common/formats/line_splitter.h"
#include "common/io/bounded_lines.h"
#include "common/io/threads.h"
#include "dispatcher/core/job_facts.h"

namespace workpool::dispatcher {
namespace {

constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 40;  // offsets in the index have 40 bits
constexpr std::size_t kExtendBytes = 64 * 1024;  // read at a time for a line that goes on after its segment
constexpr std::size_t kBlockBytes = 256 * 1024;

// What the merge needs of a job. Its line number counts from the first line of the segment.
struct SegmentJob {
  Spec spec;
  std::uint64_t key_prefix = 0;  // of the given id, or of the default id without ordinal
  std::uint64_t offset = 0;
  std::uint32_t line = 0;
  std::uint32_t requirement = 0;  // into the segment's own list
  std::int32_t priority = 0;
  bool given = false;
};

// The lines that start in [begin, end), read and parsed by one thread. Kept between segments for its buffers.
class Segment {
 public:
  explicit Segment(const JobsForm& form)
      : parser_(form.format, form.defaults),
        defaults_at_(form.defaults_at),
        lines_(kLineBytesMax, kBlockBytes) {}

  void run(int fd, std::uint64_t begin, std::uint64_t end) {
    jobs_.clear();
    requirements_.clear();
    requirement_numbers_.clear();
    last_requirement_ = 0;
    errors_.clear();
    error_count_ = 0;
    line_ = 0;
    problem_.clear();
    // Starts one byte early, which shows whether a line starts at `begin`. The line of that byte belongs to
    // the segment before, however long it is.
    bool before = begin != 0;
    lines_.restart(before ? begin - 1 : 0);
    LineSplitter::Line line;
    while (lines_.position() < end) {
      if (lines_.next(line)) {
        if (!std::exchange(before, false)) take_line(line);
      } else if (lines_.finished()) {
        return;
      } else if (lines_.end_of_bytes() >= end && (before || lines_.in_long_line())) {
        line.too_long = true;
        if (!before) take_line(line);  // the rest of it does not matter
        return;
      } else if (!read_more(fd, end)) {
        return;
      }
    }
  }

  const std::vector<SegmentJob>& jobs() const { return jobs_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  const std::vector<JobsError>& errors() const { return errors_; }
  std::uint64_t error_count() const { return error_count_; }
  std::uint64_t lines() const { return line_; }
  const std::string& problem() const { return problem_; }

 private:
  // Reads up to the end of the segment first, which is known to be there, then on to the end of a line.
  bool read_more(int fd, std::uint64_t end) {
    const std::uint64_t at = lines_.end_of_bytes();
    const std::span<char> room = lines_.room();
    const std::size_t size = std::min<std::uint64_t>(room.size(), at < end ? end - at : kExtendBytes);
    const std::int64_t got = read_at(fd, room.data(), size, at);
    if (got < 0) problem_ = "cannot be read: " + std::generic_category().message(errno);
    if (got >= 0 && at < end && static_cast<std::size_t>(got) < size)
      problem_ = "became shorter while it was read";
    if (!problem_.empty()) return false;
    lines_.add(static_cast<std::size_t>(got));
    if (got == 0) lines_.finish();
    return true;
  }

  void take_line(const LineSplitter::Line& line) {
    ++line_;
    auto parsed = line.too_long ? line_too_long() : parser_.parse(line.text);
    if (auto* error = std::get_if<LineError>(&parsed)) {
      if (line.offset == defaults_at_) return;  // no job, but in its place
      ++error_count_;
      if (errors_.size() < IndexReport::kErrorsMax) {
        errors_.push_back({line_, error->column, std::move(error->message)});
      }
    } else if (const auto* job = std::get_if<JobView>(&parsed)) {
      SegmentJob kept;
      kept.spec = job->spec;
      kept.given = !job->id.empty();
      kept.key_prefix = (kept.given ? key_of_id(job->id) : key_of_default_id(job->spec, 1)).high;
      kept.offset = line.offset;
      kept.line = static_cast<std::uint32_t>(line_);
      kept.priority = job->priority;
      kept.requirement = number_of(job->requirement);
      jobs_.push_back(kept);
    }
  }

  std::uint32_t number_of(const RequirementView& requirement) {
    // Lines of a kind follow one another, mostly.
    if (!requirements_.empty() && requirements_[last_requirement_] == requirement) return last_requirement_;
    if (const auto known = requirement_numbers_.find(requirement); known != requirement_numbers_.end())
      return last_requirement_ = known->second;
    last_requirement_ = static_cast<std::uint32_t>(requirements_.size());
    requirements_.push_back(requirement.own());
    requirement_numbers_.emplace(requirements_.back(), last_requirement_);
    return last_requirement_;
  }

  JobLineParser parser_;
  const std::optional<std::uint64_t> defaults_at_;
  LineSplitter lines_;
  std::vector<SegmentJob> jobs_;
  std::vector<Requirement> requirements_;
  RequirementMap<std::uint32_t> requirement_numbers_;
  std::uint32_t last_requirement_ = 0;  // the number of that of the last job
  std::vector<JobsError> errors_;
  std::uint64_t error_count_ = 0;
  std::uint64_t line_ = 0;  // the last one, counted from 1
  std::string problem_;
};

// Puts segments into the index in the order of the file: numbers default ids, finds ids that are used twice.
class Merger {
 public:
  Merger(int fd, const JobsForm& form, JobIndex& index, IndexReport& report)
      : lines_(fd, kLineBytesMax), parser_(form.format, form.defaults), index_(index), report_(report) {}

  void take(const Segment& segment) {
    std::vector<JobsError> errors;
    for (JobsError error : segment.errors()) {
      error.line += report_.lines;
      errors.push_back(std::move(error));
    }
    report_.error_count += segment.error_count();
    std::vector<std::uint32_t> requirement_numbers;
    for (const Requirement& requirement : segment.requirements()) {
      requirement_numbers.push_back(index_.requirement_number(requirement));
    }
    constexpr std::size_t kExpectAhead = 16;
    const std::vector<SegmentJob>& jobs = segment.jobs();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (i + kExpectAhead < jobs.size()) index_.ids().expect(jobs[i + kExpectAhead].key_prefix);
      const SegmentJob& job = jobs[i];
      if (index_.size() == JobIndex::kJobsMax) {
        report_.problem = JobsProblem{"more than " + std::to_string(JobIndex::kJobsMax) + " jobs"};
        return;
      }
      JobIndex::Entry entry;
      entry.key_prefix = job.key_prefix;
      entry.spec_prefix = job.spec.high;
      entry.offset = job.offset;
      entry.line = report_.lines + job.line;
      entry.repeat = job.given ? 0 : 1;
      entry.requirement = requirement_numbers[job.requirement];
      entry.priority = job.priority;
      if (!add(entry, job.spec, errors)) ++report_.error_count;
    }
    report_.lines += segment.lines();
    std::sort(errors.begin(), errors.end(),
              [](const JobsError& left, const JobsError& right) { return left.line < right.line; });
    for (JobsError& error : errors) {
      if (report_.errors.size() < IndexReport::kErrorsMax) report_.errors.push_back(std::move(error));
    }
  }

 private:
  // Returns false if another job has the same id.
  bool add(JobIndex::Entry& entry, const Spec& spec, std::vector<JobsError>& errors) {
    JobRegister& ids = index_.ids();
    auto other = ids.find_prefix(entry.key_prefix);
    if (other && entry.repeat == 1) {
      entry.repeat = ids.next_repeat(entry.key_prefix, entry.spec_prefix);
      if (entry.repeat > 1) entry.key_prefix = key_of_default_id(spec, entry.repeat).high;
      other = ids.find_prefix(entry.key_prefix);
    }
    if (other && is_duplicate(entry, spec, *other, errors)) return false;
    index_.add(entry);
    return true;
  }

  // For equal prefixes: whether the ids are equal, too. Both lines are read again, at most kErrorsMax times
  // in a file with duplicates; further ones are only counted.
  bool is_duplicate(const JobIndex::Entry& entry, const Spec& spec, JobNumber other_number,
                    std::vector<JobsError>& errors) {
    if (report_.errors.size() == IndexReport::kErrorsMax || errors.size() >= 2 * IndexReport::kErrorsMax)
      return true;
    const JobIndex::Entry other = index_.entry(other_number);
    std::uint64_t column = 1;
    const auto other_id = id_of(other, nullptr);
    const auto id = entry.repeat == 0 ? id_of(entry, &column) : default_id(spec, entry.repeat);
    if (other_id && id && *other_id != *id) return false;
    if (id) errors.push_back({entry.line, column, describe(entry, *id, other)});
    return true;
  }

  static std::string describe(const JobIndex::Entry& entry, const std::string& id,
                              const JobIndex::Entry& other) {
    const std::string shown = '"' + printable(id, 80) + '"';
    const std::string place = "line " + std::to_string(other.line);
    if (entry.repeat != 0) {
      return "this job has no id, and its default id " + shown + " is already used on " + place +
             ": give it an id of its own";
    }
    if (other.repeat != 0)
      return "the id " + shown + " is the default id of the job on " + place + ": choose another";
    return "the id " + shown + " is used twice, first on " + place + ": ids must be unique in a file";
  }

  // The full id, read from the line; nullopt if the file has changed since.
  std::optional<std::string> id_of(const JobIndex::Entry& entry, std::uint64_t* column) {
    const auto line = lines_.line_at(entry.offset);
    if (!line) return std::nullopt;
    auto parsed = parser_.parse(*line);
    const auto* job = std::get_if<JobView>(&parsed);
    if (job == nullptr) return std::nullopt;
    if (column != nullptr) *column = id_column(*line);
    return entry.repeat == 0 ? std::string(job->id) : default_id(job->spec, entry.repeat);
  }

  BoundedLines lines_;
  JobLineParser parser_;
  JobIndex& index_;
  IndexReport& report_;
};

// From samples spread over the whole file, since its beginning says nothing of the rest; plus a tenth.
std::uint64_t estimated_lines(int fd, std::uint64_t file_bytes) {
  constexpr std::uint64_t kSamples = 64;
  constexpr std::size_t kSampleBytes = 4096;
  std::array<char, kSampleBytes> sample{};
  std::uint64_t lines = 0;
  std::uint64_t bytes = 1;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const std::int64_t got = read_at(fd, sample.data(), sample.size(), file_bytes / kSamples * i);
    if (got <= 0) continue;
    lines += static_cast<std::uint64_t>(std::count(sample.begin(), sample.begin() + got, '\n'));
    bytes += static_cast<std::uint64_t>(got);
  }
  const double density = static_cast<double>(lines) / static_cast<double>(bytes);
  return static_cast<std::uint64_t>(1.1 * density * static_cast<double>(file_bytes)) + 1;
}

// One wave: as many segments as threads, parsed while the wave before is merged.
class Waves {
 public:
  Waves(int fd, const JobsForm& form, std::uint64_t file_bytes, std::uint64_t segment_bytes, unsigned threads)
      : fd_(fd), file_bytes_(file_bytes), segment_bytes_(segment_bytes) {
    for (unsigned i = 0; i < 2 * threads; ++i) segments_.push_back(std::make_unique<Segment>(form));
    threads_.reserve(threads);
  }
  ~Waves() { join(); }  // also if run() throws: the threads write into the segments
  Waves(const Waves&) = delete;
  Waves& operator=(const Waves&) = delete;

  void run(Merger& merger, JobIndex& index, IndexReport& report) {
    const std::size_t width = segments_.size() / 2;
    std::size_t parsed = start(0, width);
    join();
    for (std::size_t half = 0; parsed > 0 && !report.problem; half = 1 - half) {
      const std::size_t next = start(1 - half, width);
      for (std::size_t i = 0; i < parsed && !report.problem; ++i) {
        const Segment& segment = *segments_[half * width + i];
        if (!segment.problem().empty()) report.problem = JobsProblem{segment.problem()};
        if (report.problem) break;
        if (report.lines == 0) reserve(index, segment);
        merger.take(segment);
      }
      join();
      parsed = next;
    }
  }

 private:
  // Starts the next wave in one half of the segments; returns how many of them have something to do.
  std::size_t start(std::size_t half, std::size_t width) {
    std::size_t started = 0;
    for (; started < width && next_ < file_bytes_; ++started) {
      const std::uint64_t begin = next_;
      next_ = std::min(file_bytes_, begin + segment_bytes_);
      Segment* segment = segments_[half * width + started].get();
      const auto body = [this, segment, begin, end = next_] { segment->run(fd_, begin, end); };
      if (width == 1 || !run_beside(body)) body();
    }
    return started;
  }
  // Returns false if the system has no thread left. This thread then does the work itself.
  bool run_beside(const std::function<void()>& body) {
    try {
      threads_.push_back(start_thread(body));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // If this is too little, the index grows.
  void reserve(JobIndex& index, const Segment& first) const {
    index.reserve(file_bytes_ <= segment_bytes_ ? first.jobs().size() : estimated_lines(fd_, file_bytes_));
  }

  int fd_;
  std::uint64_t file_bytes_;
  std::uint64_t segment_bytes_;
  std::uint64_t next_ = 0;
  std::vector<std::unique_ptr<Segment>> segments_;
  std::vector<std::thread> threads_;
};

// The error for a file of another shape than its format's. It is the only one, since errors of the lines
// would hide it.
std::optional<JobsError> misshapen(int fd, JobsFormat format) {
  // Nearly every file is judged by its first line; a single line that is longer is read as far as it may go.
  for (const std::size_t bytes : {std::size_t{16 * 1024}, kLineBytesMax + 1}) {
    std::string start(bytes, '\0');
    const std::int64_t got = read_at(fd, start.data(), bytes, 0);
    if (got < 0) return std::nullopt;  // indexing will fail as well, and say why
    start.resize(static_cast<std::size_t>(got));
    const JobsShape shape = jobs_shape(start, start.size() < bytes, format);
    if (shape == JobsShape::kAsExpected) return std::nullopt;
    if (shape == JobsShape::kUndecided) continue;
    const std::string_view before = std::string_view(start).substr(0, first_job_place(start, format));
    const auto line = static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    const std::size_t line_start = line == 1 ? byte_order_mark_bytes(start) : before.rfind('\n') + 1;
    return JobsError{line, before.size() - line_start + 1, advice_for(shape, format)};
  }
  return std::nullopt;
}

}  // namespace

IndexReport index_jobs_file(const JobsInput& input, const JobsForm& form, JobIndex& index,
                            const IndexOptions& options) {
  IndexReport report;
  struct stat status {};
  if (fstat(input.fd(), &status) != 0) {
    report.problem = JobsProblem{"cannot be examined: " + std::generic_category().message(errno)};
  } else if (static_cast<std::uint64_t>(status.st_size) > kFileBytesMax) {
    report.problem = JobsProblem{"larger than 1 TiB: split it"};
  }
  if (!report.problem) {
    auto error = misshapen(input.fd(), form.format);
    if (!error) error = form.error;
    if (error) {
      report.error_count = 1;
      report.errors.push_back(*std::move(error));
    }
  }
  if (report.ok()) {
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    unsigned threads =
        options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
    if (bytes <= options.segment_bytes) threads = 1;
    Merger merger(input.fd(), form, index, report);
    Waves(input.fd(), form, bytes, options.segment_bytes, threads).run(merger, index, report);
  }
  if (report.problem) report.problem->message = input.shown_path() + ": " + report.problem->message;
  index.seal();
  return report;
}

std::string format_errors(const std::string& shown_path, const IndexReport& report) {
  if (report.problem) return "workpool-dispatcher: " + report.problem->message;
  std::string text;
  for (const JobsError& error : report.errors) {
    text += (text.empty() ? "" : "\n") + shown_path + ':' + std::to_string(error.line) + ':' +
            std::to_string(error.column) + ": " + error.message;
  }
  if (report.error_count > report.errors.size()) {
    text += '\n' + shown_path + ": " + counted(report.error_count - report.errors.size(), "more error");
  }
  return text;
}

}  // namespace workpool::dispatcher
