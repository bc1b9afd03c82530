// SPDX-License-Identifier: MIT
// Whether a local worker can work here at all. Its dispatcher is on this machine and listens before it starts
// the worker, so one that never gets through, or never gets a process for a single job, lacks something that
// waiting does not bring; the run would wait for it forever. The engine's loop only; what has been achieved
// is kept in the shared page, so that a new engine goes on from there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

class FirstSteps {
 public:
  // How long a step may take. Measured: 10 ms on an idle machine, 2 s beside 18 busy processes on 2 cores.
  static constexpr Duration kLimit = seconds(20);

  explicit FirstSteps(SharedPage& page) : page_(page) {}

  void heard_dispatcher() { page_.note_step(FirstStep::kHeardDispatcher); }
  void job_ran() { page_.note_step(FirstStep::kRanJob); }
  // A job could not be started because the system has no room; `reason` is errno's text.
  void lacked_resources(std::string_view reason, Time now);
  // What the session has to say of why it does not get through.
  void not_reached(std::string_view reason) { unreachable_ = reason; }

  // Why it cannot work here, once that is certain.
  std::optional<std::string> verdict(Time now) const;

 private:
  SharedPage& page_;
  std::string unreachable_ = "nothing was heard of the dispatcher";
  std::string lacking_;
};

}  // namespace workpool::worker
