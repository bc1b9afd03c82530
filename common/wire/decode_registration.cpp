// SPDX-License-Identifier: MIT
// Reads what comes on the registration socket.
#include <algorithm>

#include "common/wire/codec.h"
#include "common/wire/decode_parts.h"
#include "common/wire/wire_types.h"

namespace workpool {
namespace {

using namespace wire;  // the type numbers, and what reads parts

Hello read_hello(WireReader& from, std::uint32_t fields) {
  Hello hello;
  hello.protocol = read_u32(from);
  if (hello.protocol != kProtocol || fields < 9) return hello;
  hello.version = from.bytes(256);
  hello.worker.value = from.number();
  hello.engine = read_u32(from);
  hello.try_number = read_u32(from);
  hello.name = from.bytes(256);
  hello.slots = read_u32(from, kSlotsMost);
  hello.handlers = read_texts(from);
  hello.labels = read_texts(from);
  return hello;
}

Welcome read_welcome(WireReader& from, std::uint32_t fields) {
  Welcome welcome;
  welcome.protocol = read_u32(from);
  if (welcome.protocol != kProtocol) return welcome;
  if (fields < 9) from.fail();
  welcome.run.value = from.number();
  welcome.session.value = from.number();
  welcome.name = from.bytes(512);
  welcome.lane_port = static_cast<std::uint16_t>(read_u32(from, 65535));
  welcome.sink_port = static_cast<std::uint16_t>(read_u32(from, 65535));
  welcome.worker_timeout = read_duration(from);
  welcome.result_window = from.number();
  welcome.capture_bytes = from.number();
  if (fields > 9) welcome.capture_failed_only = from.boolean();
  // Port 0 cannot be dialled, and with a worker timeout of 0 every session would be too silent at once.
  const bool usable = welcome.lane_port != 0 && welcome.sink_port != 0 && welcome.worker_timeout.count() > 0;
  if (!usable || welcome.session.value == 0) from.fail();
  return welcome;
}

// Whether a registration message is complete. One of our own protocol must have all known fields and end with
// the frame. One of another protocol is judged only as far as it was read.
bool whole(WireReader& from, std::uint32_t protocol, std::uint32_t fields, std::uint32_t known) {
  if (protocol != kProtocol) return from.ok();
  skip_rest(from, fields, known);
  return fields >= known && from.finished();
}

Refused read_refused(WireReader& from) {
  Refused refused;
  refused.protocol = read_u32(from);
  const std::uint32_t code = read_u32(from, 255);
  refused.reason = from.bytes(kTextMost);
  refused.code = code == 0 || code == 1 || code == 76 ? static_cast<Refusal>(code) : Refusal::kOther;
  return refused;
}

}  // namespace

std::optional<RegistrationRequest> decode_request(std::string_view frame) {
  if (frame.size() > kHelloBytesMost) return std::nullopt;
  WireReader from(frame);
  const Opened opened = open_frame(from);
  if (!from.ok() || opened.fields < 1) return std::nullopt;
  if (opened.type == kStatusRequest) {
    StatusRequest request{read_u32(from)};
    const std::uint32_t known = std::min<std::uint32_t>(opened.fields, 2);
    if (known == 2 && request.protocol == kProtocol) request.all = from.boolean();
    if (!whole(from, request.protocol, opened.fields, known)) return std::nullopt;
    return request;
  }
  if (opened.type != kHello) return std::nullopt;
  Hello hello = read_hello(from, opened.fields);
  if (!whole(from, hello.protocol, opened.fields, 9)) return std::nullopt;
  return hello;
}

std::optional<RegistrationReply> decode_reply(std::string_view frame) {
  WireReader from(frame);
  const Opened opened = open_frame(from);
  if (!from.ok() || opened.fields < 1) return std::nullopt;
  if (opened.type == kWelcome) {
    Welcome welcome = read_welcome(from, opened.fields);
    if (!whole(from, welcome.protocol, opened.fields, opened.fields > 9 ? 10 : 9)) return std::nullopt;
    return welcome;
  }
  if (opened.type == kRefused && opened.fields >= 3) {
    Refused refused = read_refused(from);
    if (!whole(from, refused.protocol, opened.fields, 3)) return std::nullopt;
    return refused;
  }
  if (opened.type == kStatusReply && opened.fields >= 2) {
    StatusReply reply;
    reply.protocol = read_u32(from);
    reply.json = from.bytes(kMessageBytesMost);
    if (!whole(from, reply.protocol, opened.fields, 2)) return std::nullopt;
    return reply;
  }
  return std::nullopt;
}

}  // namespace workpool
