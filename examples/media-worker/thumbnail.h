// SPDX-License-Identifier: MIT
// The handler `thumbnail`: a small picture of a large one, by libvips.
#pragma once

#include <workpool/worker.h>

#include "turnstile.h"

class Thumbnails {
 public:
  // Starts libvips, for as long as the process lives. Throws std::runtime_error.
  explicit Thumbnails(const char* program);

  // args: source, target, width, height, fit, quality. Any thread.
  workpool::json make(const workpool::Job& job);

 private:
  Turnstile turnstile_;
};
