// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_book.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

// Payloads read ahead of their dispatch; a single larger one is still read when its requirement has nothing
// else.
constexpr std::uint64_t kReadyBytesMost = 64ull << 20;
}  // namespace

JobBook::JobBook(JobIndex& index, RequirementClasses& classes, std::uint32_t crash_limit)
    : index_(index), classes_(classes), crash_limit_(crash_limit) {}

JobRow JobBook::take_from_backlog(JobNumber number) {
  const JobIndex::Entry entry = index_.entry(number);
  CHECK(index_.take(number));
  const JobRow row = table_.add();
  ActiveJob& job = table_.at(row);
  job.facts.number = number;
  job.facts.line = entry.line;
  job.facts.requirement = entry.requirement;
  job.facts.priority = entry.priority;
  job.facts.slots = classes_.at(entry.requirement).requirement().slots;
  job.state = Waiting{};
  class_of(job).add_job();
  return row;
}

void JobBook::ask(JobRow row, Load& load) {
  ActiveJob& job = table_.at(row);
  if (job.loading) return;
  job.loading = true;
  asked_.push_back({table_.handle(row), job.facts.number});
  load.jobs.push_back(job.facts.number);
}

void JobBook::start_loading(JobRow row, Load& load) {
  ActiveJob& job = table_.at(row);
  class_of(job).start_loading({job.facts.priority, job.facts.number});
  job.state = Loading{};
  ask(row, load);
}

std::optional<QueueRank> JobBook::unread_rank(std::uint32_t requirement) const {
  const RequirementClass& group = classes_.at(requirement);
  if (!group.ready().empty()) return std::nullopt;
  std::optional<QueueRank> best = group.loading_rank();
  const auto consider = [&best](const QueueRank& rank) {
    if (!best || rank.before(*best)) best = rank;
  };
  if (const auto fresh = index_.front(requirement)) consider({index_.priority(*fresh), *fresh});
  if (const auto again = group.waiting().front(table_)) consider(again->rank);
  return best;
}

std::optional<QueueRank> JobBook::head_rank(std::uint32_t requirement) const {
  const auto ready = front(requirement);
  return ready ? ready->rank : unread_rank(requirement);
}

std::optional<JobRow> JobBook::find(const Key& key, const Spec& spec, Load& load) {
  if (const auto row = table_.find(key)) {
    if (table_.at(*row).facts.spec != spec) return std::nullopt;
    return row;
  }
  const auto number = index_.find(key);
  if (!number || !index_.ids().has_spec(*number, spec)) return std::nullopt;
  std::optional<JobRow> row;
  if (!index_.taken(*number)) {
    row = take_from_backlog(*number);
    start_loading(*row, load);
  } else {
    // Its line may be on its way; until it is here only its number is known.
    for (const Asked& asked : asked_) {
      if (asked.number == *number) row = table_.find(asked.handle);
    }
  }
  // A row with a key has another key: the index knows only the first half, which a worker may have made up.
  if (!row || table_.keyed(*row)) return std::nullopt;
  table_.at(*row).facts.spec = spec;
  CHECK(table_.set_key(*row, key));
  return row;
}

std::uint64_t JobBook::waiting(std::uint32_t requirement) const {
  const RequirementClass& group = classes_.at(requirement);
  return group.ready().size() + group.loading() + unread(requirement);
}

std::uint64_t JobBook::unread(std::uint32_t requirement) const {
  return index_.open(requirement) + classes_.at(requirement).waiting().size();
}

bool JobBook::fetch(std::uint32_t requirement, std::size_t want, Load& load) {
  const RequirementClass& group = classes_.at(requirement);
  std::size_t under_way = group.ready().size() + group.loading();
  while (under_way < want) {
    const auto fresh = index_.front(requirement);
    const auto again = group.waiting().front(table_);
    if (!fresh && !again) return true;
    const bool may_ask = load.jobs.size() < kLoadMost && (ready_bytes_ < kReadyBytesMost || under_way == 0);
    if (!may_ask) return false;
    JobRow row = 0;
    if (again && (!fresh || again->rank.before({index_.priority(*fresh), *fresh}))) {
      row = classes_.change(requirement).queue(false, false).pop(table_);
    } else {
      row = take_from_backlog(*fresh);
    }
    ++under_way;
    start_loading(row, load);
  }
  return true;
}

