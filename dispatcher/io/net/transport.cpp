// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/transport.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <utility>

#include "common/base/address.h"
#include "common/io/descriptor.h"
#include "common/io/sockets.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kTendInterval = milliseconds(250);
// A worker that stalls may have a job of the largest size on its way per slot. Its lane must take them all,
// since a lane that refuses a frame counts as gone.
constexpr std::size_t kJobBytesMost = 1 << 20;
constexpr std::uint32_t kLaneSlotsMost = 1 << 20;
// A worker waits 5 s for the answer to its HELLO and then closes the connection. On the sink it beats ten
// times within the worker timeout, and its session is over after that.
constexpr Duration kSilenceMost = seconds(15);
constexpr std::size_t kDroppedMost = 10'000;  // frames: a peer that never stops must not hold us up

std::uint16_t bound_port(zmq::socket_t& socket) {
  const std::string last = socket.get(zmq::sockopt::last_endpoint);
  return static_cast<std::uint16_t>(std::strtoul(last.c_str() + last.rfind(':') + 1, nullptr, 10));
}

std::string bind_problem(const std::string& where, int error) {
  std::string text = "cannot listen on " + where + ": " + zmq_strerror(error);
  if (error == EADDRINUSE) text += "; another program has the port: choose another one with --listen";
  if (error == EADDRNOTAVAIL || error == ENODEV)
    text +=
        "; this machine has no such address: choose one of its own, or tcp://0.0.0.0:PORT for all of them";
  if (error == EACCES) text += "; ports below 1024 are for root: choose a higher one";
  return text;
}

// Whether a socket can be made and bound. If libzmq lacks a descriptor to make it, that fails; if it lacks
// one to look at the interfaces for the bind, libzmq aborts. We want some to spare, since strangers may take
// descriptors in the meantime.
bool has_spare_descriptors() {
  constexpr std::size_t kSpare = 8;
  std::array<Descriptor, kSpare> spare;
  for (Descriptor& descriptor : spare) {
    descriptor = Descriptor(::eventfd(0, EFD_CLOEXEC));
    if (!descriptor.is_open()) return false;
  }
  return true;
}

}  // namespace

Transport::Transport(zmq::context_t& context, const TransportOptions& options)
    : context_(context),
      options_(options),
      registration_(make_socket(context, zmq::socket_type::router)),
      sink_(make_socket(context, zmq::socket_type::pull)),
      next_port_(options.ports_low),
      part_bytes_(part_bytes_for(options.worker_timeout)) {
  // The last REFUSED on it may still be on its way when everything closes.
  registration_.set(zmq::sockopt::linger, 300);
  // Per connection: a worker is owed one answer, and a stranger who asks and reads nothing must not fill our
  // memory.
  registration_.set(zmq::sockopt::sndhwm, 256);
  // Per connection, so that a stranger who never stops sending holds at most 64 MiB of our memory.
  sink_.set(zmq::sockopt::rcvhwm, 512);
  const std::string where =
      options_.port == 0 ? "tcp://" + options_.host + ":*" : endpoint(options_.host, options_.port);
  try {
    registration_.bind(where);
  } catch (const zmq::error_t& error) {
    throw BindError{bind_problem(endpoint(options_.host, options_.port), error.num())};
  }
  port_ = bound_port(registration_);
  if (!bind_some(sink_, sink_port_)) {
    throw BindError{options_.ports_low == 0
                        ? "cannot listen on any port of " + options_.host
                        : "cannot listen on any of the ports " + std::to_string(options_.ports_low) + "-" +
                              std::to_string(options_.ports_high) + " (--ports): all are taken"};
  }
  silent_.emplace(std::vector<SilentPeers::Watched>{
      {port_, kSilenceMost}, {sink_port_, std::max(kSilenceMost, 2 * options_.worker_timeout)}});
}

bool Transport::bind_some(zmq::socket_t& socket, std::uint16_t& port) {
  const std::uint32_t tries = options_.ports_low == 0 ? 1u : 1u + options_.ports_high - options_.ports_low;
  for (std::uint32_t i = 0; i < tries; ++i) {
    std::string where = options_.host.find(':') != std::string::npos ? "tcp://[" + options_.host + "]:*"
                                                                     : "tcp://" + options_.host + ":*";
    if (options_.ports_low != 0) {
      where = endpoint(options_.host, next_port_);
      next_port_ =
          next_port_ == options_.ports_high ? options_.ports_low : static_cast<std::uint16_t>(next_port_ + 1);
    }
    try {
      socket.bind(where);
      port = bound_port(socket);
      return true;
    } catch (const zmq::error_t& error) {
      if (error.num() != EADDRINUSE && error.num() != EACCES) return false;
    }
  }
  return false;
}

