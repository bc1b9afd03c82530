// SPDX-License-Identifier: MIT
#include "worker/io/first_steps.h"

#include "common/base/units.h"

namespace workpool::worker {

void FirstSteps::lacked_resources(std::string_view reason, Time now) {
  lacking_ = reason;
  page_.note_lack(now);
}

std::optional<std::string> FirstSteps::verdict(Time now) const {
  if (page_.has_made(FirstStep::kRanJob)) return std::nullopt;
  const std::string within = " within " + format_duration(kLimit) + ": ";
  if (!page_.has_made(FirstStep::kHeardDispatcher)) {
    if (now < page_.made_at() + kLimit) return std::nullopt;
    return "the dispatcher on this machine could not be reached" + within + unreachable_;
  }
  const std::optional<Time> lacking_since = page_.lacking_since();
  if (!lacking_since || now < *lacking_since + kLimit || page_.running() > 0) return std::nullopt;
  return "not one job could be started" + within + (lacking_.empty() ? "the system has no room" : lacking_);
}

}  // namespace workpool::worker
