// SPDX-License-Identifier: MIT
#include "turnstile.h"

#include <workpool/worker.h>

Turnstile::Place::Place(Turnstile& turnstile, int places, const std::stop_token& stop)
    : turnstile_(turnstile), places_(places) {
  std::unique_lock lock(turnstile_.mutex_);
  const bool alone = places_ == turnstile_.places_;
  turnstile_.waiting_to_be_alone_ += alone ? 1 : 0;
  const bool in = turnstile_.changed_.wait(lock, stop, [&] {
    return turnstile_.taken_ + places_ <= turnstile_.places_ &&
           (alone || turnstile_.waiting_to_be_alone_ == 0);
  });
  turnstile_.waiting_to_be_alone_ -= alone ? 1 : 0;
  if (in) turnstile_.taken_ += places_;
  turnstile_.changed_.notify_all();
  if (!in) throw workpool::Failure("stopped while it waited for its turn");
}

Turnstile::Place::~Place() {
  const std::lock_guard lock(turnstile_.mutex_);
  turnstile_.taken_ -= places_;
  turnstile_.changed_.notify_all();
}
