// SPDX-License-Identifier: MIT
// The dispatcher's sockets: registration (ROUTER), sink (PULL) and a lane (PUSH) for each session. Frames to
// messages and back; long messages as parts. A lane keeps its frames until it is first writable. A closed
// lane stays until its last frame is out and the worker has gone, or until its time is over. For the loop's
// thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <zmq.hpp>

#include "common/base/time.h"
#include "common/base/units.h"
#include "common/wire/codec.h"
#include "common/wire/messages.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/net/silent_peers.h"

namespace workpool::dispatcher {

// Thrown if registration or sink cannot be bound. The message is one line that names the address and says
// what to do (exit 71).
struct BindError {
  std::string message;
};

struct TransportOptions {
  std::string host = "127.0.0.1";  // a literal, or `*`
  std::uint16_t port = 0;          // of registration; 0 = any
  std::uint16_t ports_low = 0;     // for sink and lanes; 0 = any
  std::uint16_t ports_high = 0;
  // The most that unfinished messages in parts may take, of all sessions together. Parts beyond it are
  // dropped, and their sessions end and begin again.
  std::size_t parts_bytes_most = 256 << 20;
  // The most that frames may take that wait for lanes which have not been writable yet, of all sessions
  // together. Frames for a lane that has been writable are sent at once.
  std::size_t waiting_bytes_most = 64 << 20;
  Duration worker_timeout = seconds(10);  // long messages are sent in parts that suit it
};

struct StatusAsked {
  std::string peer;
  bool all = false;  // StatusRequest::all
};

class Transport {
 public:
  Transport(zmq::context_t& context, const TransportOptions& options);

  std::uint16_t port() const { return port_; }
  void* registration_handle() { return registration_.handle(); }
  void* sink_handle() { return sink_.handle(); }

  // From now on, a frame from the sink that is of another run is dropped before it is decoded.
  void accept_only(RunId run) { run_ = run; }
  // Receives up to `most` frames, or little more than `most_bytes`, from the sink. Returns whether it is
  // drained.
  bool receive_sink(std::size_t most, std::size_t most_bytes, std::vector<Event>& events);
  // Drops what waits at the registration socket. Workers that are there ask again.
  void drop_registrations();
  // Receives up to `most` HELLOs and requests for the status. The caller sets a HELLO's `fresh` session id.
  void receive_registration(std::size_t most, std::vector<HelloReceived>& hellos,
                            std::vector<StatusAsked>& asked);
  void reply(const std::string& peer, const RegistrationReply& reply);

  // Opens a lane for a worker of so many slots. Returns its port; nullopt if no port or no descriptor is
  // free.
  std::optional<std::uint16_t> open_lane(SessionId session, RunId run, std::uint32_t slots);
  std::uint16_t sink_port() const { return sink_port_; }
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
  // a handshake are closed after 5 s (HANDSHAKE_IVL), silent ones to the two ports that everybody knows a
  // little later (SilentPeers).
  bool lacks_descriptors() const { return lacks_descriptors_; }
  std::uint64_t refused_frames() const { return refused_frames_; }
  std::uint64_t silent_closed() const { return silent_closed_; }

 private:
  struct Lane {
    zmq::socket_t socket;
    RunId run;
    std::uint64_t next_seq = 1;
    std::deque<std::string> waiting;
    std::size_t waiting_bytes = 0;
    bool was_writable = false;
    bool gone = false;
    std::optional<Time> close_by;
  };
  bool is_wanted(std::string_view frame);
  bool add_part(SessionId session, const Part& part);
  void forget_parts(SessionId session);
  bool bind_some(zmq::socket_t& socket, std::uint16_t& port);
  bool send_waiting(Lane& lane);
  void erase(std::map<SessionId, Lane>::iterator lane);
  // Returns false if the lane can be thrown away.
  bool tend_lane(SessionId session, Lane& lane, Time now, std::vector<Event>& events);

  zmq::context_t& context_;
  TransportOptions options_;
  zmq::socket_t registration_;
  zmq::socket_t sink_;
  std::uint16_t port_ = 0;
  std::uint16_t sink_port_ = 0;
  std::uint16_t next_port_ = 0;  // next of the range, in turn, so that a port just closed rests longest
  std::size_t part_bytes_;
  std::map<SessionId, Lane> lanes_;
  std::size_t new_lanes_ = 0;
  Time tended_all_;
  bool lacks_descriptors_ = false;
  std::unordered_map<SessionId, PartAssembler> parts_;
  std::size_t parts_bytes_ = 0;    // in all of them
  std::size_t waiting_bytes_ = 0;  // for all lanes
  std::optional<RunId> run_;
  std::uint64_t refused_frames_ = 0;
  std::optional<SilentPeers> silent_;  // once the ports are bound
  std::uint64_t silent_closed_ = 0;
  std::string buffer_;
};

}  // namespace workpool::dispatcher
