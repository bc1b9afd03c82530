// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/each_jobs.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "common/formats/job_line_limits.h"

namespace workpool::dispatcher {
namespace {

const BeforeWait kWaitOn = [](int) { return true; };

}  // namespace

std::variant<EachJobs, EachJobs::Refused> EachJobs::open(const EachOptions& options) {
  EachJobs jobs(options);
  if (auto refused = jobs.open_sources()) return *std::move(refused);
  if (auto refused = jobs.make_command()) return *std::move(refused);
  if (auto refused = jobs.count()) return *std::move(refused);
  return jobs;
}

std::optional<EachJobs::Refused> EachJobs::open_sources() {
  for (const EachSource& source : options_->sources) {
    auto opened = ValueSource::open(source, *options_);
    if (const auto* problem = std::get_if<JobsProblem>(&opened)) return Refused{problem->message};
    if (!source.linked || groups_.empty()) groups_.emplace_back();
    groups_.back().sources.push_back(std::move(std::get<ValueSource>(opened)));
  }
  return std::nullopt;
}

std::optional<EachJobs::Refused> EachJobs::make_command() {
  ValueNames names;
  names.columns = groups_.front().sources.front().columns();
  names.one_source = options_->sources.size() == 1 && names.columns.empty();
  names.count = options_->sources.size();
  if (!names.columns.empty()) names.count = names.columns.size();
  if (names.one_source) names.count = options_->values_per_job;
  const bool takes_values = options_->lines_per_chunk == 0;
  if (!takes_values) names.count = 0;
  auto parsed = CommandTemplate::parse(options_->command, names, options_->setting, takes_values);
  if (const auto* wrong = std::get_if<std::string>(&parsed)) return Refused{*wrong, true};
  command_ = std::move(std::get<CommandTemplate>(parsed));
  return std::nullopt;
}

// Reads the groups behind the first, and counts that one if it can be counted.
std::optional<EachJobs::Refused> EachJobs::count() {
  std::optional<std::uint64_t> total = UINT64_MAX;
  for (ValueSource& source : groups_.front().sources) {
    const auto rows = source.count();
    if (!source.problem().empty()) return Refused{source.problem()};
    total = rows && total ? std::optional(std::min(*total, *rows)) : std::nullopt;
  }
  for (std::size_t i = 1; i < groups_.size(); ++i) {
    Row row;
    while (next_row(groups_[i], row, kWaitOn)) groups_[i].rows.push_back(row);
    if (!problem_.empty()) return Refused{problem_};
    const std::uint64_t rows = groups_[i].rows.size();
    if (total && rows > 0 && *total > UINT64_MAX / rows)
      return Refused{"more combinations than can be counted: give fewer values", true};
    if (total) *total *= rows;
  }
  const std::uint64_t per_job = std::max(options_->values_per_job, std::uint32_t{1});
  if (options_->lines_per_chunk == 0 && total) total_ = *total / per_job + (*total % per_job != 0 ? 1 : 0);
  return std::nullopt;
}

// The values of a group's sources, in one row.
bool EachJobs::next_row(Group& group, Row& row, const BeforeWait& before_wait) {
  if (group.sources.size() == 1) {
    if (group.sources.front().next(row, before_wait)) return true;
    problem_ = group.sources.front().problem();
    return false;
  }
  row.clear();
  Row values;
  for (ValueSource& source : group.sources) {
    if (!source.next(values, before_wait)) {
      problem_ = source.problem();
      return false;
    }
    row.insert(row.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
  }
  return true;
}

// The last source varies fastest.
bool EachJobs::next_combination(const BeforeWait& before_wait) {
  if (std::any_of(groups_.begin() + 1, groups_.end(), [](const Group& group) { return group.rows.empty(); }))
    return false;
  bool carry = true;
  for (std::size_t i = groups_.size(); number_ > 0 && carry && i-- > 1;) {
    carry = ++groups_[i].at == groups_[i].rows.size();
    if (carry) groups_[i].at = 0;
  }
  if (carry && !next_row(groups_.front(), first_row_, before_wait)) return false;
  job_.values.assign(first_row_.begin(), first_row_.end());
  for (std::size_t i = 1; i < groups_.size(); ++i) {
    const Row& row = groups_[i].rows[groups_[i].at];
    job_.values.insert(job_.values.end(), row.begin(), row.end());
  }
  return true;
}

// Several values of one source.
bool EachJobs::next_group(const BeforeWait& before_wait) {
  gathered_.resize(options_->values_per_job);
  std::size_t count = 0;
  while (count < gathered_.size() && next_row(groups_.front(), gathered_[count], before_wait)) ++count;
  if (count == 0 || !problem_.empty()) return false;
  job_.values.clear();
  for (std::size_t i = 0; i < count; ++i) job_.values.emplace_back(gathered_[i].front());
  return true;
}

// Lines of the input, with their ends.
bool EachJobs::next_chunk(const BeforeWait& before_wait) {
  chunk_.clear();
  for (std::uint32_t lines = 0; lines < options_->lines_per_chunk && chunk_.size() <= kLineBytesMax;
       ++lines) {
    if (!next_row(groups_.front(), first_row_, before_wait)) break;
    chunk_ += first_row_.front();
  }
  if (chunk_.empty() || !problem_.empty()) return false;
  job_.values.clear();
  job_.standard_input = chunk_;
  return true;
}

// Returns false if a chunk does not fit into a jobs line: then nothing more comes.
bool EachJobs::append_job(std::string& out) {
  const std::size_t start = out.size();
  job_.number = number_ + 1;
  command_->append_line(out, job_);
  if (job_.standard_input && out.size() - start > kLineBytesMax) {
    out.resize(start);
    problem_ = "chunk " + std::to_string(job_.number) + " of " + std::to_string(options_->lines_per_chunk) +
               " lines is more than a job can hold, 1 MiB as JSON: give --chunks fewer lines";
    return false;
  }
  ++number_;
  out += '\n';
  return true;
}

bool EachJobs::next(std::string& out, const BeforeWait& before_wait) {
  const bool found = options_->lines_per_chunk > 0  ? next_chunk(before_wait)
                     : options_->values_per_job > 1 ? next_group(before_wait)
                                                    : next_combination(before_wait);
  return found && append_job(out);
}

}  // namespace workpool::dispatcher
