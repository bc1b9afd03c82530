// SPDX-License-Identifier: MIT
#include "common/base/progress.h"

#include "common/base/text.h"

namespace workpool {
namespace {

constexpr std::string_view kCutMark = "…";  // that printable() adds

}  // namespace

Progress progress_of(double done, std::string_view text) {
  Progress progress;
  // Rounded down: 1 is for what is done.
  if (done > 0)
    progress.thousandths = done < 1 ? static_cast<std::uint32_t>(done * kProgressMost) : kProgressMost;
  progress.text = is_utf8(text) ? std::string(utf8_prefix(text, kProgressTextBytesMax))
                                : printable(text, kProgressTextBytesMax - kCutMark.size());
  return progress;
}

}  // namespace workpool
