// SPDX-License-Identifier: MIT
// The handlers of a worker by name. Filled once, then read by any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/handlers/handler.h"

namespace workpool::worker {

class HandlerRegistry {
 public:
  // REQUIRES: no other handler has its name.
  void add(std::unique_ptr<Handler> handler);
  // Null if no handler has that name.
  const Handler* find(std::string_view name) const;
  std::vector<std::string> names() const;  // sorted

 private:
  std::map<std::string, std::unique_ptr<Handler>, std::less<>> handlers_;
};

// echo, fail, noop, sha256, sleep.
HandlerRegistry builtin_handlers();

}  // namespace workpool::worker
