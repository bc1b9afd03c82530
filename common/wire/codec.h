// SPDX-License-Identifier: MIT
// Messages to frames and back (docs/protocol.md). A frame is a msgpack array [type, run, session, seq, …],
// positional. Fields may be added at the end, so a reader skips those that it does not know. Decoding never
// throws, checks every length and range, and allocates nothing beyond what the frame itself holds. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool {

inline constexpr std::size_t kFrameBytesMost = 128 * 1024;  // ZMQ_MAXMSGSIZE
inline constexpr std::size_t kPartBytesMost = 64 * 1024;    // a longer message travels as parts of this size
inline constexpr std::size_t kPartBytesLeast = 1024;        // of each part but the last
inline constexpr std::size_t kMessageBytesMost = 40 << 20;  // of an assembled message
inline constexpr std::size_t kHelloBytesMost = 4096;

// One piece of a message longer than a frame. `index` counts from 0; all pieces carry the message's own seq.
struct Part {
  Header header;
  std::uint32_t index = 0;
  bool last = false;
  std::string_view bytes;  // into the frame
};

// Each replaces the contents of `out`.
void encode(const RegistrationRequest& request, std::string& out);
void encode(const RegistrationReply& reply, std::string& out);
void encode(const Header& header, const SinkMessage& message, std::string& out);
void encode(const Header& header, const Results& message, std::string& out);  // the same, without a copy
void encode(const Header& header, const LaneMessage& message, std::string& out);

// The frames for an encoded message: itself, or its parts.
std::vector<std::string> frames_of(const Header& header, std::string&& encoded,
                                   std::size_t part_bytes = kPartBytesMost);
// The size of parts, in bytes, for a worker timeout. Each part is a sign of life, so it must get through well
// within the timeout: a link of 105 kbit/s, which carries 64 KiB in 5 s, needs at most half of it.
std::size_t part_bytes_for(Duration worker_timeout);

struct SinkFrame {
  Header header;
  std::variant<SinkMessage, Part> content;
};
struct LaneFrame {
  Header header;
  std::variant<LaneMessage, Part> content;
};

// Each returns nullopt if the frame is not such a message. A HELLO of another protocol is only read up to its
// protocol number.
std::optional<RegistrationRequest> decode_request(std::string_view frame);
std::optional<RegistrationReply> decode_reply(std::string_view frame);
// Reads only the header, so that the caller can first judge whose frame it is. Returns nullopt if there is
// none.
struct FrameHead {
  Header header;
  bool has_results = false;
};
std::optional<FrameHead> peek_sink(std::string_view frame);
std::optional<SinkFrame> decode_sink(std::string_view frame);
std::optional<LaneFrame> decode_lane(std::string_view frame);

// Puts parts together again; one per session and direction.
class PartAssembler {
 public:
  // Returns false if the part does not continue what is here, or makes it too long: the session is then
  // broken.
  bool add(const Part& part);
  std::size_t bytes() const { return bytes_.size(); }
  // Returns the whole encoded message and empties the assembler; nullopt before the last part was added.
  std::optional<std::string> take();

 private:
  std::string bytes_;
  std::uint64_t seq_ = 0;
  std::uint32_t next_ = 0;
  bool complete_ = false;
};

}  // namespace workpool
