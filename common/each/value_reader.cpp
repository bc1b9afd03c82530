// SPDX-License-Identifier: MIT
#include "common/each/value_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/text.h"
#include "common/formats/json_text.h"

namespace workpool {
namespace {

constexpr std::size_t kRoomBytes = 64 * 1024;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

}  // namespace

std::span<char> ValueReader::room() {
  if (at_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  if (buffer_.size() < end_ + kRoomBytes) buffer_.resize(end_ + kRoomBytes);
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void ValueReader::add(std::size_t bytes) { end_ += bytes; }

ValueReader::Taken ValueReader::fail(std::string message) {
  error_ = std::move(message);
  return Taken::kError;
}

// What a row that has no end yet means.
ValueReader::Taken ValueReader::not_enough() {
  if (end_ - at_ > kValueRowBytesMax) {
    row_line_ = line_;
    return fail("more than 1 MiB: no job can take it");
  }
  return finished_ ? Taken::kEnd : Taken::kMore;
}

// Whether a byte order mark can no longer come.
bool ValueReader::has_begun() {
  if (began_) return true;
  const bool may_be_mark = rest().size() < kByteOrderMark.size() && kByteOrderMark.starts_with(rest());
  if (may_be_mark && !finished_ && format_ != ValueFormat::kNul && format_ != ValueFormat::kRawLines)
    return false;
  const bool raw = format_ == ValueFormat::kNul || format_ == ValueFormat::kRawLines;
  if (!raw && rest().starts_with(kByteOrderMark)) at_ += kByteOrderMark.size();
  return began_ = true;
}

ValueReader::Taken ValueReader::next(std::vector<std::string>& fields) {
  if (!error_.empty()) return Taken::kError;
  if (!has_begun()) return Taken::kMore;
  if (first_row_) {
    fields = *std::exchange(first_row_, std::nullopt);
    return Taken::kRow;
  }
  fields.resize(1);
  switch (format_) {
    case ValueFormat::kLines:
      return next_line(fields.front());
    case ValueFormat::kNul:
      return next_value(fields.front());
    case ValueFormat::kCsv:
    case ValueFormat::kTsv:
      return next_row(fields);
    case ValueFormat::kJsonLines:
      return next_object(fields);
    case ValueFormat::kSeparated:
      return next_separated(fields);
    case ValueFormat::kRawLines:
      return next_raw_line(fields.front());
  }
  return Taken::kEnd;
}

ValueReader::Taken ValueReader::next_line(std::string& line) {
  while (true) {
    const std::size_t newline = rest().find('\n');
    if (newline == std::string_view::npos && (!finished_ || rest().empty())) return not_enough();
    std::string_view text = rest().substr(0, newline);
    row_line_ = line_;
    if (text.size() > kValueRowBytesMax) return fail("more than 1 MiB: no job can take it");
    at_ = newline == std::string_view::npos ? end_ : at_ + newline + 1;
    ++line_;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    line = text;
    return Taken::kRow;
  }
}

ValueReader::Taken ValueReader::next_raw_line(std::string& line) {
  const std::size_t newline = rest().find('\n');
  if (newline == std::string_view::npos && (!finished_ || rest().empty())) return not_enough();
  line = rest().substr(0, newline == std::string_view::npos ? newline : newline + 1);
  row_line_ = line_++;
  if (line.size() > kValueRowBytesMax) return fail("more than 1 MiB: no job can take it");
  at_ += line.size();
  return Taken::kRow;
}

ValueReader::Taken ValueReader::next_separated(std::vector<std::string>& fields) {
  std::string line;
  const Taken taken = next_line(line);
  if (taken != Taken::kRow) return taken;
  fields.clear();
  std::size_t at = 0;
  for (std::size_t end = 0; end != std::string::npos; at = end + separator_.size()) {
    end = line.find(separator_, at);
    fields.push_back(line.substr(at, end == std::string::npos ? end : end - at));
  }
  if (!has_columns_ || fields.size() == columns_.size()) return taken;
  return fail(counted(fields.size(), "column") + ", but the first line has " +
              std::to_string(columns_.size()));
}

ValueReader::Taken ValueReader::next_value(std::string& value) {
  const std::size_t end = rest().find('\0');
  if (end == std::string_view::npos && (!finished_ || rest().empty())) return not_enough();
  value = rest().substr(0, end);
  row_line_ = line_++;
  if (value.size() > kValueRowBytesMax) return fail("more than 1 MiB: no job can take it");
  at_ = end == std::string_view::npos ? end_ : at_ + end + 1;
  return Taken::kRow;
}

// Takes a quoted field whose opening quote is at `at`; leaves `at` behind the closing one. Returns false if
// that is not there yet.
bool ValueReader::take_quoted(std::size_t& at, std::string& field) {
  for (++at; at < end_; ++at) {
    if (buffer_[at] != '"') {
      field += buffer_[at];
      continue;
    }
    if (at + 1 == end_ && !finished_) return false;  // it may be the first of two
    if (at + 1 == end_ || buffer_[at + 1] != '"') {
      ++at;
      return true;
    }
    field += buffer_[++at];
  }
  return false;
}

ValueReader::Taken ValueReader::next_row(std::vector<std::string>& fields) {
  const char separator = format_ == ValueFormat::kCsv ? ',' : '\t';
  // Blank lines, and the LF of a CRLF.
  while (at_ < end_ && is_line_end(buffer_[at_])) line_ += buffer_[at_++] == '\n' ? 1 : 0;
  row_line_ = line_;
  fields.clear();
  std::size_t at = at_;
  std::uint64_t line = line_;
  while (at < end_) {
    std::string& field = fields.emplace_back();
    if (buffer_[at] == '"') {
      const std::size_t opening = at;
      if (!take_quoted(at, field)) {
        if (finished_ && end_ - at_ <= kValueRowBytesMax)
          return fail("column " + std::to_string(fields.size()) +
                      ": the quote that opens here is never closed");
        return not_enough();
      }
      line += static_cast<std::uint64_t>(std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(opening),
                                                    buffer_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
      if (at < end_ && buffer_[at] != separator && !is_line_end(buffer_[at])) {
        return fail("column " + std::to_string(fields.size()) +
                    ": text behind a closing quote; a quote inside quotes is written \"\"");
      }
    } else {
      const std::size_t begin = at;
      while (at < end_ && buffer_[at] != separator && !is_line_end(buffer_[at])) ++at;
      field.assign(buffer_, begin, at - begin);
    }
    if (at == end_ && !finished_) break;
    if (at < end_ && buffer_[at] == separator) {
      if (++at < end_ || !finished_) continue;
      fields.emplace_back();  // the input ends behind a separator
    }
    if (has_columns_ && fields.size() != columns_.size()) {
      return fail(counted(fields.size(), "column") + ", but the first row has " +
                  std::to_string(columns_.size()));
    }
    at_ = at;
    line_ = line;
    return Taken::kRow;
  }
  return not_enough();
}

ValueReader::Taken ValueReader::next_object(std::vector<std::string>& fields) {
  std::string text;
  while (true) {
    const Taken taken = next_line(text);
    if (taken != Taken::kRow) return taken;
    if (!trim_json_space(text).empty()) return take_object(text, fields);
  }
}

namespace {

// Calls `member` with the name and the offset of the value of each member of `text`, a valid object.
template <class Member>
void for_each_member(std::string_view text, const Member& member) {
  std::size_t at = skip_json_space(text, 0);
  do {
    at = skip_json_space(text, at + 1);
    if (text[at] == '}') return;
    const std::size_t value = json_member_value(text, at);
    member(json_string_value(text, at), value);
    at = skip_json_space(text, json_value_end(text, value));
  } while (text[at] == ',');
}

}  // namespace

ValueReader::Taken ValueReader::take_object(std::string_view text, std::vector<std::string>& fields) {
  if (const auto fault = find_json_fault(text, JsonText::kValue))
    return fail("column " + std::to_string(fault->offset + 1) + ": " + fault->message);
  if (text[skip_json_space(text, 0)] != '{') return fail("not an object, such as {\"name\": \"value\"}");
  if (!has_columns_) {
    for_each_member(text, [&](std::string name, std::size_t) { columns_.push_back(std::move(name)); });
    if (columns_.empty()) return fail("an empty object: the first one names the columns");
    has_columns_ = true;
  }
  std::vector<bool> found(columns_.size(), false);
  fields.assign(columns_.size(), "");
  for_each_member(text, [&](const std::string& name, std::size_t value) {
    const auto column = std::find(columns_.begin(), columns_.end(), name);
    if (column == columns_.end()) return;
    const auto place = static_cast<std::size_t>(column - columns_.begin());
    found[place] = true;
    if (text[value] == '"') {
      fields[place] = json_string_value(text, value);
    } else if (text[value] != 'n') {
      append_compact_json(fields[place], text, value);
    }
  });
  const auto missing = std::find(found.begin(), found.end(), false);
  if (missing == found.end()) return Taken::kRow;
  return fail("no member \"" + printable(columns_[static_cast<std::size_t>(missing - found.begin())], 80) +
              "\", which the first object has");
}

ValueReader::Taken ValueReader::read_columns(bool named) {
  std::vector<std::string> row;
  const Taken taken = next(row);
  if (taken != Taken::kRow) return taken;
  if (format_ == ValueFormat::kJsonLines || !named) {
    if (!has_columns_) columns_.resize(row.size());
    has_columns_ = true;
    first_row_ = std::move(row);
    return taken;
  }
  for (auto name = row.begin(); name != row.end(); ++name) {
    if (!is_utf8(*name)) return fail("the name of a column is not UTF-8: save the file as UTF-8");
    if (!name->empty() && std::find(row.begin(), name, *name) != name)
      return fail("two columns are called \"" + printable(*name, 80) + "\": rename one");
  }
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i].empty() && std::find(row.begin(), row.end(), std::to_string(i + 1)) != row.end())
      return fail("column " + std::to_string(i + 1) + " has no name, and another is called so: name it");
  }
  columns_ = std::move(row);
  has_columns_ = true;
  return taken;
}

}  // namespace workpool
