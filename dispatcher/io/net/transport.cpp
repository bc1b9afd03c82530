// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/transport.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/address.h"
#include "common/base/check.h"
#include "common/io/freed_memory.h"
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
// Nobody has a reason to stay at the registration for longer: one question, one answer. libzmq gives peers
// numbers there that a peer may claim for itself, and aborts when it comes to a number that is claimed: with
// so few, for so short a time, that takes somebody with a key hours.
constexpr Duration kRegistrationMost = seconds(15);
constexpr std::size_t kRegisteringMost = 512;
// Connections whose keys have not been exchanged yet: greeting, HELLO and INITIATE of CURVE are 600 bytes.
constexpr std::size_t kNewcomersMost = 200;
constexpr std::uint64_t kNewcomerBytes = 400;
constexpr std::size_t kLaneNewcomersMost = 4;  // one worker comes to a lane
// Only results are ever larger: a hundred thousand jobs that are held or returned take less.
constexpr std::size_t kOtherBytesMost = 8 << 20;
constexpr std::size_t kCrowdLeast = 500;  // connections
constexpr Duration kCrowdGoneFor = seconds(5);
constexpr std::size_t kDroppedMost = 10'000;  // frames: a peer that never stops must not hold us up

}  // namespace

Transport::Transport(zmq::context_t& context, const TransportOptions& options)
    : options_(options),
      part_bytes_(part_bytes_for(options.worker_timeout)),
      unfinished_(options.parts_bytes_most) {
  CHECK(!options_.doors.empty() && options_.doors.size() <= kDoorsMost);
  std::vector<PortRules> rules;
  for (const DoorOptions& door : options_.doors) {
    const Door& bound = doors_.emplace_back(context, door);
    if (is_folder(bound.host())) continue;
    constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
    rules.push_back({bound.port(), kSilenceMost, kRegistrationMost, kRegisteringMost, kAll});
    rules.push_back({bound.sink_port(), std::max(kSilenceMost, 2 * options_.worker_timeout), Duration{0},
                     door.key != nullptr ? kNewcomersMost : 0, kNewcomerBytes});
  }
  if (!rules.empty()) visitors_.emplace(rules);
}

std::vector<void*> Transport::readable_handles() {
  std::vector<void*> handles;
  for (Door& door : doors_) {
    handles.push_back(door.sink().handle());
    handles.push_back(door.registration().handle());
  }
  return handles;
}

// ---- up ----

// It must be of this run, and either be of a session with a lane or hold results, which count from any
// session. Anybody may connect and send, so other frames must cost next to nothing.
Transport::Worth Transport::worth_of(std::string_view frame) {
  const auto head = peek_sink(frame);
  if (!head) ++refused_frames_;
  if (!head || (run_ && head->header.run != *run_)) return Worth::kNone;
  if (lanes_.contains(head->header.session)) return Worth::kAll;
  return head->has_results ? Worth::kLate : Worth::kNone;
}

void Transport::note_unwanted(zmq::message_t& frame, std::size_t bytes) {
  if (!visitors_) return;
  const int fd = ::zmq_msg_get(frame.handle(), ZMQ_SRCFD);
  if (fd >= 0 && visitors_->unwanted(fd, bytes, now_)) ++visitors_closed_;
}

bool Transport::receive_sinks(std::size_t most, std::size_t most_bytes, std::vector<Event>& events) {
  bool drained = true;
  for (Door& door : doors_) drained &= receive_sink(door, most, most_bytes, events);
  return drained;
}

bool Transport::receive_sink(Door& door, std::size_t most, std::size_t most_bytes,
                             std::vector<Event>& events) {
  zmq::message_t frame;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < most && bytes < most_bytes; ++i) {
    const Receipt receipt = receive_frame(door.sink(), frame);
    if (receipt == Receipt::kNone) return true;
    bytes += frame.size();
    take(door, frame, receipt == Receipt::kFrame, events);
  }
  return false;
}

void Transport::take(Door& door, zmq::message_t& frame, bool whole, std::vector<Event>& events) {
  const auto key = whole ? door.key_of(frame) : std::nullopt;
  if (!key) ++refused_frames_;
  const std::string_view text = frame.to_string_view();
  const Worth worth = key && !revoked_.contains(*key) ? worth_of(text) : Worth::kNone;
  const bool taken = worth != Worth::kNone && take_frame(text, *key, events);
  if (worth != Worth::kNone && !taken) ++refused_frames_;
  if (worth == Worth::kAll && taken) return;
  // What comes in several frames is not of our protocol, and the others may be large.
  note_unwanted(frame, whole ? frame.size() : Visitors::kUnwantedBytesMost + 1);
}

bool Transport::take_frame(std::string_view frame, KeyId key, std::vector<Event>& events) {
  auto decoded = decode_sink(frame);
  if (!decoded) return false;
  if (const auto* part = std::get_if<Part>(&decoded->content)) return take_part(*part, key, events);
  events.emplace_back(SinkReceived{decoded->header, std::move(std::get<SinkMessage>(decoded->content)), key});
  return true;
}

