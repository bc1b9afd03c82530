// SPDX-License-Identifier: MIT
// The args of a handler that takes an object of a few named members. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace workpool::worker {

class Arguments {
 public:
  // `args`: one valid JSON text, an object or null (no members). Throws HandlerError if it is something
  // else or has a member that is not among `known`.
  Arguments(std::string_view args, std::initializer_list<std::string_view> known);

  // Return nullopt if there is no such member, and throw HandlerError if it is of another type.
  std::optional<std::string> text(std::string_view name) const;
  std::optional<std::uint64_t> count(std::string_view name) const;  // an integer from 0
  // The member's JSON as it stands.
  std::optional<std::string_view> raw(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string_view>> members_;
};

}  // namespace workpool::worker
