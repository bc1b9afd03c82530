// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_reader.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "common/io/bounded_lines.h"
#include "common/io/leavable_thread.h"

namespace workpool::dispatcher {
namespace {

// A batch is read and handed over at this size at the latest, so that the first jobs of a large request are
// on their way while the rest is read.
constexpr std::size_t kBatchJobs = 256;
constexpr std::size_t kBatchBytes = 256 * 1024;
// Lines no further apart than this are read in one go, with what is between them.
constexpr std::uint64_t kGapMost = 1 << 10;
constexpr std::uint64_t kLastLineBytes = 512;
// A file of at most this size is read once as a whole as soon as a batch needs so many reads: with 10,000
// priorities each job was a read of its own, which was a fifth of its cost.
constexpr std::int64_t kHeldBytesMost = 16 << 20;
constexpr std::size_t kReadsMost = 64;
constexpr Duration kLeaveMax = milliseconds(200);

struct Request {
  JobNumber number = 0;
  JobIndex::Entry entry;
  std::uint64_t end = 0;  // of its line at the latest; of the last line a guess
};

Request request_for(const JobIndex& index, JobNumber number) {
  const JobIndex::Entry entry = index.entry(number);
  const bool is_last = number + 1 == index.size();
  return {number, entry, is_last ? entry.offset + kLastLineBytes : index.offset(number + 1)};
}

// A request's turn in the order of the file.
struct Turn {
  std::size_t place = 0;    // in the batch
  std::uint64_t until = 0;  // what is needed next goes up to here without a gap
};

}  // namespace

struct JobsReader::Impl {
  Impl(int fd, const JobsForm& form, const JobIndex& indexed, std::function<void()> woken)
      : index(indexed),
        requirements(indexed.requirements()),
        defaults(form.defaults),
        wake(std::move(woken)),
        file(fd),
        mark(FileMark::of(fd)),
        lines(fd, kLineBytesMax),
        parser(form.format, form.defaults) {
    const bool as_they_are = form.format == JobsFormat::kJsonLines && !defaults->change_lines();
    for (const Requirement& requirement : requirements)
      is_bare.push_back(as_they_are && requirement.labels.empty() && requirement.slots == 1);
  }

  void serve() {
    while (!stopping) {
      std::vector<Request> requests;
      std::vector<Request> asked;
      {
        const std::lock_guard lock(mutex);
        requests.swap(requested);
        asked.swap(to_describe);
      }
      if (requests.empty() && asked.empty()) {
        wake_up.wait();
        continue;
      }
      if (const FileMark now = FileMark::of(file); now != mark) {
        mark = now;
        held = false;
        lines.forget();
      }
      for (std::span<const Request> rest(requests); !rest.empty() && !stopping;) {
        const std::size_t size = batch_size(rest);
        hand_over(read_batch(rest.first(size)));
        rest = rest.subspan(size);
      }
      for (const Request& request : asked) describe(request);
    }
  }

  void describe(const Request& request) {
    auto loaded = read(request, request.end);
    {
      const std::lock_guard lock(mutex);
      descriptions.push_back({request.number, loaded ? std::move(loaded->work) : SharedBytes()});
    }
    wake.make();
  }

  static std::size_t batch_size(std::span<const Request> requests) {
    std::size_t size = 0;
    std::uint64_t bytes = 0;
    do {
      bytes += requests[size].end - requests[size].entry.offset;
      ++size;
    } while (size < requests.size() && size < kBatchJobs && bytes < kBatchBytes);
    return size;
  }

  // Reads in the order of the file: jobs of different requirements or priorities are asked for in another
  // one, and yet they are often neighbours.
  LoadedJobs read_batch(std::span<const Request> requests) {
    const std::size_t reads = plan(requests);
    if (reads > kReadsMost && mark.size <= kHeldBytesMost && !std::exchange(held, true))
      lines.hold_all(static_cast<std::size_t>(mark.size));
    jobs.resize(requests.size());
    for (const Turn& turn : turns) jobs[turn.place] = read(requests[turn.place], turn.until);
    LoadedJobs batch;
    batch.jobs.reserve(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (jobs[i]) {
        batch.jobs.push_back(*std::move(jobs[i]));
      } else {
        batch.changed_lines.push_back(requests[i].entry.line);
      }
    }
    return batch;
  }

  // Returns how many reads it takes if nothing has been read yet.
  std::size_t plan(std::span<const Request> requests) {
    turns.clear();
    for (std::size_t i = 0; i < requests.size(); ++i) turns.push_back({i, requests[i].end});
    const auto earlier = [&](const Turn& left, const Turn& right) {
      return requests[left.place].entry.offset < requests[right.place].entry.offset;
    };
    if (!std::is_sorted(turns.begin(), turns.end(), earlier)) std::sort(turns.begin(), turns.end(), earlier);
    std::size_t reads = 1;
    for (std::size_t i = turns.size() - 1; i > 0; --i) {
      Turn& before = turns[i - 1];
      if (requests[turns[i].place].entry.offset <= before.until + kGapMost) {
        before.until = turns[i].until;
      } else {
        ++reads;
      }
    }
    return reads;
  }