bool Transport::take_part(const Part& part, KeyId key, std::vector<Event>& events) {
  const SessionId session = part.header.session;
  if (!lanes_.contains(session) || !unfinished_.add(session, key, part, now_)) return false;
  events.emplace_back(PartReceived{session, key});
  const auto whole = unfinished_.take(session, key);
  if (!whole) return true;
  const auto head = peek_sink(*whole);
  if (!head || (!head->has_results && whole->size() > kOtherBytesMost)) return false;
  auto decoded = decode_sink(*whole);
  // The assembled message must not speak for another session or sequence number than its parts.
  const bool its_own = decoded && decoded->header == part.header;
  if (!its_own || std::holds_alternative<Part>(decoded->content)) return false;
  events.emplace_back(SinkReceived{decoded->header, std::move(std::get<SinkMessage>(decoded->content)), key});
  return true;
}

void Transport::drop_registrations() {
  zmq::message_t frame;
  for (Door& door : doors_) {
    for (std::size_t i = 0; i < kDroppedMost && door.registration().recv(frame, zmq::recv_flags::dontwait);
         ++i) {
    }
  }
}

void Transport::receive_registration(std::size_t most, std::vector<HelloReceived>& hellos,
                                     std::vector<StatusAsked>& asked) {
  for (std::size_t door = 0; door < doors_.size(); ++door) {
    for (std::size_t i = 0; i < most && receive_request(door, hellos, asked); ++i) {
    }
  }
}

// Returns false if nothing has come.
bool Transport::receive_request(std::size_t door, std::vector<HelloReceived>& hellos,
                                std::vector<StatusAsked>& asked) {
  zmq::message_t id;
  zmq::message_t frame;
  zmq::socket_t& registration = doors_[door].registration();
  if (!registration.recv(id, zmq::recv_flags::dontwait)) return false;
  auto request = id.more() && receive_frame(registration, frame) == Receipt::kFrame
                     ? decode_request(frame.to_string_view())
                     : std::nullopt;
  const Peer peer = static_cast<char>('0' + door) + id.to_string();
  const auto key = request ? doors_[door].key_of(frame) : std::nullopt;
  if (!key) {
    ++refused_frames_;
    note_unwanted(frame, frame.size());
  } else if (auto* hello = std::get_if<Hello>(&*request)) {
    hellos.push_back({peer, std::move(*hello), {}, *key});
  } else if (!revoked_.contains(*key)) {  // on a connection from before
    asked.push_back({peer, std::get<StatusRequest>(*request).all});
  }
  return true;
}

Door& Transport::door_of(const Peer& peer) { return doors_.at(static_cast<std::size_t>(peer.at(0) - '0')); }

void Transport::reply(const Peer& peer, const RegistrationReply& reply) {
  encode(reply, buffer_);
  zmq::socket_t& registration = door_of(peer).registration();
  try {
    if (send_frame(registration, std::string_view(peer).substr(1), true)) send_frame(registration, buffer_);
  } catch (const zmq::error_t&) {
    // The peer has gone; it will ask again.
  }
}

// ---- lanes ----

bool Transport::open_lane(const Peer& peer, KeyId key, std::uint32_t slots, Welcome& welcome) {
  Door& door = door_of(peer);
  const std::uint64_t for_slots = std::min(slots, kLaneSlotsMost) * (kJobBytesMost / part_bytes_ + 2);
  constexpr int kMost = std::numeric_limits<int>::max() - kHighWaterMark;
  auto opened =
      door.open_lane(key, kHighWaterMark + static_cast<int>(std::min<std::uint64_t>(for_slots, kMost)));
  if (!opened) return false;
  Lane lane;
  lane.socket = std::move(opened->socket);
  lane.run = welcome.run;
  if (door.has_keys()) {
    lane.visited_port = opened->port;
    visitors_->add({opened->port, Duration{0}, Duration{0}, kLaneNewcomersMost, kNewcomerBytes});
  }
  lanes_[welcome.session] = std::move(lane);
  ++new_lanes_;
  welcome.lane_port = opened->port;
  welcome.sink_port = door.sink_port();
  return true;
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

void Transport::erase(std::map<SessionId, Lane>::iterator lane) {
  if (!lane->second.was_writable) --new_lanes_;
  waiting_bytes_ -= lane->second.waiting_bytes;
  if (lane->second.visited_port != 0) visitors_->remove(lane->second.visited_port);
  lanes_.erase(lane);
}

void Transport::close_lane(SessionId session, Time now, Duration patience) {
  unfinished_.forget(session);
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

// Each connection takes some KiB in libzmq, which the heap keeps: of 20,000 at once 56 MiB stayed.
void Transport::tend_visitors(Time now) {
  visitors_closed_ += visitors_->look(now);
  const std::size_t present = visitors_->present();
  crowd_ = std::max(crowd_, present);
  if (crowd_ < kCrowdLeast || present > crowd_ / 4) {
    crowd_left_ = now;
  } else if (now >= crowd_left_ + kCrowdGoneFor) {
    give_back_freed_memory();
    crowd_ = present;
  }
}

void Transport::tend(Time now, std::vector<Event>& events) {
  now_ = now;
  const bool all = now >= tended_all_ + kTendInterval;
  if (!all && new_lanes_ == 0) return;
  if (all) {
    tended_all_ = now;
    lacks_descriptors_ = !has_spare_descriptors();
    if (visitors_) tend_visitors(now);
  }
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = it->second;
    const bool due = all || !lane.was_writable;
    if (due && !lane.gone && !tend_lane(it->first, lane, now, events)) {
      unfinished_.forget(it->first);
      erase(it++);
    } else {
      ++it;
    }
  }
}

}  // namespace workpool::dispatcher
