// SPDX-License-Identifier: MIT
// Reads the lines that count once more, in their order and on several threads, and passes on what is made of
// them. Memory is a few MiB per thread, and a line if it is longer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/formats/result_view.h"
#include "dispatcher/io/show/counting_lines.h"

namespace workpool::dispatcher {

// A file that stands in the middle of text: what a command printed, too large to be a part of it.
struct FilePart {
  std::size_t at = 0;  // in the text
  ResultFile file;
  std::string stream;  // "stdout"
  std::string worker;
  std::string tag;         // for each of its lines; empty: none
  std::uint64_t line = 0;  // of the job
};

// What is made of lines. One for each thread; afterwards all may be asked for what they have gathered.
class LineVisitor {
 public:
  virtual ~LineVisitor() = default;
  // Whether this line is to be taken, as far as a quick look says; else it is passed over.
  virtual bool wants(std::string_view /*text*/) const { return true; }
  // `text`: the whole line, without its newline. What is appended to `out` is passed on in order of the
  // lines.
  virtual void take(const CountingLine& line, std::string_view text, const ResultView& view,
                    std::string& out) = 0;
  // The files in what take() has appended since the last call.
  virtual std::vector<FilePart> take_files() { return {}; }
};

using Visitors = std::vector<std::unique_ptr<LineVisitor>>;

// Each takes more, or returns false if it takes no more.
using TextSink = std::function<bool(std::string_view)>;
using FileSink = std::function<bool(const FilePart&)>;

// Visits `lines`, which stand in the file at `fd`, until all are visited or a sink returns false. Returns how
// many could not be read again as they were: the file was changed meanwhile. Throws what a visitor throws.
std::uint64_t walk_lines(int fd, const std::vector<CountingLine>& lines, const Visitors& visitors,
                         const TextSink& sink, const FileSink& files = nullptr);

}  // namespace workpool::dispatcher
