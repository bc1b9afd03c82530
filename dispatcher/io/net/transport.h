// SPDX-License-Identifier: MIT
// The dispatcher's sockets: its doors (door.h) and a lane for each session. Frames to messages and back; long
// messages as parts. A lane keeps its frames until it is first writable. A closed lane stays until its last
// frame is out and the worker has gone, or until its time is over. For the loop's thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <zmq.hpp>

#include "common/base/time.h"
#include "common/wire/codec.h"
#include "common/wire/messages.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/net/door.h"
#include "dispatcher/io/net/unfinished_messages.h"
#include "dispatcher/io/net/visitors.h"

namespace workpool::dispatcher {

struct TransportOptions {
  std::vector<DoorOptions> doors;  // one or two
  // The most that unfinished messages in parts may take, of all sessions together. Parts beyond it are
  // dropped, and their sessions end and begin again.
  std::size_t parts_bytes_most = 256 << 20;
  // The most that frames may take that wait for lanes which have not been writable yet, of all sessions
  // together. Frames for a lane that has been writable are sent at once.
  std::size_t waiting_bytes_most = 64 << 20;
  Duration worker_timeout = seconds(10);  // long messages are sent in parts that suit it
};

// Who has asked something on a registration socket: an opaque address, which also says at which door.
using Peer = std::string;

struct StatusAsked {
  Peer peer;
  bool all = false;  // StatusRequest::all
};

class Transport {
 public:
  static constexpr std::size_t kDoorsMost = 2;

  // Throws BindError.
  Transport(zmq::context_t& context, const TransportOptions& options);

  const Door& door(std::size_t index) const { return doors_.at(index); }
  // What a poll may wait for: something to read at a door. At most 2 * kDoorsMost.
  std::vector<void*> readable_handles();

  // From now on, what comes with these keys is dropped before it is decoded. (HELLOs get an answer.)
  void revoke(const std::vector<KeyId>& keys) { revoked_.insert(keys.begin(), keys.end()); }
  // From now on, a frame from the sink that is of another run is dropped before it is decoded.
  void accept_only(RunId run) { run_ = run; }
  // Receives up to `most` frames, or little more than `most_bytes`, from each sink. Returns whether all are
  // drained.
  bool receive_sinks(std::size_t most, std::size_t most_bytes, std::vector<Event>& events);
  // Drops what waits at the registration sockets. Workers that are there ask again.
  void drop_registrations();
  // Receives up to `most` HELLOs and requests for the status at each door. The caller sets a HELLO's `fresh`
  // session id.
  void receive_registration(std::size_t most, std::vector<HelloReceived>& hellos,
                            std::vector<StatusAsked>& asked);
  void reply(const Peer& peer, const RegistrationReply& reply);

  // Opens a lane at the door at which the worker has asked, and fills in the ports of its WELCOME. Returns
  // false if no port or no descriptor is free.
  bool open_lane(const Peer& peer, KeyId key, std::uint32_t slots, Welcome& welcome);
  // Returns false if the lane was writable once and does not take the message: the worker is gone. Also if
  // the lane never was, and too much waits for such lanes.
  bool send(SessionId session, const LaneMessage& message);
  // `patience`: how long it may stay for its last frames and for the worker to leave; 0 = close at once.
  void close_lane(SessionId session, Time now, Duration patience);

  // Checks the lanes: adds LaneWritable and LaneGone on a change. Checks new lanes at every call, all of them
  // every 250 ms.
  void tend(Time now, std::vector<Event>& events);
  // Lanes that have never been writable, up to `most`: a poll may wait until one is.
  std::vector<void*> new_lane_handles(std::size_t most);
  std::size_t new_lanes() const { return new_lanes_; }
  // Whether there was no descriptor for another worker when all lanes were last checked. Connections without
  // a handshake are closed after 5 s (HANDSHAKE_IVL), those that have no reason to stay a little later
  // (Visitors).
  bool lacks_descriptors() const { return lacks_descriptors_; }
  std::uint64_t refused_frames() const { return refused_frames_; }
  std::uint64_t visitors_closed() const { return visitors_closed_; }

 private:
  struct Lane {
    zmq::socket_t socket;
    std::uint16_t visited_port = 0;  // on TCP, with keys; else 0
    RunId run;
    std::uint64_t next_seq = 1;
    std::deque<std::string> waiting;
    std::size_t waiting_bytes = 0;
    bool was_writable = false;
    bool gone = false;
    std::optional<Time> close_by;
  };
  // Whether a frame from the sink is worth decoding.
  enum class Worth : std::uint8_t { kNone, kLate, kAll };
  Worth worth_of(std::string_view frame);
  // A connection has brought something that is thrown away, or comes too late to be asked for.
  void note_unwanted(zmq::message_t& frame, std::size_t bytes);
  void tend_visitors(Time now);
  void take(Door& door, zmq::message_t& frame, bool whole, std::vector<Event>& events);
  bool receive_sink(Door& door, std::size_t most, std::size_t most_bytes, std::vector<Event>& events);
  // Adds what a frame says to `events`. Returns false if it is no frame of ours.
  bool take_frame(std::string_view frame, KeyId key, std::vector<Event>& events);
  bool receive_request(std::size_t door, std::vector<HelloReceived>& hellos, std::vector<StatusAsked>& asked);
  Door& door_of(const Peer& peer);
  bool take_part(const Part& part, KeyId key, std::vector<Event>& events);
  bool send_waiting(Lane& lane);
  void erase(std::map<SessionId, Lane>::iterator lane);
  // Returns false if the lane can be thrown away.
  bool tend_lane(SessionId session, Lane& lane, Time now, std::vector<Event>& events);

  TransportOptions options_;
  std::deque<Door> doors_;
  std::size_t part_bytes_;
  std::map<SessionId, Lane> lanes_;
  std::size_t new_lanes_ = 0;
  Time now_;  // of the last tend()
  Time tended_all_;
  bool lacks_descriptors_ = false;
  UnfinishedMessages unfinished_;
  std::size_t waiting_bytes_ = 0;  // for all lanes
  std::optional<RunId> run_;
  std::set<KeyId> revoked_;
  std::uint64_t refused_frames_ = 0;
  std::optional<Visitors> visitors_;  // at the door on TCP
  std::uint64_t visitors_closed_ = 0;
  std::size_t crowd_ = 0;  // the most visitors since their memory was last given back
  Time crowd_left_;        // there are few since then
  std::string buffer_;
};

}  // namespace workpool::dispatcher
