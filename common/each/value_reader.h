// SPDX-License-Identifier: MIT
// Splits bytes into the values of `each`: lines, values that end with NUL, rows of CSV (RFC 4180) or TSV,
// JSON objects. One row at a time; memory is one row and what was added last. Pure; for one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace workpool {

enum class ValueFormat : std::uint8_t { kLines, kNul, kCsv, kTsv, kJsonLines };

inline constexpr std::size_t kValueRowBytesMax = 1 << 20;  // no job could take more

class ValueReader {
 public:
  explicit ValueReader(ValueFormat format) : format_(format) {}

  // Room for the next bytes, which are then added. At the end of the input, finish().
  std::span<char> room();
  void add(std::size_t bytes);
  void finish() { finished_ = true; }

  enum class Taken : std::uint8_t {
    kRow,
    kMore,  // more bytes are needed
    kEnd,   // nothing is left, after finish()
    kError  // error() says why; nothing more can be read
  };
  // Reads the next row into `fields`: one for lines and NUL. Empty lines are skipped, and a CR before the end
  // of a line is dropped, as is a byte order mark. JSON objects: the values of columns() in their order,
  // which the first object names; strings as they are, anything else as its compact JSON, null as "".
  Taken next(std::vector<std::string>& fields);

  // Before the first next(), for rows and objects: learns the columns from the first row. `named`: it has
  // their names and is no row itself. Objects always have names, and the first is a row all the same.
  Taken read_columns(bool named);
  // Their names; empty ones if they have none.
  const std::vector<std::string>& columns() const { return columns_; }

  std::uint64_t line() const { return row_line_; }  // where the last row began, from 1
  const std::string& error() const { return error_; }

 private:
  Taken next_line(std::string& line);
  Taken next_value(std::string& value);
  Taken next_row(std::vector<std::string>& fields);
  Taken next_object(std::vector<std::string>& fields);
  bool has_begun();
  bool take_quoted(std::size_t& at, std::string& field);
  Taken take_object(std::string_view text, std::vector<std::string>& fields);
  Taken not_enough();
  Taken fail(std::string message);
  std::string_view rest() const { return std::string_view(buffer_).substr(at_, end_ - at_); }

  ValueFormat format_;
  std::string buffer_;
  std::size_t at_ = 0;   // of the next row
  std::size_t end_ = 0;  // of the bytes in `buffer_`
  bool began_ = false;   // a byte order mark is behind us
  bool finished_ = false;
  std::uint64_t line_ = 1;  // at `at_`
  std::uint64_t row_line_ = 1;
  std::vector<std::string> columns_;
  bool has_columns_ = false;
  std::optional<std::vector<std::string>> first_row_;  // read for the columns, still to be taken
  std::string error_;
};

}  // namespace workpool