// ---- up ----

// Whether a frame is worth decoding. It must be of this run, and either be of a session with a lane or hold
// results, which count from any session. Anybody may connect and send, so other frames must cost next to
// nothing.
bool Transport::is_wanted(std::string_view frame) {
  const auto head = peek_sink(frame);
  if (!head) {
    ++refused_frames_;
    return false;
  }
  if (run_ && head->header.run != *run_) return false;
  return head->has_results || lanes_.contains(head->header.session);
}

bool Transport::receive_sink(std::size_t most, std::size_t most_bytes, std::vector<Event>& events) {
  zmq::message_t frame;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < most && bytes < most_bytes; ++i) {
    const Receipt receipt = receive_frame(sink_, frame);
    if (receipt == Receipt::kNone) return true;
    bytes += frame.size();
    if (receipt == Receipt::kFrame && !is_wanted(frame.to_string_view())) continue;
    auto decoded = receipt == Receipt::kFrame ? decode_sink(frame.to_string_view()) : std::nullopt;
    if (!decoded) {
      ++refused_frames_;
      continue;
    }
    if (const auto* part = std::get_if<Part>(&decoded->content)) {
      const Header header = decoded->header;
      const SessionId session = header.session;
      if (!add_part(session, *part)) {
        ++refused_frames_;
        continue;
      }
      events.emplace_back(PartReceived{session});
      PartAssembler& assembler = parts_[session];
      const std::size_t assembled = assembler.bytes();
      const auto whole = assembler.take();
      if (!whole) continue;
      parts_bytes_ -= assembled;
      forget_parts(session);
      decoded = decode_sink(*whole);
      // The assembled message must not speak for another session or sequence number than its parts.
      const bool its_own = decoded && decoded->header == header;
      if (!its_own || std::holds_alternative<Part>(decoded->content)) {
        ++refused_frames_;
        continue;
      }
    }
    events.emplace_back(SinkReceived{decoded->header, std::move(std::get<SinkMessage>(decoded->content))});
  }
  return false;
}

void Transport::drop_registrations() {
  zmq::message_t frame;
  for (std::size_t i = 0; i < kDroppedMost && registration_.recv(frame, zmq::recv_flags::dontwait); ++i) {
  }
}

void Transport::receive_registration(std::size_t most, std::vector<HelloReceived>& hellos,
                                     std::vector<StatusAsked>& asked) {
  zmq::message_t peer;
  zmq::message_t frame;
  for (std::size_t i = 0; i < most; ++i) {
    if (!registration_.recv(peer, zmq::recv_flags::dontwait)) return;
    if (!peer.more()) {
      ++refused_frames_;
      continue;
    }
    if (receive_frame(registration_, frame) != Receipt::kFrame) {
      ++refused_frames_;
      continue;
    }
    auto request = decode_request(frame.to_string_view());
    if (!request) {
      ++refused_frames_;
    } else if (auto* hello = std::get_if<Hello>(&*request)) {
      hellos.push_back({peer.to_string(), std::move(*hello), {}});
    } else {
      asked.push_back({peer.to_string(), std::get<StatusRequest>(*request).all});
    }
  }
}

void Transport::reply(const std::string& peer, const RegistrationReply& reply) {
  encode(reply, buffer_);
  try {
    if (send_frame(registration_, peer, true)) send_frame(registration_, buffer_);
  } catch (const zmq::error_t&) {
    // The peer has gone; it will ask again.
  }
}

// ---- lanes ----

std::optional<std::uint16_t> Transport::open_lane(SessionId session, RunId run, std::uint32_t slots) {
  if (!has_spare_descriptors()) return std::nullopt;
  try {
    Lane lane;
    lane.socket = make_socket(context_, zmq::socket_type::push);
    lane.socket.set(zmq::sockopt::sndhwm,
                    kHighWaterMark + static_cast<int>(std::min<std::uint64_t>(
                                         std::min(slots, kLaneSlotsMost) * (kJobBytesMost / part_bytes_ + 2),
                                         std::numeric_limits<int>::max() - kHighWaterMark)));
    lane.run = run;
    std::uint16_t port = 0;
    if (!bind_some(lane.socket, port)) return std::nullopt;
    lanes_[session] = std::move(lane);
    ++new_lanes_;
    return port;
  } catch (const zmq::error_t&) {
    return std::nullopt;  // no socket, no descriptor
  }
}

