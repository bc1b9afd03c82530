// SPDX-License-Identifier: MIT
// A worker of bench_floor: a loop with the sockets, and one pool thread that runs the jobs.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "tests/bench/floor/text.h"
#include "tests/bench/floor/threads.h"
#include "tests/bench/floor/wire.h"

namespace workpool::bench {

inline std::string_view text_of(zmq::message_t& message) { return {message.data<char>(), message.size()}; }

class Worker {
 public:
  Worker(const std::string& lane, const std::string& sink)
      : context_(1), lane_(context_, zmq::socket_type::pull), sink_(context_, zmq::socket_type::push) {
    lane_.connect(lane);
    sink_.connect(sink);
    // What a supervisor would read after a crash.
    void* page = ::mmap(nullptr, sizeof(Place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) give_up("no shared memory");
    running_ = new (page) Place;
  }

  // Until a message without jobs comes.
  void run() {
    std::thread pool([this] { run_pool(); });
    bool more = true;
    while (more) {
      zmq::pollitem_t items[2] = {{lane_, 0, ZMQ_POLLIN, 0}, {nullptr, wake_.fd(), ZMQ_POLLIN, 0}};
      zmq::poll(items, 2, std::chrono::seconds(1));
      wake_.clear();
      more = receive();
      for (std::string& results : done_.take_all()) {
        sink_.send(zmq::buffer(results));
        kept_.emplace_back(++sent_, std::move(results));
      }
    }
    jobs_.close();
    pool.join();
  }

 private:
  struct Order {
    std::uint64_t handle;
    std::uint64_t attempt;
    Hash key;
    Hash spec;
    std::string_view work;  // into the message
    std::uint64_t timeout;
    std::uint64_t slots;
  };
  struct Batch {
    zmq::message_t message;
    std::vector<Order> orders;
    std::uint64_t received = 0;
  };
  enum class Seat : std::uint32_t { kFree, kChanging, kRunning };
  struct Place {
    std::atomic<Seat> seat{Seat::kFree};
    Hash key;
  };

  bool receive() {
    const std::uint64_t now = microseconds_now();
    while (true) {
      auto batch = std::make_unique<Batch>();
      if (!lane_.recv(batch->message, zmq::recv_flags::dontwait)) return true;
      batch->received = now;
      Cursor cursor(text_of(batch->message));
      if (cursor.list() != 2) give_up("bad JOBS");
      const std::uint64_t acked = cursor.number();
      while (!kept_.empty() && kept_.front().first <= acked) kept_.pop_front();
      batch->orders.resize(cursor.list());
      if (batch->orders.empty()) return false;
      for (Order& order : batch->orders) read_order(cursor, order);
      if (!cursor.good()) give_up("bad JOBS");
      jobs_.put(std::move(batch));
    }
  }

  static void read_order(Cursor& cursor, Order& order) {
    if (cursor.list() != kOrderMembers) give_up("bad order");
    order.handle = cursor.number();
    order.attempt = cursor.number();
    cursor.nil();
    order.key = cursor.key();
    order.spec = cursor.key();
    order.work = cursor.bytes();
    order.timeout = cursor.number();
    order.slots = cursor.number();
  }

  void run_pool() {
    std::unique_ptr<Batch> batch;
    while (jobs_.wait_for(batch)) {
      if (done_.put(results_of(*batch))) wake_.raise();
    }
  }

  std::string results_of(const Batch& batch) {
    std::string results;
    results.resize(batch.orders.size() * kResultBytesMost + 3);
    char* at = put_list(results.data(), batch.orders.size());
    std::uint64_t now = microseconds_now();
    for (const Order& order : batch.orders) {
      const std::uint64_t started = now;
      run_job(order, started);
      now = microseconds_now();  // also the start of the next
      at = put_wide_number(put_list(at, kResultMembers), order.handle);
      at = put_number(put_key(put_key(at, order.key), order.spec), order.attempt);
      at = put_number(put_number(at, started - batch.received), now - started);
    }
    results.resize(static_cast<std::size_t>(at - results.data()));
    return results;
  }

  void run_job(const Order& order, std::uint64_t now) {
    if (now > lease_until_.load(std::memory_order_relaxed)) give_up("the lease is over");
    running_->seat.store(Seat::kChanging, std::memory_order_relaxed);
    running_->key = order.key;
    running_->seat.store(Seat::kRunning, std::memory_order_release);
    if (!PlainLine::valid(order.work) || !order.work.starts_with(R"({"type":"noop")")) give_up("not a no-op");
    running_->seat.store(Seat::kFree, std::memory_order_release);
  }

  zmq::context_t context_;
  zmq::socket_t lane_;
  zmq::socket_t sink_;
  Wake wake_;
  Queue<std::unique_ptr<Batch>> jobs_;
  Queue<std::string> done_;
  std::deque<std::pair<std::uint64_t, std::string>> kept_;  // results by message, until they are acked
  std::uint64_t sent_ = 0;
  std::atomic<std::uint64_t> lease_until_{std::numeric_limits<std::uint64_t>::max()};
  Place* running_ = nullptr;
};

}  // namespace workpool::bench
