// SPDX-License-Identifier: MIT
// The worker's two sockets of a session: lane (PULL) and sink (PUSH), both dialled, both closed with it.
// Frames to messages and back; long messages as parts. The loop's thread only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "common/base/keys.h"
#include "common/base/time.h"
#include "common/wire/codec.h"
#include "common/wire/messages.h"
#include "worker/core/facts.h"

namespace workpool::worker {

class Transport {
 public:
  // `key`: null if there is none.
  explicit Transport(zmq::context_t& context, std::shared_ptr<const JoinKey> key = nullptr)
      : context_(context), key_(std::move(key)) {}

  // `host`: the literal address, or the folder, that answered the registration; `secured`: with the key.
  // Returns false, with nothing open, if the
  // ports in `welcome` cannot be dialled or no descriptor is left.
  bool open(const std::string& host, bool secured, const Welcome& welcome, Time now);
  void close();
  bool is_open() const { return link_.has_value(); }

  // What a poll may wait for: something to read from the lane; that the new sink can be written to. nullptr
  // while nothing is open, or if the sink is not new.
  void* lane_handle();
  void* new_sink_handle();
  // Appends LaneReceived and LanePart for at most `most` frames. A frame that cannot be decoded ends the
  // session: SinkGone.
  void receive(std::size_t most, std::vector<Event>& events);

  // Frames wait here until the sink is writable for the first time. Returns false if the sink refuses a frame
  // after that: the connection is gone.
  bool send(const Header& header, const SinkMessage& message);
  bool send(const Header& header, const Results& message);
  // Checks the sink and sends what waits; returns false if the connection is gone or did not come in 5 s.
  bool tend(Time now);
  // Whether the sink has never been writable. Then tend() should be called whenever the poll returns.
  bool is_new() const { return link_ && !link_->sink_was_writable; }
  SessionId session() const { return link_ ? link_->session : SessionId{}; }

 private:
  struct Link {
    SessionId session;
    std::size_t part_bytes = kPartBytesMost;
    zmq::socket_t lane;
    zmq::socket_t sink;
    PartAssembler parts;
    std::deque<std::string> waiting;
    bool sink_was_writable = false;
    Time opened;
  };
  bool send_encoded(const Header& header);  // what is in buffer_
  bool send_waiting();

  zmq::context_t& context_;
  std::shared_ptr<const JoinKey> key_;
  std::optional<Link> link_;
  std::string buffer_;  // of one encoded message
};

}  // namespace workpool::worker
