// SPDX-License-Identifier: MIT
// The index of a jobs file: two threads validate and hash its lines, then the calling one joins what they
// found and looks for ids that come twice.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/bench/floor/text.h"
#include "tests/bench/floor/threads.h"

namespace workpool::bench {

// The key of a job without an id: its spec in hex is its id.
inline Hash key_of_spec(const Hash& spec) {
  char id[32];
  put_hash(id, spec);
  return hash_of({id, sizeof id});
}

// Calls `line(offset, text)` for each line of [from, to) of the file, without its newline; `to` is the start
// of a line or the end of the file.
template <typename Line>
void for_each_line(int fd, std::uint64_t from, std::uint64_t to, std::string& buffer, const Line& line) {
  buffer.resize(to - from);
  if (::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(from)) !=
      static_cast<ssize_t>(buffer.size()))
    give_up("the jobs file cannot be read");
  std::string_view left = buffer;
  for (std::size_t at = 0; at < buffer.size();) {
    const std::size_t end = std::min(left.find('\n', at), buffer.size());
    line(from + at, left.substr(at, end - at));
    at = end + 1;
  }
}

class Index {
 public:
  explicit Index(int fd) : fd_(fd) {
    struct stat facts {};
    if (::fstat(fd, &facts) != 0) give_up("the jobs file cannot be read");
    bytes_ = static_cast<std::uint64_t>(facts.st_size);
    segments_.resize(bytes_ / kSegmentBytes + 1);
    std::thread other([this] { read_segments(); });
    read_segments();
    other.join();
    merge();
  }

  std::size_t size() const { return offsets_.size(); }
  std::uint64_t begin_of(std::size_t job) const { return offsets_[job]; }
  std::uint64_t end_of(std::size_t job) const { return job + 1 < size() ? offsets_[job + 1] : bytes_; }
  std::uint64_t key(std::size_t job) const { return keys_[job]; }
  std::uint64_t spec(std::size_t job) const { return specs_[job]; }

 private:
  static constexpr std::uint64_t kSegmentBytes = 2 << 20;
  static constexpr std::uint64_t kLineBytesMost = 4096;
  static constexpr std::size_t kAhead = 16;  // places that are fetched into the cache early

  struct Segment {
    std::vector<std::uint64_t> offsets;
    std::vector<std::uint64_t> keys;
    std::vector<std::uint64_t> specs;
  };

  // The first start of a line at or after `offset`.
  std::uint64_t line_start(std::uint64_t offset) const {
    if (offset == 0 || offset >= bytes_) return std::min(offset, bytes_);
    char text[kLineBytesMost];
    const ssize_t count = ::pread(fd_, text, sizeof text, static_cast<off_t>(offset - 1));
    const std::size_t found =
        std::string_view(text, static_cast<std::size_t>(std::max<ssize_t>(count, 0))).find('\n');
    return found == std::string_view::npos ? bytes_ : offset + found;
  }

  void read_segments() {
    std::string buffer;
    while (true) {
      const std::size_t number = next_.fetch_add(1);
      if (number >= segments_.size()) return;
      Segment& segment = segments_[number];
      for_each_line(fd_, line_start(number * kSegmentBytes), line_start((number + 1) * kSegmentBytes), buffer,
                    [&segment](std::uint64_t offset, std::string_view line) {
                      if (!PlainLine::valid(line)) give_up("a line is not a plain job");
                      const Hash spec = hash_of(line);
                      segment.offsets.push_back(offset);
                      segment.keys.push_back(key_of_spec(spec).high);
                      segment.specs.push_back(spec.high);
                    });
    }
  }

  void merge() {
    std::size_t jobs = 0;
    for (const Segment& segment : segments_) jobs += segment.offsets.size();
    offsets_.reserve(jobs);
    keys_.reserve(jobs);
    specs_.reserve(jobs);
    tags_.resize(jobs * 5 / 4 + 16);
    places_.resize(tags_.size());
    for (const Segment& segment : segments_) {
      for (std::size_t i = 0; i < segment.keys.size(); ++i) {
        if (i + kAhead < segment.keys.size())
          __builtin_prefetch(&tags_[place_of(segment.keys[i + kAhead])], 1);
        add(segment.offsets[i], segment.keys[i], segment.specs[i]);
      }
    }
  }

  std::size_t place_of(std::uint64_t key) const {
    return static_cast<std::size_t>(static_cast<unsigned __int128>(key) * tags_.size() >> 64);
  }

  void add(std::uint64_t offset, std::uint64_t key, std::uint64_t spec) {
    const auto tag = static_cast<std::uint8_t>(key | 1);  // 0 is an empty place
    std::size_t place = place_of(key);
    for (; tags_[place] != 0; place = place + 1 == tags_.size() ? 0 : place + 1) {
      if (tags_[place] == tag && keys_[places_[place]] == key) give_up("two lines have the same work");
    }
    tags_[place] = tag;
    places_[place] = static_cast<std::uint32_t>(offsets_.size());
    offsets_.push_back(offset);
    keys_.push_back(key);
    specs_.push_back(spec);
  }

  const int fd_;
  std::uint64_t bytes_ = 0;
  std::vector<Segment> segments_;
  std::atomic<std::size_t> next_{0};
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint64_t> keys_;   // the high halves
  std::vector<std::uint64_t> specs_;  // the high halves
  std::vector<std::uint8_t> tags_;
  std::vector<std::uint32_t> places_;  // job numbers by key
};

}  // namespace workpool::bench
