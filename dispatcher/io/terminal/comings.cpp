// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/comings.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "common/base/text.h"
#include "dispatcher/io/terminal/worker_words.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kNameBytesMax = 80;

// "; 3 jobs go to others".
std::string jobs_text(std::uint64_t jobs, bool stopping) {
  if (jobs == 0) return "";
  if (stopping) return fmt::format("; {} not done", counted(jobs, "job"));
  return fmt::format("; {} go{} to others", counted(jobs, "job"), jobs == 1 ? "es" : "");
}

}  // namespace

std::string_view Comings::words_for(Kind kind) {
  switch (kind) {
    case Kind::kJoined:
      return "joined";
    case Kind::kBack:
      return "are back";
    case Kind::kLeft:
      return "left";
    case Kind::kLost:
      return "are lost";
  }
  return "";
}

void Comings::add(const WorkerJoined& joined, Time now) {
  One one;
  one.kind = joined.back ? Kind::kBack : Kind::kJoined;
  one.line = fmt::format("worker {} {} ({})", printable(joined.name, kNameBytesMax),
                         joined.back ? "is back" : "joined", counted(joined.slots, "slot"));
  one.slots = joined.slots;
  add(std::move(one), now);
}

void Comings::add(const WorkerLeft& left, bool stopping, Time now) {
  One one;
  one.kind = left.lost ? Kind::kLost : Kind::kLeft;
  one.cause = leave_text(left.cause);
  one.jobs = left.requeued;
  one.stopping = stopping;
  one.line = fmt::format("worker {} {}: {}{}", printable(left.name, kNameBytesMax),
                         left.lost ? "is lost" : "left", one.cause, jobs_text(one.jobs, stopping));
  add(std::move(one), now);
}

void Comings::add(One&& one, Time now) {
  if (waiting_.empty()) since_ = now;
  waiting_.push_back(std::move(one));
}

// "12 workers joined, 96 slots", "12 workers are lost: silent for 10s; 40 jobs go to others".
std::string Comings::crowd(Kind kind) const {
  std::uint64_t workers = 0;
  std::uint64_t slots = 0;
  std::uint64_t jobs = 0;
  bool stopping = false;
  std::string cause;
  bool same_cause = true;
  for (const One& one : waiting_) {
    if (one.kind != kind) continue;
    if (workers++ == 0) cause = one.cause;
    same_cause = same_cause && one.cause == cause;
    slots += one.slots;
    jobs += one.jobs;
    stopping = stopping || one.stopping;
  }
  std::string text = fmt::format("{} workers {}", workers, words_for(kind));
  if (slots > 0) text += ", " + counted(slots, "slot");
  if (same_cause && !cause.empty()) text += ": " + cause;
  return text + jobs_text(jobs, stopping);
}

std::vector<std::string> Comings::take() {
  std::map<Kind, std::size_t> count;
  for (const One& one : waiting_) ++count[one.kind];
  std::vector<std::string> lines;
  for (const One& one : waiting_) {
    std::size_t& left = count[one.kind];
    if (left == 0) continue;  // told as a crowd
    if (left > kOneByOneMost) {
      lines.push_back(crowd(one.kind));
      left = 0;
    } else {
      lines.push_back(one.line);
    }
  }
  waiting_.clear();
  return lines;
}

}  // namespace workpool::dispatcher
