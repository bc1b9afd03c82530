// SPDX-License-Identifier: MIT
// The jobs that are open and have left the backlog: being read, ready, in a backoff, or with a worker. A row
// is given to each; a Handle (row and generation) names it on the wire and stays unique when the row is
// used again.
//
//   backlog ──> Loading ──> Loaded ──> Assigned ──> (recorded, row freed)
//                  ^                      │
//                  │                      ├── returned, lost ──> Waiting
//                  │                      └── lost again, retried ──> Backoff ──> Waiting
//                  └── Waiting
//
// A job whose source does not keep its payload (`only_copy`) is Loaded when others would be Waiting. Whatever
// the state, a worker may name the job as one that it holds (adopted: Assigned) or hand over its result:
// recorded, or for a failure that is retried Backoff.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/boxed.h"
#include "common/base/ids.h"
#include "common/base/job.h"
#include "common/base/key_index.h"
#include "common/base/shared_bytes.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "dispatcher/core/job_facts.h"

namespace workpool::dispatcher {

// A place in the table of open jobs, used again once its job is recorded. What a worker has room for is a
// slot, never this.
using JobRow = std::uint32_t;

// Its line is being read.
struct Loading {};
// Requeued without its payload: to be read again before it can be given out.
struct Waiting {};
// Its payload is here.
struct Loaded {};
struct Backoff {};   // waits until ActiveJob::ready_since
struct Assigned {};  // held by a session at least: the holdings say by whom
using JobState = std::variant<Loading, Waiting, Loaded, Backoff, Assigned>;

// A result that came before the line of its job was read again (handed over to a restarted dispatcher).
struct EarlyResult {
  JobResult result;
  SessionId from;
  std::string worker;
  std::vector<std::pair<SessionId, std::uint64_t>> acks;  // sink messages that wait for its record
};

// What has gone wrong with a job.
struct Trouble {
  std::uint32_t failures = 0;     // attempts that used up a retry
  std::uint32_t last_failed = 0;  // the last of these
  std::uint32_t losses = 0;       // attempts lost with a worker
  std::uint32_t named = 0;        // deaths that named it
  std::uint32_t lost = 0;         // deaths that it may have caused
  std::string last_worker;        // that died or was lost with it
};
inline const Trouble kNoTrouble;

// Thousands are open, more than fit the nearest caches, and each is looked at a few times: what most jobs
// never have is kept apart, and a row is a whole number of cache lines.
struct alignas(64) ActiveJob {
  JobFacts facts;
  SharedBytes work;           // while Loaded; if `only_copy`, until it is recorded
  Time ready_since;           // of the next attempt; in a backoff, when that ends
  std::uint32_t attempt = 0;  // the last one given
  JobState state;
  bool known : 1 = false;          // facts are complete (its line has been read at least once)
  bool loading : 1 = false;        // a Load is out for it, whatever its state
  bool only_copy : 1 = false;      // its source does not keep its payload: it cannot be loaded again
  bool reuse_attempt : 1 = false;  // it came back unstarted
  std::unique_ptr<EarlyResult> early;

  const Trouble& trouble() const { return trouble_ ? *trouble_ : kNoTrouble; }
  Trouble& change_trouble() { return trouble_ ? *trouble_ : trouble_.emplace(); }

 private:
  Boxed<Trouble> trouble_;
};
static_assert(sizeof(ActiveJob) == 3 * 64);

class JobTable {
 public:
  JobRow add();
  // Makes the job findable by this key, and no longer by any other. Returns false and does nothing if a row
  // has the key already.
  bool set_key(JobRow row, const Key& key);
  bool keyed(JobRow row) const { return lives_[row].keyed; }
  void remove(JobRow row);
  ActiveJob& at(JobRow row) { return chunks_[row / kChunk][row % kChunk]; }
  const ActiveJob& at(JobRow row) const { return chunks_[row / kChunk][row % kChunk]; }
  // Entries of a queue with another stamp than their job's are stale.
  std::uint32_t& queue_stamp(JobRow row) { return lives_[row].queue_stamp; }
  std::uint32_t queue_stamp(JobRow row) const { return lives_[row].queue_stamp; }
  Handle handle(JobRow row) const;
  std::optional<JobRow> find(Handle handle) const;  // nullopt for 0 and for a generation that is over
  std::optional<JobRow> find(const Key& key) const {
    std::optional<JobRow> found;
    by_key_.any(key, [&](JobRow row) {
      if (at(row).facts.key == key) found = row;
      return found.has_value();
    });
    return found;
  }
  std::size_t size() const { return lives_.size() - free_.size(); }
  // Rows ever used; `used` tells whether one is in use.
  JobRow rows() const { return static_cast<JobRow>(lives_.size()); }
  bool used(JobRow row) const { return lives_[row].used; }

 private:
  // Apart from the jobs: what is asked of every handle and queue entry fits the nearest cache.
  struct Life {
    std::uint32_t generation = 1;
    std::uint32_t queue_stamp = 0;
    bool used = false;
    bool keyed = false;
  };
  static constexpr JobRow kChunk = 64;
  std::vector<std::unique_ptr<ActiveJob[]>> chunks_;  // of kChunk rows each: addresses stay
  std::vector<Life> lives_;                           // the same rows
  std::vector<JobRow> free_;
  KeyIndex by_key_;
};

}  // namespace workpool::dispatcher