void JobBook::fetch_alone(Load& load) {
  for (const std::uint32_t requirement : with_alone_) {
    while (!classes_.at(requirement).queue(false, true).empty() && load.jobs.size() < kLoadMost)
      start_loading(classes_.change(requirement).queue(false, true).pop(table_), load);
  }
}

void JobBook::fetch_choosy(Load& load) {
  while (!choosy_[1].empty() && load.jobs.size() < kLoadMost) {
    const JobRow row = choosy_[1].begin()->row;
    choosy_[1].erase(choosy_[1].begin());
    start_loading(row, load);
  }
}

std::optional<JobRow> JobBook::loaded(LoadedJob&& loaded, Time now) {
  // A line that has changed under the run is not answered: what was asked before this one never comes.
  while (!asked_.empty() && asked_.front().number != loaded.facts.number) asked_.pop_front();
  CHECK(!asked_.empty());
  const auto found = table_.find(asked_.front().handle);
  asked_.pop_front();
  if (!found) return std::nullopt;  // recorded in the meantime
  const JobRow row = *found;
  ActiveJob& job = table_.at(row);
  job.loading = false;
  table_.set_key(row, loaded.facts.key);  // a worker may have named it by now
  if (!job.known) {
    job.facts = std::move(loaded.facts);
    job.known = true;
  }
  if (std::holds_alternative<Loading>(job.state)) {
    if (job.attempt == 0) job.ready_since = now;
    class_of(job).end_loading();
    make_ready(row, std::move(loaded.work));
  }
  return row;
}

void JobBook::arrived(LoadedJob&& arrived, Time now) {
  const JobRow row = table_.add();
  ActiveJob& job = table_.at(row);
  job.facts = std::move(arrived.facts);
  job.ready_since = now;
  job.only_copy = true;
  job.known = true;
  class_of(job).add_job();
  CHECK(table_.set_key(row, job.facts.key));
  make_ready(row, std::move(arrived.work));
}

void JobBook::make_ready(JobRow row, SharedBytes&& work) {
  ActiveJob& job = table_.at(row);
  job.work = std::move(work);
  ready_bytes_ += job.work.size();
  job.state = Loaded{};
  queue_up(row);
}

void JobBook::queue_up(JobRow row) {
  ActiveJob& job = table_.at(row);
  if (is_choosy(job)) {
    const bool is_loaded = std::holds_alternative<Loaded>(job.state);
    choosy_[is_loaded ? 0 : 1].insert({row, {job.facts.priority, job.facts.number}});
    class_of(job);  // is to be looked at
    return;
  }
  if (must_run_alone(job)) with_alone_.insert(job.facts.requirement);
  queue_of(job).push(table_, row);
}

// REQUIRES: it is Loaded or Waiting.
void JobBook::leave_queue(JobRow row) {
  const ActiveJob& job = table_.at(row);
  if (!is_choosy(job)) return queue_of(job).remove(table_, row);
  const bool is_loaded = std::holds_alternative<Loaded>(job.state);
  choosy_[is_loaded ? 0 : 1].erase({row, {job.facts.priority, job.facts.number}});
}

void JobBook::set_choosy(JobRow row, bool choosy) {
  ActiveJob& job = at(row);
  const bool queued = std::holds_alternative<Loaded>(job.state) || std::holds_alternative<Waiting>(job.state);
  if (queued) leave_queue(row);
  job.change_trouble().choosy = choosy;
  if (queued) queue_up(row);
}

// REQUIRES: it is Loaded or Waiting.
ReadyQueue& JobBook::queue_of(const ActiveJob& job) {
  return class_of(job).queue(std::holds_alternative<Loaded>(job.state), must_run_alone(job));
}

// Takes the job out of the queue or the count that its state stands for.
void JobBook::leave_state(JobRow row) {
  ActiveJob& job = table_.at(row);
  if (std::holds_alternative<Loaded>(job.state)) {
    leave_queue(row);
    ready_bytes_ -= job.work.size();
  } else if (std::holds_alternative<Waiting>(job.state)) {
    leave_queue(row);
  } else if (std::holds_alternative<Loading>(job.state)) {
    class_of(job).end_loading();
  } else if (std::holds_alternative<Backoff>(job.state)) {
    backoffs_.erase({job.ready_since, row});
  } else {
    --assigned_;
  }
}

void JobBook::requeue(JobRow row, Time now, Duration delay) {
  ActiveJob& job = table_.at(row);
  leave_state(row);
  job.ready_since = now + delay;
  if (!job.only_copy) job.work.clear();  // read again, also if it was here
  if (delay.count() > 0) {
    job.state = Backoff{};
    backoffs_.insert({job.ready_since, row});
  } else if (job.only_copy) {
    make_ready(row, SharedBytes(job.work));
  } else {
    job.state = Waiting{};
    queue_up(row);
  }
}

