// SPDX-License-Identifier: MIT
// What the session has to say (worker/core/says.h), in words.
#pragma once

#include <cstdint>
#include <string>

#include "common/io/log.h"
#include "worker/core/says.h"

namespace workpool::worker {

struct SessionWords {
  LogLevel level = LogLevel::kInfo;
  const char* event = "";  // one for each kind of thing: the log recognises repeats by it
  std::string text;
  std::string spoken = {};  // the same for a person at a terminal, if it is not just the text
};
// Where the worker works, for its words.
struct Whereabouts {
  std::string dispatcher;  // its address
  std::uint32_t slots = 1;
};
SessionWords words_for(const Say& say, const Whereabouts& where);

// "ran 340 jobs, 2 not ok, in 12m".
std::string work_text(std::uint64_t jobs, std::uint64_t not_ok, Duration time);

}  // namespace workpool::worker
