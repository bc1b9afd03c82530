// SPDX-License-Identifier: MIT
#include "include/workpool/json.h"

#include <charconv>
#include <cmath>
#include <system_error>

#include "common/base/text.h"
#include "common/formats/json_text.h"
#include "worker/library/json_reader.h"

namespace workpool {
namespace {

void append(std::string& out, double number) {
  if (!std::isfinite(number)) throw std::invalid_argument("JSON has no number that is NaN or infinite");
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, end);
}

void append(std::string& out, const json& value);

void append_elements(std::string& out, const json::array& elements) {
  out += '[';
  for (const json& element : elements) {
    if (&element != elements.data()) out += ',';
    append(out, element);
  }
  out += ']';
}

void append_members(std::string& out, const json::object& members) {
  out += '{';
  for (const json::member& member : members) {
    if (&member != members.data()) out += ',';
    append_json_string(out, member.first);
    out += ':';
    append(out, member.second);
  }
  out += '}';
}

void append(std::string& out, const json& value) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as<bool>() ? "true" : "false";
  } else if (value.is_string()) {
    append_json_string(out, *value.as_if<std::string>());
  } else if (value.is_array()) {
    append_elements(out, value.elements());
  } else if (value.is_object()) {
    append_members(out, value.members());
  } else if (!value.is_integer()) {
    append(out, value.as<double>());
  } else if (const auto whole = value.as_if<std::int64_t>()) {
    out += std::to_string(*whole);
  } else {
    out += std::to_string(value.as<std::uint64_t>());
  }
}

template <class Number>
bool read_whole(const char* begin, const char* end, Number& number) {
  const auto read = std::from_chars(begin, end, number);
  return read.ptr == end && read.ec == std::errc();
}

// Reads a text that is known to be valid.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  json value() {
    switch (next()) {
      case '{':
        return json(members());
      case '[':
        return json(elements());
      case '"':
        return json(string());
      case 't':
        return at_ += 4, json(true);
      case 'f':
        return at_ += 5, json(false);
      case 'n':
        return at_ += 4, json();
      default:
        return number();
    }
  }

 private:
  char next() {
    at_ = skip_json_space(text_, at_);
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  // Whether it was there.
  bool pass(char sign) {
    if (next() != sign) return false;
    ++at_;
    return true;
  }
  std::string string() {
    const std::size_t start = std::exchange(at_, json_string_end(text_, at_));
    return json_string_value(text_, start);
  }
  json::object members() {
    json::object all;
    pass('{');
    while (next() == '"') {
      std::string name = string();
      pass(':');
      all.emplace_back(std::move(name), value());
      pass(',');
    }
    pass('}');
    return all;
  }
  json::array elements() {
    json::array all;
    pass('[');
    while (next() != ']' && next() != '\0') {
      all.push_back(value());
      pass(',');
    }
    pass(']');
    return all;
  }
  json number() {
    const std::size_t start = std::exchange(at_, json_value_end(text_, at_));
    const std::string_view digits = text_.substr(start, at_ - start);
    const char* const end = digits.data() + digits.size();
    std::int64_t whole = 0;
    if (read_whole(digits.data(), end, whole)) return json(whole);
    std::uint64_t large = 0;
    if (read_whole(digits.data(), end, large)) return json(large);
    double broken = 0;
    std::from_chars(digits.data(), end, broken);
    return json(broken);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string json::dump() const {
  std::string out;
  append(out, *this);
  return out;
}

json json::parse(std::string_view text) {
  if (const auto fault = find_json_fault(text, JsonText::kValue))
    throw std::invalid_argument("at byte " + std::to_string(fault->offset + 1) + ": " + fault->message);
  return worker::read_valid_json(text);
}

json worker::read_valid_json(std::string_view text) { return Reader(text).value(); }

}  // namespace workpool
