// SPDX-License-Identifier: MIT
#include "worker/handlers/registry.h"

#include <utility>

#include "common/base/check.h"

namespace workpool::worker {

void HandlerRegistry::add(std::unique_ptr<Handler> handler) {
  std::string name = handler->name();
  CHECK(handlers_.emplace(std::move(name), std::move(handler)).second);
}

const Handler* HandlerRegistry::find(std::string_view name) const {
  const auto found = handlers_.find(name);
  return found == handlers_.end() ? nullptr : found->second.get();
}

std::vector<std::string> HandlerRegistry::names() const {
  std::vector<std::string> result;
  for (const auto& entry : handlers_) result.push_back(entry.first);
  return result;
}

}  // namespace workpool::worker