  // The job as it was indexed; nullopt if the line is a different one now.
  std::optional<LoadedJob> read(const Request& request, std::uint64_t until) {
    const JobIndex::Entry& entry = request.entry;
    const auto line = lines.line_at(entry.offset, until);
    if (!line) return std::nullopt;
    if (auto loaded = as_indexed(request, *line)) return loaded;
    auto parsed = parser.parse(*line);
    const auto* job = std::get_if<JobView>(&parsed);
    if (job == nullptr || job->spec.high != entry.spec_prefix) return std::nullopt;
    const bool given = !job->id.empty();
    if (given != (entry.repeat == 0) || job->priority != entry.priority) return std::nullopt;
    // Labels and slots are in no hash, yet a job of another queue must not be taken for this one.
    if (requirements[entry.requirement] != job->requirement) return std::nullopt;
    const Key key = given ? key_of_id(job->id) : key_of_default_id(job->spec, entry.repeat);
    if (key.high != entry.key_prefix) return std::nullopt;

    LoadedJob loaded = load_job(*job, *defaults, works);
    identify(loaded.facts, request, key);
    return loaded;
  }

  // A line that is nothing but its work hashes to its spec. It was found valid when it was indexed, so it
  // need not be parsed again. Nullopt: it is to be parsed.
  std::optional<LoadedJob> as_indexed(const Request& request, std::string_view line) {
    const JobIndex::Entry& entry = request.entry;
    if (entry.repeat == 0 || entry.priority != 0 || !is_bare[entry.requirement]) return std::nullopt;
    const Spec spec = spec_of_work(line);
    if (spec.high != entry.spec_prefix) return std::nullopt;
    const Key key = key_of_default_id(spec, entry.repeat);
    if (key.high != entry.key_prefix) return std::nullopt;
    JobView job;
    job.work = line;
    job.spec = spec;
    LoadedJob loaded = load_job(job, *defaults, works);
    identify(loaded.facts, request, key);
    return loaded;
  }

  static void identify(JobFacts& facts, const Request& request, const Key& key) {
    facts.number = request.number;
    facts.line = request.entry.line;
    facts.repeat = request.entry.repeat;
    facts.key = key;
    facts.requirement = request.entry.requirement;
  }

  void hand_over(LoadedJobs&& batch) {
    if (batch.jobs.empty() && batch.changed_lines.empty()) return;
    {
      const std::lock_guard lock(mutex);
      if (ready.jobs.empty()) {
        ready.jobs.swap(batch.jobs);
      } else {
        ready.jobs.insert(ready.jobs.end(), std::make_move_iterator(batch.jobs.begin()),
                          std::make_move_iterator(batch.jobs.end()));
      }
      ready.changed_lines.insert(ready.changed_lines.end(), batch.changed_lines.begin(),
                                 batch.changed_lines.end());
    }
    wake.make();
  }

  // The loop's.
  const JobIndex& index;

  // The thread's.
  const std::vector<Requirement> requirements;
  std::vector<bool> is_bare;  // by requirement: lines of it may be nothing but their work
  const std::shared_ptr<const JobDefaults> defaults;
  WakeCall wake;
  const int file;
  FileMark mark;      // when `lines` was last known to hold what is in the file
  bool held = false;  // since then the whole file has been read
  BoundedLines lines;
  JobLineParser parser;
  SharedBytesPacker works;
  std::vector<Turn> turns;                     // of the batch that is read
  std::vector<std::optional<LoadedJob>> jobs;  // the same

  // Both threads'.
  std::atomic<bool> stopping{false};
  WakeUp wake_up;
  std::mutex mutex;
  std::vector<Request> requested;  // guarded by mutex, like the next three
  std::vector<Request> to_describe;
  std::vector<DescribedJob> descriptions;
  LoadedJobs ready;

  LeavableThread thread;
};

JobsReader::JobsReader(int fd, const JobsForm& form, const JobIndex& index, std::function<void()> wake)
    : impl_(std::make_shared<Impl>(fd, form, index, std::move(wake))) {
  impl_->thread.start([impl = impl_] { impl->serve(); });
}

JobsReader::~JobsReader() {
  impl_->stopping = true;
  impl_->wake_up.raise();
  if (!impl_->thread.ends_within(kLeaveMax)) impl_->wake.cancel();  // it hangs in pread(2)
}

void JobsReader::load(const std::vector<JobNumber>& numbers) {
  if (numbers.empty()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const JobNumber number : numbers) impl_->requested.push_back(request_for(impl_->index, number));
  }
  impl_->wake_up.raise();
}

void JobsReader::describe(JobNumber number) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->to_describe.push_back(request_for(impl_->index, number));
  }
  impl_->wake_up.raise();
}

std::vector<DescribedJob> JobsReader::take_described() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->descriptions, {});
}

LoadedJobs JobsReader::take() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->ready, {});
}

}  // namespace workpool::dispatcher
