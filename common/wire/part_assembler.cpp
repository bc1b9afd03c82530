// SPDX-License-Identifier: MIT
#include <utility>

#include "common/wire/codec.h"

namespace workpool {

bool PartAssembler::add(const Part& part) {
  if (next_ == 0) seq_ = part.header.seq;
  if (complete_ || part.index != next_ || part.header.seq != seq_) return false;
  if (bytes_.size() + part.bytes.size() > kMessageBytesMost) return false;
  bytes_ += part.bytes;
  ++next_;
  complete_ = part.last;
  return true;
}

std::optional<std::string> PartAssembler::take() {
  if (!complete_) return std::nullopt;
  complete_ = false;
  next_ = 0;
  return std::exchange(bytes_, std::string{});
}

}  // namespace workpool
