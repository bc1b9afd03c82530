// SPDX-License-Identifier: MIT
#include "worker/io/net/transport.h"

#include <utility>

#include "common/base/address.h"
#include "common/io/sockets.h"

namespace workpool::worker {
namespace {

constexpr Duration kConnectLimit = seconds(5);

}  // namespace

bool Transport::open(const std::string& host, bool secured, const Welcome& welcome, Time now) try {
  Link link;
  link.session = welcome.session;
  link.part_bytes = part_bytes_for(welcome.worker_timeout);
  link.lane = make_dialling_socket(context_, zmq::socket_type::pull);
  link.sink = make_dialling_socket(context_, zmq::socket_type::push);
  if (secured) {
    secure_client(link.lane, *key_);
    secure_client(link.sink, *key_);
  }
  link.lane.connect(endpoint(host, welcome.lane_port));
  link.sink.connect(endpoint(host, welcome.sink_port));
  link.opened = now;
  link_ = std::move(link);
  return true;
} catch (const zmq::error_t&) {
  return false;
}

void Transport::close() { link_.reset(); }

void* Transport::lane_handle() { return link_ ? link_->lane.handle() : nullptr; }
void* Transport::new_sink_handle() { return is_new() ? link_->sink.handle() : nullptr; }

void Transport::receive(std::size_t most, std::vector<Event>& events) {
  if (!link_) return;
  zmq::message_t frame;
  for (std::size_t i = 0; i < most; ++i) {
    const Receipt receipt = receive_frame(link_->lane, frame);
    if (receipt == Receipt::kNone) return;
    auto decoded = receipt == Receipt::kFrame ? decode_lane(frame.to_string_view()) : std::nullopt;
    if (decoded) {
      if (const auto* part = std::get_if<Part>(&decoded->content)) {
        const Header header = decoded->header;
        events.emplace_back(LanePart{header.session});
        if (!link_->parts.add(*part)) {
          decoded.reset();
        } else if (const auto whole = link_->parts.take()) {
          decoded = decode_lane(*whole);
          const bool its_own = decoded && decoded->header == header;
          if (!its_own || std::holds_alternative<Part>(decoded->content)) decoded.reset();
        } else {
          continue;
        }
      }
    }
    if (!decoded) {
      // Something is missing from this session now, or the peer is no dispatcher: end it.
      events.emplace_back(SinkGone{link_->session});
      return;
    }
    events.emplace_back(LaneReceived{decoded->header, std::move(std::get<LaneMessage>(decoded->content))});
  }
}

bool Transport::send(const Header& header, const SinkMessage& message) {
  if (!link_) return true;
  encode(header, message, buffer_);
  return send_encoded(header);
}

bool Transport::send(const Header& header, const Results& message) {
  if (!link_) return true;
  encode(header, message, buffer_);
  return send_encoded(header);
}

bool Transport::send_encoded(const Header& header) {
  if (buffer_.size() <= link_->part_bytes && link_->waiting.empty() && link_->sink_was_writable) {
    return send_frame(link_->sink, buffer_);
  }
  // Moved, so that the memory of a large message goes with it.
  std::string encoded = std::exchange(buffer_, {});
  for (std::string& frame : frames_of(header, std::move(encoded), link_->part_bytes))
    link_->waiting.push_back(std::move(frame));
  return !link_->sink_was_writable || send_waiting();
}

bool Transport::send_waiting() {
  while (!link_->waiting.empty()) {
    if (!send_frame(link_->sink, link_->waiting.front())) return false;
    link_->waiting.pop_front();
  }
  return true;
}

bool Transport::tend(Time now) {
  if (!link_) return true;
  const bool now_writable = writable(link_->sink);
  if (!now_writable) return !link_->sink_was_writable && now < link_->opened + kConnectLimit;
  link_->sink_was_writable = true;
  return send_waiting();
}

}  // namespace workpool::worker
