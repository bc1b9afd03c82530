// SPDX-License-Identifier: MIT
// Writes messages for people to stderr, a line at a time, with one live line below them on a terminal. The
// only writer of stderr in a program. Messages may get lost if stderr is closed, full, blocked or gone. But
// no call fails or raises a signal that kills (main ignores SIGPIPE), and only flush() waits for a reader.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "common/base/time.h"

namespace workpool {

// Opens /dev/null on those of descriptors 0 to 2 that are closed, so that no later file or socket gets such a
// number and receives messages. The first thing a main does.
void fill_standard_descriptors();

class Console {
 public:
  // `fd` stays the caller's and stays open. A pipe or terminal is opened once more for non-blocking writes,
  // since O_NONBLOCK on the shared description would surprise everyone else who writes there.
  explicit Console(int fd = 2);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Whether the descriptor is a terminal whose lines can be redrawn (TERM is neither empty nor "dumb").
  bool redrawable() const { return redrawable_; }
  // Width of the terminal window now; 80 if it is not known.
  std::size_t columns() const;

  // One or more whole lines without the last newline, already printable. What cannot be written now waits (up
  // to 256 KiB) and goes out with the next call; beyond that lines are dropped and counted.
  void line(std::string_view text);
  // What a job has written, as it is, above the live line. `last`: the text ends here. A line that it leaves
  // open is ended before a message, and before anything else on a terminal. Returns false and takes nothing
  // while earlier bytes wait: flush(), then again.
  bool take(std::string_view text, bool last);
  // The errno of the last write that failed; 0 if none has.
  int error() const;
  // Shows `text` as the live line below all others, in place of the one before; "" takes it away. Does
  // nothing if the console is not redrawable, or while messages wait.
  void live(std::string_view text);
  // Writes what still waits, for at most `limit`.
  void flush(Duration limit);

 private:
  enum class Way : std::uint8_t { kNonBlocking, kSocket, kPolled, kPlain };

  void choose_way();
  void add_line(std::string_view text);  // to what waits
  void add_live();
  bool write_waiting();  // false if something still waits
  long write_some(const char* data, std::size_t size) const;

  mutable std::mutex mutex_;
  int fd_;
  int own_fd_ = -1;  // our own description of the same pipe or terminal
  Way way_ = Way::kPlain;
  bool redrawable_ = false;
  std::string waiting_;     // bytes not yet written
  std::string live_;        // the live line as shown or to be shown
  bool in_text_ = false;    // a text was taken that does not end here: no live line below it
  bool open_line_ = false;  // the last text ended within a line
  int error_ = 0;
  std::uint64_t dropped_ = 0;  // lines that were lost and have not been mentioned yet
};

// Writes all of an answer to stdout. If that fails, prints a line that says why on the console and returns
// false.
// `closed`: if given, a pipe that its reader has closed sets it, and there is no such line.
bool print_answer(std::string_view text, Console& console, bool* closed = nullptr);

}  // namespace workpool
