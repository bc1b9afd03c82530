// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_reader.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "common/io/bounded_lines.h"
#include "common/io/threads.h"

namespace workpool::dispatcher {
namespace {

// A batch is handed over at this size at the latest, so that the first jobs of a large request are on their
// way while the rest is read.
constexpr std::size_t kBatchJobs = 256;
constexpr std::size_t kBatchBytes = 256 * 1024;

struct Request {
  JobNumber number = 0;
  JobIndex::Entry entry;
};

}  // namespace

struct JobsReader::Impl {
  Impl(int fd, JobsFormat format, const JobIndex& indexed, const JobDefaults& given,
       std::function<void()> woken)
      : index(indexed),
        requirements(indexed.requirements()),
        defaults(given),
        wake(std::move(woken)),
        file(fd),
        mark(FileMark::of(fd)),
        lines(fd, kLineBytesMax),
        parser(format) {}

  void serve() {
    while (!stopping) {
      std::vector<Request> requests;
      {
        const std::lock_guard lock(mutex);
        requests.swap(requested);
      }
      if (requests.empty()) {
        wake_up.wait();
        continue;
      }
      if (const FileMark now = FileMark::of(file); now != mark) {
        mark = now;
        lines.forget();
      }
      LoadedJobs batch;
      batch.jobs.reserve(std::min(requests.size(), kBatchJobs));
      std::size_t batch_bytes = 0;
      for (const Request& request : requests) {
        if (stopping) return;
        if (auto loaded = read(request)) {
          batch_bytes += loaded->work.size();
          batch.jobs.push_back(*std::move(loaded));
        } else {
          batch.changed_lines.push_back(request.entry.line);
        }
        if (batch.jobs.size() >= kBatchJobs || batch_bytes >= kBatchBytes) {
          hand_over(std::exchange(batch, {}));
          batch_bytes = 0;
        }
      }
      hand_over(std::move(batch));
    }
  }

  // The job as it was indexed; nullopt if the line is a different one now.
  std::optional<LoadedJob> read(const Request& request) {
    const JobIndex::Entry& entry = request.entry;
    const auto line = lines.line_at(entry.offset);
    if (!line) return std::nullopt;
    auto parsed = parser.parse(*line);
    auto* job = std::get_if<JobLine>(&parsed);
    if (job == nullptr || job->spec.high != entry.spec_prefix) return std::nullopt;
    const bool given = !job->id.empty();
    if (given != (entry.repeat == 0) || job->priority != entry.priority) return std::nullopt;
    // Labels and slots are in no hash, yet a job of another queue must not be taken for this one.
    if (job->requirement != requirements[entry.requirement]) return std::nullopt;
    const Key key = key_of_id(given ? job->id : default_id(job->spec, entry.repeat));
    if (key.high != entry.key_prefix) return std::nullopt;

    LoadedJob loaded = load_job(std::move(*job), defaults);
    loaded.facts.number = request.number;
    loaded.facts.line = entry.line;
    loaded.facts.repeat = entry.repeat;
    loaded.facts.key = key;
    loaded.facts.requirement = entry.requirement;
    return loaded;
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
    wake();
  }

  // The loop's.
  const JobIndex& index;

  // The thread's.
  const std::vector<Requirement> requirements;
  const JobDefaults defaults;
  const std::function<void()> wake;
  const int file;
  FileMark mark;  // when `lines` was last known to hold what is in the file
  BoundedLines lines;
  JobLineParser parser;

  // Both threads'.
  std::atomic<bool> stopping{false};
  WakeUp wake_up;
  std::mutex mutex;
  std::vector<Request> requested;  // guarded by mutex
  LoadedJobs ready;                // guarded by mutex

  std::thread thread;
};

JobsReader::JobsReader(int fd, JobsFormat format, const JobIndex& index, const JobDefaults& defaults,
                       std::function<void()> wake)
    : impl_(std::make_unique<Impl>(fd, format, index, defaults, std::move(wake))) {
  impl_->thread = start_thread([impl = impl_.get()] { impl->serve(); });
}

JobsReader::~JobsReader() {
  impl_->stopping = true;
  impl_->wake_up.raise();
  impl_->thread.join();
}

void JobsReader::load(const std::vector<JobNumber>& numbers) {
  if (numbers.empty()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const JobNumber number : numbers) impl_->requested.push_back({number, impl_->index.entry(number)});
  }
  impl_->wake_up.raise();
}

LoadedJobs JobsReader::take() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->ready, {});
}

}  // namespace workpool::dispatcher