bool Transport::send_waiting(Lane& lane) {
  while (!lane.waiting.empty()) {
    if (!send_frame(lane.socket, lane.waiting.front())) return false;
    waiting_bytes_ -= lane.waiting.front().size();
    lane.waiting_bytes -= lane.waiting.front().size();
    lane.waiting.pop_front();
  }
  return true;
}

bool Transport::send(SessionId session, const LaneMessage& message) {
  const auto found = lanes_.find(session);
  if (found == lanes_.end() || found->second.gone) return true;
  Lane& lane = found->second;
  const Header header{lane.run, session, lane.next_seq++};
  encode(header, message, buffer_);
  if (lane.was_writable && lane.waiting.empty() && buffer_.size() <= part_bytes_) {
    return send_frame(lane.socket, buffer_);
  }
  if (!lane.was_writable && waiting_bytes_ + buffer_.size() > options_.waiting_bytes_most) {
    lane.gone = true;
    return false;
  }
  for (std::string& frame : frames_of(header, std::string(buffer_), part_bytes_)) {
    waiting_bytes_ += frame.size();
    lane.waiting_bytes += frame.size();
    lane.waiting.push_back(std::move(frame));
  }
  return !lane.was_writable || send_waiting(lane);
}

// Returns whether the part was taken. It must continue its message and not be tiny, or a session could stay
// alive on parts that bring nothing. And the unfinished messages of all sessions together must stay within
// their budget.
bool Transport::add_part(SessionId session, const Part& part) {
  if (!lanes_.contains(session)) return false;
  PartAssembler& assembler = parts_[session];
  const bool goes_forward = part.last || part.bytes.size() >= kPartBytesLeast;
  if (goes_forward && parts_bytes_ + part.bytes.size() <= options_.parts_bytes_most && assembler.add(part)) {
    parts_bytes_ += part.bytes.size();
    return true;
  }
  forget_parts(session);
  return false;
}

void Transport::forget_parts(SessionId session) {
  const auto found = parts_.find(session);
  if (found == parts_.end()) return;
  parts_bytes_ -= found->second.bytes();
  parts_.erase(found);
}

void Transport::erase(std::map<SessionId, Lane>::iterator lane) {
  if (!lane->second.was_writable) --new_lanes_;
  waiting_bytes_ -= lane->second.waiting_bytes;
  lanes_.erase(lane);
}

void Transport::close_lane(SessionId session, Time now, Duration patience) {
  forget_parts(session);
  const auto found = lanes_.find(session);
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  if (patience.count() > 0 && !lane.gone) {
    lane.close_by = now + patience;
    return;
  }
  erase(found);
}

bool Transport::tend_lane(SessionId session, Lane& lane, Time now, std::vector<Event>& events) {
  if (lane.close_by && now >= *lane.close_by) return false;
  const bool now_writable = writable(lane.socket);
  if (now_writable && !lane.was_writable) {
    lane.was_writable = true;
    --new_lanes_;
    if (!lane.close_by) events.emplace_back(LaneWritable{session});
  }
  // Once writable and now not: the connection is gone for good, since the worker never dials again.
  const bool gone = (lane.was_writable && !now_writable) || (now_writable && !send_waiting(lane));
  if (!gone) return true;
  if (lane.close_by) return false;
  if (!std::exchange(lane.gone, true)) events.emplace_back(LaneGone{session});
  return true;
}

std::vector<void*> Transport::new_lane_handles(std::size_t most) {
  std::vector<void*> handles;
  if (new_lanes_ == 0) return handles;
  for (auto& [session, lane] : lanes_) {
    if (handles.size() == most) break;
    if (!lane.was_writable && !lane.gone) handles.push_back(lane.socket.handle());
  }
  return handles;
}

void Transport::tend(Time now, std::vector<Event>& events) {
  const bool all = now >= tended_all_ + kTendInterval;
  if (!all && new_lanes_ == 0) return;
  if (all) {
    tended_all_ = now;
    lacks_descriptors_ = !has_spare_descriptors();
    silent_closed_ += silent_->look(now);
  }
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = it->second;
    const bool due = all || !lane.was_writable;
    if (due && !lane.gone && !tend_lane(it->first, lane, now, events)) {
      forget_parts(it->first);
      erase(it++);
    } else {
      ++it;
    }
  }
}

}  // namespace workpool::dispatcher
