// SPDX-License-Identifier: MIT
// Writes result lines as workpool does, with checksums, and syncs each group of them.
#pragma once

#include <isa-l/crc.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/bench/floor/text.h"
#include "tests/bench/floor/threads.h"

namespace workpool::bench {

struct Record {
  Hash spec;
  std::uint64_t line = 0;
  std::uint64_t attempt = 0;
  std::uint64_t waited = 0;  // microseconds
  std::uint64_t ran = 0;     // microseconds
  std::size_t worker = 0;
};

class Writer {
 public:
  // `wake` is raised when more is durable.
  Writer(int fd, bool sync, Wake& wake) : fd_(fd), sync_(sync), wake_(wake), thread_([this] { run(); }) {}
  ~Writer() {
    queue_.close();
    thread_.join();
  }

  void append(std::vector<Record> records) { queue_.put(std::move(records)); }
  // How many records are on disk.
  std::uint64_t durable() const { return durable_; }

 private:
  static constexpr std::size_t kBlockBytes = 1 << 20;
  static constexpr std::size_t kLineBytesMost = 512;

  void run() {
    std::string block;
    std::vector<Record> records;
    std::uint64_t count = 0;
    while (queue_.wait_for(records)) {
      std::size_t used = 0;
      do {
        refresh_timestamp();
        if (block.size() < used + records.size() * kLineBytesMost + kBlockBytes)
          block.resize(used + records.size() * kLineBytesMost + kBlockBytes);
        char* at = block.data() + used;
        for (const Record& record : records) at = put_line(at, record);
        used = static_cast<std::size_t>(at - block.data());
        count += records.size();
      } while (used < kBlockBytes && queue_.take_if_any(records));
      if (::write(fd_, block.data(), used) != static_cast<ssize_t>(used))
        give_up("results cannot be written");
      if (sync_ && ::fdatasync(fd_) != 0) give_up("results cannot be synced");
      durable_ = count;
      wake_.raise();
    }
  }

  void refresh_timestamp() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const std::int64_t milliseconds = now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
    if (milliseconds == timestamp_of_) return;
    timestamp_of_ = milliseconds;
    tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    const std::size_t length = std::strftime(timestamp_, sizeof timestamp_, "%FT%T", &utc);
    std::snprintf(timestamp_ + length, sizeof timestamp_ - length, ".%03dZ",
                  static_cast<int>(milliseconds % 1000));
  }

  char* put_line(char* const begin, const Record& record) const {
    char* at = put_hash(put_text(begin, R"({"id":")"), record.spec);
    at = put_decimal(put_text(at, R"(","line":)"), record.line);
    at = put_decimal(put_text(at, R"(,"status":"ok","attempt":)"), record.attempt);
    at = put_decimal(put_text(at, R"(,"value":null,"worker":"w)"), record.worker);
    at = put_milliseconds(put_text(at, R"(","queued_ms":)"), record.waited);
    at = put_milliseconds(put_text(at, R"(,"run_ms":)"), record.ran);
    at = put_text(put_text(at, R"(,"finished":")"), std::string_view(timestamp_, 24));
    at = put_text(at, R"(","run":"701be8a151bebb7e")");
    const std::uint32_t crc = crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(begin),
                                              static_cast<std::uint64_t>(at - begin));
    char digits[16];
    put_hex(digits, crc);
    return put_text(put_text(put_text(at, R"(,"crc":")"), {digits + 8, 8}), "\"}\n");
  }

  const int fd_;
  const bool sync_;
  Wake& wake_;
  std::int64_t timestamp_of_ = -1;
  char timestamp_[64] = {};
  std::atomic<std::uint64_t> durable_{0};
  Queue<std::vector<Record>> queue_;
  std::thread thread_;
};

}  // namespace workpool::bench