void JobBook::wake_due(Time now) {
  while (!backoffs_.empty() && backoffs_.begin()->first <= now) {
    const JobRow row = backoffs_.begin()->second;
    requeue(row, now, Duration{0});
  }
}

std::optional<Time> JobBook::next_wake() const {
  if (backoffs_.empty()) return std::nullopt;
  return backoffs_.begin()->first;
}

SharedBytes JobBook::assign(JobRow row) {
  ActiveJob& job = table_.at(row);
  leave_state(row);
  job.state = Assigned{};
  ++assigned_;
  if (job.only_copy) return job.work;
  return std::exchange(job.work, SharedBytes{});
}

std::optional<Front> JobBook::front(std::uint32_t requirement) const {
  return classes_.at(requirement).ready().front(table_);
}

std::optional<JobRow> JobBook::front_alone(std::uint32_t requirement) const {
  const auto front = classes_.at(requirement).queue(true, true).front(table_);
  if (!front) return std::nullopt;
  return front->row;
}

std::vector<std::uint32_t> JobBook::alone_requirements() const {
  std::vector<std::pair<QueueRank, std::uint32_t>> found;
  for (auto it = with_alone_.begin(); it != with_alone_.end();) {
    const ReadyQueue& alone = classes_.at(*it).queue(true, true);
    if (const auto front = alone.front(table_)) found.emplace_back(front->rank, *it);
    const bool none = alone.empty() && classes_.at(*it).queue(false, true).empty();
    it = none ? with_alone_.erase(it) : std::next(it);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first.before(b.first); });
  std::vector<std::uint32_t> requirements;
  requirements.reserve(found.size());
  for (const auto& [rank, requirement] : found) requirements.push_back(requirement);
  return requirements;
}

void JobBook::finish(JobRow row) {
  leave_state(row);
  class_of(table_.at(row)).remove_job();
  table_.remove(row);
}

JobRow JobBook::reopen(JobFacts&& facts, std::uint32_t attempt, Time now) {
  CHECK(index_.taken(facts.number));
  const JobRow row = table_.add();
  CHECK(table_.set_key(row, facts.key));
  ActiveJob& job = table_.at(row);
  job.facts = std::move(facts);
  job.attempt = attempt;
  job.known = true;
  job.ready_since = now;
  job.change_trouble().choosy = true;
  job.state = Waiting{};
  class_of(job).add_job();
  queue_up(row);
  return row;
}

bool JobBook::must_run_alone(const ActiveJob& job) const {
  const Trouble& trouble = job.trouble();
  return trouble.named >= crash_limit_ || trouble.lost >= 2 * crash_limit_;
}

void JobBook::name_in_death(JobRow row) {
  change_blame(row, at(row).trouble().named + 1, at(row).trouble().lost);
}

void JobBook::count_loss(JobRow row) {
  change_blame(row, at(row).trouble().named, at(row).trouble().lost + 1);
}

void JobBook::change_blame(JobRow row, std::uint32_t named, std::uint32_t lost) {
  ActiveJob& job = table_.at(row);
  const bool queued = std::holds_alternative<Loaded>(job.state) || std::holds_alternative<Waiting>(job.state);
  if (queued) leave_queue(row);
  job.change_trouble().named = named;
  job.change_trouble().lost = lost;
  if (queued) queue_up(row);
}

std::uint64_t JobBook::open(std::uint32_t requirement) const {
  return (classes_.used(requirement) ? classes_.at(requirement).jobs() : 0) + index_.open(requirement);
}

void JobBook::note_ok(std::uint32_t requirement, Duration ran) {
  RequirementClass& group = classes_.change(requirement);
  group.run_time.ok(ran);
  ++group.ended.ok;
}

// While no job has succeeded, a failure's run time is all that we know, and without any run time jobs are
// sent one by one.
void JobBook::note_not_ok(std::uint32_t requirement, Status status, Duration ran) {
  RequirementClass& group = classes_.change(requirement);
  if (status == Status::kFailed) group.run_time.failed(ran);
  ++group.ended.not_ok;
}

bool JobBook::free_class(std::uint32_t requirement) {
  return !with_alone_.contains(requirement) && classes_.free_unused(requirement);
}

}  // namespace workpool::dispatcher
