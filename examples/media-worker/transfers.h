// SPDX-License-Identifier: MIT
// Transfers over HTTP: up to 50 at once on two threads of libcurl, which keep connections for the next ones.
// Their threads own the network and nothing else: what comes is written by the thread that asked for it.
#pragma once

#include <curl/curl.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

struct Request {
  std::string url;
  std::map<std::string, std::string> headers;
  std::optional<std::int64_t> bytes_max;
  bool follow = true;
  long silence_s = 30;  // without a byte, or a connection, for so long: given up
};

struct Answer {
  long status = 0;
  std::string content_type;
  std::string url;  // the last one, if it was followed
};

class Transfers {
 public:
  static constexpr int kThreads = 2;
  static constexpr int kAtOnceMost = 25;  // a thread's

  // Throws std::runtime_error.
  Transfers();
  ~Transfers() = delete;  // threads of it live as long as the process

  // Waits for the whole answer and hands its bytes to `take`, in order and on this thread. Throws
  // workpool::Failure, whose first word is dns, connect, tls, timeout, status, size or transfer, and what
  // `take` throws. Any thread.
  Answer run(const Request& request, const std::function<void(std::string_view)>& take,
             const std::stop_token& stop);

 private:
  class Thread;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::mutex mutex_;
  std::size_t next_ = 0;  // of threads_, in turn
};
