// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/line_walk.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "common/io/bounded_lines.h"
#include "common/io/threads.h"

namespace workpool::dispatcher {
namespace {

// Small enough that the first rows are there at once.
constexpr std::size_t kPieceLines = 1024;
constexpr std::uint64_t kPieceBytes = 1 << 20;
constexpr std::size_t kPiecesAhead = 4;  // for each thread
constexpr std::size_t kWindowBytes = 128 << 10;

// Reads texts of the file. Jobs end nearly in the order of their lines, so texts that are asked for one after
// the other stand near each other, in either direction, and share a read.
class TextReader {
 public:
  explicit TextReader(int fd) : fd_(fd) {}

  // Lives until the next call; nullopt if the file has become shorter, or cannot be read.
  std::optional<std::string_view> read(std::uint64_t offset, std::size_t bytes) {
    if (offset < start_ || offset + bytes > start_ + window_.size()) {
      const bool near = offset + kWindowBytes >= start_ && offset < start_ + window_.size() + kWindowBytes;
      start_ = near ? offset - std::min<std::uint64_t>(offset, kWindowBytes / 2) : offset;
      window_.resize(near ? bytes + kWindowBytes : bytes);
      const std::int64_t got = read_at(fd_, window_.data(), window_.size(), start_);
      window_.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
      if (offset + bytes > start_ + window_.size()) return std::nullopt;
    }
    return std::string_view(window_).substr(offset - start_, bytes);
  }

 private:
  int fd_;
  std::uint64_t start_ = 0;  // of window_ in the file
  std::string window_;
};

// One thread's part: lines to text.
class Visit {
 public:
  Visit(int fd, LineVisitor& visitor) : reader_(fd), visitor_(visitor) {}

  void take(const CountingLine& line, std::string& out) {
    const auto text = reader_.read(line.offset, line.bytes);
    if (text && !visitor_.wants(*text)) return;
    if (text && read_result_view(*text, view_)) {
      visitor_.take(line, *text, view_, out);
    } else {
      ++lost_;
    }
  }
  std::vector<FilePart> take_files() { return visitor_.take_files(); }
  std::uint64_t lost() const { return lost_; }

 private:
  TextReader reader_;
  LineVisitor& visitor_;
  ResultView view_;
  std::uint64_t lost_ = 0;
};

// Consecutive lines that one thread visits at once.
struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
};

Piece piece_from(const std::vector<CountingLine>& lines, std::size_t begin) {
  std::size_t end = begin;
  std::uint64_t bytes = 0;
  while (end < lines.size() && end - begin < kPieceLines &&
         (end == begin || bytes + lines[end].bytes <= kPieceBytes))
    bytes += lines[end++].bytes;
  return {begin, end};
}

// Threads take pieces in order, and hand their texts to the caller's thread, in order too.
class Walk {
 public:
  Walk(int fd, const std::vector<CountingLine>& lines, const Visitors& visitors) : lines_(lines) {
    for (const auto& visitor : visitors) visits_.emplace_back(fd, *visitor);
  }
  ~Walk() { stop(); }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  std::uint64_t run(const TextSink& sink, const FileSink& files) {
    for (Visit& visit : visits_) threads_.push_back(start_thread([this, &visit] { work(visit); }));
    while (const auto text = next_text()) {
      if (!pass_on(*text, sink, files)) break;
    }
    stop();
    if (error_) std::rethrow_exception(error_);
    std::uint64_t lost = 0;
    for (const Visit& visit : visits_) lost += visit.lost();
    return lost;
  }

 private:
  struct Text {
    std::string text;
    std::vector<FilePart> files;
    bool done = false;
  };

  static bool pass_on(const Text& made, const TextSink& sink, const FileSink& files) {
    std::size_t at = 0;
    const auto text_until = [&](std::size_t end) {
      const std::string_view text = std::string_view(made.text).substr(at, end - at);
      at = end;
      return text.empty() || sink(text);
    };
    for (const FilePart& part : made.files) {
      if (!text_until(part.at) || !files(part)) return false;
    }
    return text_until(made.text.size());
  }

  void work(Visit& visit) {
    try {
      while (const auto taken = take_piece()) {
        std::string text;
        for (std::size_t i = taken->first.begin; i < taken->first.end; ++i) visit.take(lines_[i], text);
        std::vector<FilePart> files = visit.take_files();
        const std::lock_guard lock(mutex_);
        taken->second->text = std::move(text);
        taken->second->files = std::move(files);
        taken->second->done = true;
        changed_.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      stopping_ = true;
      changed_.notify_all();
    }
  }

  // The next piece and where its text goes; nullopt if there is no more to do.
  std::optional<std::pair<Piece, Text*>> take_piece() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || texts_.size() < kPiecesAhead * visits_.size(); });
    if (stopping_ || next_ == lines_.size()) return std::nullopt;
    const Piece piece = piece_from(lines_, next_);
    next_ = piece.end;
    texts_.emplace_back();  // a deque: the others stay where they are
    return std::pair(piece, &texts_.back());
  }

  // Waits for the text of the first piece that was not passed on; nullopt if there is none, or after an
  // error.
  std::optional<Text> next_text() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return stopping_ || (texts_.empty() ? next_ == lines_.size() : texts_.front().done);
    });
    if (stopping_ || texts_.empty()) return std::nullopt;
    Text text = std::move(texts_.front());
    texts_.pop_front();
    changed_.notify_all();
    return text;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  const std::vector<CountingLine>& lines_;
  std::deque<Visit> visits_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // for all that follows
  std::condition_variable changed_;
  std::size_t next_ = 0;  // of lines_, not taken by any thread
  std::deque<Text> texts_;
  bool stopping_ = false;
  std::exception_ptr error_;
};

}  // namespace

std::uint64_t walk_lines(int fd, const std::vector<CountingLine>& lines, const Visitors& visitors,
                         const TextSink& sink, const FileSink& files) {
  return Walk(fd, lines, visitors).run(sink, files);
}

}  // namespace workpool::dispatcher
