// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_path.h"

namespace workpool::dispatcher {

std::string default_results(const std::string& jobs) {
  const std::size_t slash = jobs.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const std::size_t dot = jobs.rfind('.');
  // The dot of a hidden file starts its name, not an ending.
  const bool has_ending = dot != std::string::npos && dot > name;
  return jobs.substr(0, has_ending ? dot : jobs.size()) + ".results.jsonl";
}

}  // namespace workpool::dispatcher
