// SPDX-License-Identifier: MIT
// A result line that keeps what it is made of, for tests that change one part of it after the other.
#pragma once

#include <cstdint>
#include <string>

#include "common/formats/results_file.h"

namespace workpool {

struct OwnedResult {
  std::string id;
  std::uint64_t repeat = 0;
  std::uint64_t line = 0;
  std::uint32_t attempt = 0;
  Outcome outcome;
  std::string worker;
  Duration queued{0};
  Duration ran{0};
  std::int64_t finished_ms = 0;
  RunId run;
  Spec spec;
  std::string notes;

  operator ResultLine() const {  // NOLINT: it stands wherever a ResultLine can
    return {id,  repeat, line, attempt, outcome, worker, queued, ran, Timestamp(finished_ms),
            run, spec,   notes};
  }
};

}  // namespace workpool
