// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/counting_lines.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "common/base/key_index.h"

namespace workpool::dispatcher {
namespace {

constexpr std::uint32_t kNoPlace = KeyIndex::kFree;

class Counter {
 public:
  Counter(const JobIndex* jobs, Selection& selection) : jobs_(jobs), selection_(selection) {
    if (jobs_ != nullptr) places_by_job_.assign(jobs_->size(), kNoPlace);
  }

  void take(const PlacedLine& read) {
    const Key key = key_of_id(read.id);
    CountingLine line;
    line.key_prefix = key.high;
    line.offset = read.offset;
    line.line = read.line;
    line.bytes = static_cast<std::uint32_t>(read.bytes);
    line.status = read.status;
    if (read.status == Status::kInvalid) {
      add(line, read.id);
      return;
    }
    const auto number = jobs_ == nullptr ? std::nullopt : jobs_->find(key);
    if (number && jobs_->ids().has_spec(*number, read.spec)) {
      line.job = static_cast<std::uint32_t>(*number);
      line.line = jobs_->entry(*number).line;
    }
    const std::uint32_t place = number ? places_by_job_[*number] : place_of(key);
    if (place == kNoPlace) {
      const auto next = static_cast<std::uint32_t>(lines_.size());
      if (number) {
        places_by_job_[*number] = next;
      } else {
        by_key_.add(key, next);
      }
      add(line, read.id);
    } else if (CountingLine& before = lines_[place]; line.job != kNoJob || before.job == kNoJob) {
      line.selected = before.selected;
      before = line;
    }
  }

  std::vector<CountingLine> finish() {
    selection_.settle();
    std::erase_if(lines_, [this](const CountingLine& line) {
      // Every line is asked for, so that the selection knows which of the lines it names are there.
      const bool by_line = !selection_.names_all() && selection_.takes_line(line.line);
      return (!by_line && !line.selected) || !selection_.takes_status(line.status);
    });
    // Today's job of a line stands before what was there once.
    std::sort(lines_.begin(), lines_.end(), [](const CountingLine& left, const CountingLine& right) {
      return std::tuple(left.line, left.job == kNoJob, left.offset) <
             std::tuple(right.line, right.job == kNoJob, right.offset);
    });
    return std::move(lines_);
  }

 private:
  void add(CountingLine line, const std::string& id) {
    line.selected = selection_.names_all() || selection_.takes_id(id);
    lines_.push_back(line);
  }

  std::uint32_t place_of(const Key& key) const {
    std::uint32_t found = kNoPlace;
    by_key_.any(key, [this, &key, &found](std::uint32_t place) {
      if (lines_[place].key_prefix != key.high) return false;
      found = place;
      return true;
    });
    return found;
  }

  const JobIndex* jobs_;
  Selection& selection_;
  std::vector<CountingLine> lines_;
  // Places in lines_, but for invalid ones: of ids in the jobs file by the number of the job, of others by
  // key.
  std::vector<std::uint32_t> places_by_job_;
  KeyIndex by_key_;
};

}  // namespace

CountingLines read_counting_lines(int fd, const JobIndex* jobs, Selection& selection) {
  Counter counter(jobs, selection);
  CountingLines counting;
  counting.results = replay(fd, [&counter](const PlacedLine& line) { counter.take(line); });
  counting.lines = counter.finish();
  return counting;
}

}  // namespace workpool::dispatcher
