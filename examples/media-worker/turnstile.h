// SPDX-License-Identifier: MIT
// Lets a number of threads in at once, or one alone. Whoever waits to be alone is next: nobody overtakes.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

class Turnstile {
 public:
  explicit Turnstile(int places) : places_(places) {}

  // A place in it, given back at its end. Throws workpool::Failure if the stop comes first.
  class Place {
   public:
    Place(Turnstile& turnstile, int places, const std::stop_token& stop);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Turnstile& turnstile_;
    const int places_;
  };

  Place enter(const std::stop_token& stop) { return Place(*this, 1, stop); }
  Place enter_alone(const std::stop_token& stop) { return Place(*this, places_, stop); }

 private:
  const int places_;
  std::mutex mutex_;  // protects all below
  std::condition_variable_any changed_;
  int taken_ = 0;
  int waiting_to_be_alone_ = 0;
};
