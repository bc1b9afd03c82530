// SPDX-License-Identifier: MIT
// The loop of bench_floor's dispatcher: hands blocks of jobs to the workers as far as their credit goes,
// checks each result against what was given, and acks what is durable.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "tests/bench/floor/reader.h"
#include "tests/bench/floor/threads.h"
#include "tests/bench/floor/wire.h"
#include "tests/bench/floor/worker.h"
#include "tests/bench/floor/writer.h"

namespace workpool::bench {

inline constexpr std::size_t kWorkers = 2;

class Sockets {
 public:
  Sockets() : context_(1), sink_(context_, zmq::socket_type::pull) {
    sink_.bind("tcp://127.0.0.1:*");
    for (std::size_t i = 0; i < kWorkers; ++i) {
      lanes_.emplace_back(context_, zmq::socket_type::push).bind("tcp://127.0.0.1:*");
      lanes_.back().set(zmq::sockopt::sndhwm, 0);
    }
  }
  zmq::socket_t& sink() { return sink_; }
  zmq::socket_t& lane(std::size_t worker) { return lanes_[worker]; }

  void wait_for_workers() {
    for (zmq::socket_t& lane : lanes_) {
      while ((lane.get(zmq::sockopt::events) & ZMQ_POLLOUT) == 0) ::usleep(1000);
    }
  }

 private:
  zmq::context_t context_;
  zmq::socket_t sink_;
  std::vector<zmq::socket_t> lanes_;
};

class Dispatcher {
 public:
  Dispatcher(Sockets& sockets, std::size_t jobs, Reader& reader, Writer& writer, Wake& wake)
      : sockets_(sockets), jobs_(jobs), reader_(reader), writer_(writer), wake_(wake), places_(kPlaces) {
    for (std::uint32_t place = kPlaces; place-- > 0;) free_.push_back(place);
  }

  // Until every job has a result on disk; then the workers are told to end.
  void run() {
    hand_out();
    while (writer_.durable() < jobs_) {
      zmq::pollitem_t items[2] = {{sockets_.sink(), 0, ZMQ_POLLIN, 0}, {nullptr, wake_.fd(), ZMQ_POLLIN, 0}};
      zmq::poll(items, 2, std::chrono::milliseconds(250));
      wake_.clear();
      ack_what_is_durable();
      take_results();
      hand_out();
    }
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
      char end[8];
      char* at = put_list(put_number(put_list(end, 2), 0), 0);
      sockets_.lane(worker).send(zmq::buffer(end, static_cast<std::size_t>(at - end)));
    }
  }

 private:
  // The most that is of use: more than this is no faster.
  static constexpr std::size_t kCredit = 2048;
  static constexpr std::uint32_t kPlaces = 8192;

  // A job that a worker has. Its handle is its generation and its number in the table.
  struct Place {
    std::uint32_t generation = 1;
    bool used = false;
    std::size_t worker = 0;
    Hash key;
    Hash spec;
    std::uint64_t line = 0;
  };
  struct Session {
    std::size_t held = 0;
    std::uint64_t received = 0;  // messages
    std::uint64_t acked = 0;
    std::deque<std::pair<std::uint64_t, std::uint64_t>> to_ack;  // message, and the record it waits for
  };

  void ack_what_is_durable() {
    const std::uint64_t durable = writer_.durable();
    for (Session& session : sessions_) {
      for (auto& waiting = session.to_ack; !waiting.empty() && waiting.front().second <= durable;
           waiting.pop_front())
        session.acked = waiting.front().first;
    }
  }

  void take_results() {
    zmq::message_t message;
    while (sockets_.sink().recv(message, zmq::recv_flags::dontwait)) {
      Cursor cursor(text_of(message));
      std::vector<Record> records(cursor.list());
      std::size_t worker = 0;
      for (Record& record : records) worker = take_result(cursor, record);
      if (!cursor.good() || records.empty()) give_up("bad RESULTS");
      recorded_ += records.size();
      Session& session = sessions_[worker];
      session.held -= records.size();
      session.to_ack.emplace_back(++session.received, recorded_);
      writer_.append(std::move(records));
    }
  }

  // Returns the worker that had the job.
  std::size_t take_result(Cursor& cursor, Record& record) {
    if (cursor.list() != kResultMembers) give_up("bad result");
    const std::uint64_t handle = cursor.number();
    const Hash key = cursor.key();
    const Hash spec = cursor.key();
    record.attempt = cursor.number();
    record.waited = cursor.number();
    record.ran = cursor.number();
    const auto number = static_cast<std::uint32_t>(handle);
    if (number >= kPlaces) give_up("a result of no job");
    Place& place = places_[number];
    if (!place.used || place.generation != handle >> 32 || place.key != key || place.spec != spec)
      give_up("a result of no job");
    record.spec = spec;
    record.line = place.line;
    record.worker = place.worker;
    place.used = false;
    ++place.generation;
    free_.push_back(number);
    return place.worker;
  }

  void hand_out() {
    for (bool any = true; any;) {
      any = false;
      for (std::size_t worker = 0; worker < kWorkers; ++worker) {
        const std::size_t room = kCredit - sessions_[worker].held;
        // Small messages wait until there is room for a whole one.
        if (room < kJobsAMessage && sessions_[worker].held > 0) continue;
        if (!next_block()) return;
        give(worker, std::min({kJobsAMessage, block_->count - given_of_block_, room}));
        any = true;
      }
    }
  }

  bool next_block() {
    if (block_ && given_of_block_ < block_->count) return true;
    if (block_) reader_.give_back(std::move(block_));
    given_of_block_ = 0;
    return reader_.take(block_);
  }

  void give(std::size_t worker, std::size_t count) {
    const std::size_t first = given_of_block_;
    const std::size_t orders_bytes = block_->begins[first + count] - block_->begins[first];
    zmq::message_t message(kJobsHeadBytesMost + count * kOrderHeadBytes + orders_bytes);
    Session& session = sessions_[worker];
    char* const begin = message.data<char>();
    char* at = put_list(put_number(put_list(begin, 2), session.acked), count);
    for (std::size_t i = first; i < first + count; ++i) {
      const std::uint32_t number = free_.back();
      free_.pop_back();
      Place& place = places_[number];
      place = {place.generation, true, worker, block_->keys[i], block_->specs[i], block_->first + i + 1};
      at = put_wide_number(put_list(at, kOrderMembers), std::uint64_t{place.generation} << 32 | number);
      at = put_number(at, 1);  // the first attempt
      at = put_text(at, std::string_view(block_->orders)
                            .substr(block_->begins[i], block_->begins[i + 1] - block_->begins[i]));
    }
    // The head may be shorter than the most that it can be. The copy that this costs is small.
    const auto size = static_cast<std::size_t>(at - begin);
    if (size < message.size()) message = zmq::message_t(begin, size);
    sockets_.lane(worker).send(message, zmq::send_flags::dontwait);
    given_of_block_ += count;
    session.held += count;
  }

  Sockets& sockets_;
  const std::size_t jobs_;
  Reader& reader_;
  Writer& writer_;
  Wake& wake_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::array<Session, kWorkers> sessions_;
  std::unique_ptr<Block> block_;
  std::size_t given_of_block_ = 0;
  std::uint64_t recorded_ = 0;
};

}  // namespace workpool::bench
