// SPDX-License-Identifier: MIT
// Decides whether a local worker can work here at all. Its dispatcher is on this machine and listens before
// it starts the worker. So a worker that never reaches it, or cannot start a single job, lacks something that
// waiting will not bring, and the run would wait for it forever. Used by the engine's loop only. What has
// been achieved is kept in the shared page, so a new engine continues from there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

class FirstSteps {
 public:
  // How long a step may take. Measured: 10 ms on an idle machine, 2 s next to 18 busy processes on 2 cores.
  static constexpr Duration kLimit = seconds(20);

  explicit FirstSteps(SharedPage& page) : page_(page) {}

  void heard_dispatcher() { page_.note_step(FirstStep::kHeardDispatcher); }
  void job_ran() { page_.note_step(FirstStep::kRanJob); }
  // A job could not be started because the system has no room; `reason` is errno's text.
  void lacked_resources(std::string_view reason, Time now);
  // The session's last reason for not reaching the dispatcher.
  void not_reached(std::string_view reason) { unreachable_ = reason; }

  // Why this worker cannot work here, for people; nullopt while that is not certain.
  std::optional<std::string> verdict(Time now) const;

 private:
  SharedPage& page_;
  std::string unreachable_ = "nothing was heard of the dispatcher";
  std::string lacking_;
};

}  // namespace workpool::worker
