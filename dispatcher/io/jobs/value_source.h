// SPDX-License-Identifier: MIT
// Where the values of `each` come from: the command line, a file, stdin. For one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/each/value_reader.h"
#include "common/io/descriptor.h"
#include "dispatcher/each_options.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// Called before a read that may take long, with the descriptor. Returns false if nothing more is to be read.
using BeforeWait = std::function<bool(int fd)>;

class ValueSource {
 public:
  // Opens a file, and reads its columns if it has some.
  static std::variant<ValueSource, JobsProblem> open(const EachSource& source, const EachOptions& options);

  // Takes the next row: one value, or as many as there are columns. Returns false at the end, or if
  // problem() says why nothing more can be read.
  bool next(std::vector<std::string>& row, const BeforeWait& before_wait);
  const std::string& problem() const { return problem_; }

  // How many rows there are, if that can be known without waiting. Reads a regular file to its end, so that
  // its mistakes are found before anything runs: then problem() has the first one.
  std::optional<std::uint64_t> count();

  // Of rows and objects: their columns, whose names may be empty. Else empty.
  const std::vector<std::string>& columns() const { return reader_.columns(); }

 private:
  ValueSource(const EachSource& source, const EachOptions& options)
      : source_(&source),
        reader_(options.format, options.separator),
        format_(options.format),
        separator_(options.separator) {}
  // Reads more bytes. Returns false if nothing more is to be read.
  bool fill(ValueReader& reader, const BeforeWait& before_wait);
  template <class Take>
  bool take_from(ValueReader& reader, const BeforeWait& before_wait, const Take& take);
  bool read_columns(ValueReader& reader, const BeforeWait& before_wait);
  bool next_of(ValueReader& reader, std::vector<std::string>& row, const BeforeWait& before_wait);
  void describe(const ValueReader& reader);

  const EachSource* source_;
  ValueReader reader_;
  ValueFormat format_;
  std::string separator_;
  bool named_columns_ = true;
  Descriptor file_;
  bool regular_ = false;
  std::size_t next_value_ = 0;
  std::string problem_;
};

}  // namespace workpool::dispatcher
