// SPDX-License-Identifier: MIT
// One encoded frame of every message, with a name for failures and the decoder it belongs to.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/wire/codec.h"
#include "tests/unit/common/sample_messages.h"

namespace workpool {

enum class Decoder { kRequest, kReply, kSink, kLane };

struct SampleFrame {
  std::string name;
  Decoder decoder = Decoder::kSink;
  std::string bytes;
};

// Decodes from a heap block of exactly that size, so that AddressSanitizer sees a read past its end.
inline bool decodes(Decoder decoder, std::string_view frame) {
  const auto block = std::make_unique<char[]>(frame.size());
  std::copy(frame.begin(), frame.end(), block.get());
  const std::string_view exact(block.get(), frame.size());
  switch (decoder) {
    case Decoder::kRequest:
      return decode_request(exact).has_value();
    case Decoder::kReply:
      return decode_reply(exact).has_value();
    case Decoder::kSink:
      return decode_sink(exact).has_value();
    case Decoder::kLane:
      return decode_lane(exact).has_value();
  }
  return false;
}

inline std::vector<SampleFrame> sample_frames() {
  std::vector<SampleFrame> frames;
  std::string bytes;
  for (const auto& [name, message] : sample::requests()) {
    encode(message, bytes);
    frames.push_back({name, Decoder::kRequest, bytes});
  }
  for (const auto& [name, message] : sample::replies()) {
    encode(message, bytes);
    frames.push_back({name, Decoder::kReply, bytes});
  }
  for (const auto& [name, message] : sample::sink()) {
    encode(sample::kHeader, message, bytes);
    frames.push_back({name, Decoder::kSink, bytes});
  }
  for (const auto& [name, message] : sample::lane()) {
    encode(sample::kHeader, message, bytes);
    frames.push_back({name, Decoder::kLane, bytes});
  }
  const std::string part = frames_of(sample::kHeader, std::string(kPartBytesMost + 1, 'p')).back();
  frames.push_back({"PART", Decoder::kSink, part});
  frames.push_back({"PART", Decoder::kLane, part});
  return frames;
}

}  // namespace workpool
