// SPDX-License-Identifier: MIT
// What the session has to say (worker/core/says.h), in words.
#pragma once

#include <string>

#include "common/io/log.h"
#include "worker/core/says.h"

namespace workpool::worker {

struct SessionWords {
  LogLevel level = LogLevel::kInfo;
  const char* event = "";  // one for each kind of thing: the log recognises repeats by it
  std::string text;
};
SessionWords words_for(const Say& say);

}  // namespace workpool::worker
