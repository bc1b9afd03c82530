// SPDX-License-Identifier: MIT
#include "dispatcher/io/replay_words.h"

#include <cstdint>

#include "common/base/text.h"

namespace workpool::dispatcher {

std::vector<std::string> words_for(const ReplaySummary& summary, const std::string& results,
                                   const std::string& jobs) {
  const std::string file = printable(results);
  std::vector<std::string> said;
  if (summary.torn_bytes > 0) {
    said.push_back("cut a torn last line of " + counted(summary.torn_bytes, "byte") + " from " + file +
                   "; its job runs again");
  }
  if (summary.damaged > 0) {
    std::string lines;
    for (const std::uint64_t number : summary.damaged_lines)
      lines += (lines.empty() ? "" : ", ") + std::to_string(number);
    if (summary.damaged > summary.damaged_lines.size()) lines += ", …";
    const bool one = summary.damaged == 1;
    said.push_back(file + ": " + (one ? "line " : "lines ") + lines +
                   (one ? " is damaged and does not count: its job runs again"
                        : " are damaged and do not count: their jobs run again") +
                   (one ? " unless another line has its result" : " unless other lines have their results"));
  }
  if (summary.removed > 0) {
    const bool one = summary.removed == 1;
    said.push_back(file + " has " + counted(summary.removed, "line") + " of jobs that are not in " +
                   printable(jobs) + "; " + (one ? "it stays" : "they stay") + " there");
  }
  return said;
}

}  // namespace workpool::dispatcher
