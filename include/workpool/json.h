// SPDX-License-Identifier: MIT
// A JSON value: null, a bool, an integer of 64 bits, a double, a string (UTF-8), an array or an object, whose
// members keep their order. It is what a job's args are, and what a handler returns:
//
//   workpool::json{{"width", 640}, {"parts", workpool::json::array{"a", 2, nullptr}}}
//
// Each value owns all that is in it. For one thread at a time if any of them changes it.
#pragma once

#include <workpool/version.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace workpool {

// NOLINTBEGIN: its name, and that everything JSON knows becomes one without a word, are the point of it.
class json {
  template <class T>
  static constexpr bool is_letter =
      std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
      std::same_as<T, char16_t> || std::same_as<T, char32_t>;
  template <class T>
  static constexpr bool is_integer_type = std::integral<T> && !std::same_as<T, bool> && !is_letter<T>;

 public:
  using array = std::vector<json>;
  using member = std::pair<std::string, json>;
  using object = std::vector<member>;

  json() = default;
  json(std::nullptr_t) {}
  template <std::same_as<bool> T>  // and no pointer
  json(T value) : value_(value) {}
  template <class T>
  requires is_integer_type<T> json(T value) {
    if (std::in_range<std::int64_t>(value)) {
      value_ = static_cast<std::int64_t>(value);
    } else {
      value_ = static_cast<std::uint64_t>(value);
    }
  }
  template <std::floating_point T>
  json(T value) : value_(static_cast<double>(value)) {}
  json(std::string value) : value_(std::move(value)) {}
  json(std::string_view value) : value_(std::string(value)) {}
  json(const char* value) : value_(std::string(value)) {}
  json(array value) : value_(std::move(value)) {}
  json(object value) : value_(std::move(value)) {}
  json(std::initializer_list<member> value) : value_(object(value)) {}
  template <class T>
  json(const std::vector<T>& values) : value_(array(values.begin(), values.end())) {}
  template <class T>
  json(const std::map<std::string, T>& values) : value_(object(values.begin(), values.end())) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const {
    return std::holds_alternative<std::int64_t>(value_) || std::holds_alternative<std::uint64_t>(value_);
  }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<array>(value_); }
  bool is_object() const { return std::holds_alternative<object>(value_); }

  // The value as a bool, an integer type, a floating type, std::string, std::vector<T>,
  // std::map<std::string, T> or json. Throws std::invalid_argument, "must be a string", if it is none, or
  // does not fit. An integer is a floating number too, but 2.0 is no integer.
  template <class T>
  T as() const {
    T result{};
    if (!read(result)) throw std::invalid_argument("must be " + wanted<T>());
    return result;
  }

  // The same; nullopt if it is none.
  template <class T>
  std::optional<T> as_if() const {
    T result{};
    if (!read(result)) return std::nullopt;
    return result;
  }

  // Elements of an array; members of an object. Empty for anything else.
  const array& elements() const {
    static const array kNone;
    return is_array() ? std::get<array>(value_) : kNone;
  }
  const object& members() const {
    static const object kNone;
    return is_object() ? std::get<object>(value_) : kNone;
  }
  // The member of that name; null if there is none, or this is no object.
  const json* find(std::string_view name) const {
    for (const member& each : members()) {
      if (each.first == name) return &each.second;
    }
    return nullptr;
  }
  // The member of that name, which is added if there is none. What is no object becomes one first.
  json& operator[](std::string_view name) {
    if (!is_object()) value_ = object();
    auto& all = std::get<object>(value_);
    for (member& each : all) {
      if (each.first == name) return each.second;
    }
    return all.emplace_back(std::string(name), json()).second;
  }
  // Adds an element. What is no array becomes one first.
  void push_back(json element) {
    if (!is_array()) value_ = array();
    std::get<array>(value_).push_back(std::move(element));
  }

  // As one line without blanks. Throws std::invalid_argument for a number that is NaN or infinite, which JSON
  // does not have.
  WORKPOOL_API std::string dump() const;
  // The value of one JSON text (RFC 8259), at most 64 levels deep, integers within 64 bits. Throws
  // std::invalid_argument with the place and the reason.
  WORKPOOL_API static json parse(std::string_view text);

  friend bool operator==(const json&, const json&) = default;

  // What a T is called: "a string", "an integer from 0 to 255".
  template <class T>
  static std::string wanted();

 private:
  template <class T>
  bool read(T& out) const;
  template <class T>
  bool read(std::vector<T>& out) const;
  template <class T>
  bool read(std::map<std::string, T>& out) const;

  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, array, object> value_;
};

namespace detail {

template <class T>
struct Container {};
template <class T>
struct Container<std::vector<T>> {
  static std::string wanted() { return "an array of which each element is " + json::wanted<T>(); }
};
template <class T>
struct Container<std::map<std::string, T>> {
  static std::string wanted() { return "an object of which each member is " + json::wanted<T>(); }
};

}  // namespace detail

template <class T>
std::string json::wanted() {
  if constexpr (std::same_as<T, bool>) return "true or false";
  if constexpr (std::floating_point<T>) return "a number";
  if constexpr (std::same_as<T, std::string>) return "a string";
  if constexpr (std::same_as<T, json>) return "a value";
  if constexpr (is_integer_type<T>) {
    if constexpr (std::same_as<T, std::int64_t>) return "an integer";
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) return "an integer from 0";
    return "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
           std::to_string(std::numeric_limits<T>::max());
  }
  if constexpr (requires { detail::Container<T>::wanted(); }) return detail::Container<T>::wanted();
}

template <class T>
bool json::read(T& out) const {
  if constexpr (std::same_as<T, json>) {
    out = *this;
    return true;
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    if (const T* value = std::get_if<T>(&value_)) return out = *value, true;
    return false;
  } else if constexpr (std::floating_point<T>) {
    if (const auto* value = std::get_if<double>(&value_)) return out = static_cast<T>(*value), true;
    if (const auto* value = std::get_if<std::int64_t>(&value_)) return out = static_cast<T>(*value), true;
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) return out = static_cast<T>(*value), true;
    return false;
  } else {
    static_assert(is_integer_type<T>,
                  "bool, integers, floating numbers, std::string, vectors, maps and json");
    const auto fits = [&out](auto value) {
      if (!std::in_range<T>(value)) return false;
      out = static_cast<T>(value);
      return true;
    };
    if (const auto* value = std::get_if<std::int64_t>(&value_)) return fits(*value);
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) return fits(*value);
    return false;
  }
}

template <class T>
bool json::read(std::vector<T>& out) const {
  if (!is_array()) return false;
  for (const json& element : elements()) {
    T value{};
    if (!element.read(value)) return false;
    out.push_back(std::move(value));
  }
  return true;
}

template <class T>
bool json::read(std::map<std::string, T>& out) const {
  if (!is_object()) return false;
  for (const member& each : members()) {
    T value{};
    if (!each.second.read(value)) return false;
    out.insert_or_assign(each.first, std::move(value));
  }
  return true;
}
// NOLINTEND

}  // namespace workpool
