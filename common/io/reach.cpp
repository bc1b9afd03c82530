// SPDX-License-Identifier: MIT
#include "common/io/reach.h"

#include <poll.h>

#include <algorithm>
#include <optional>

#include "common/io/clock.h"
#include "common/io/greeting.h"
#include "common/io/runs_here.h"

namespace workpool {
namespace {

constexpr const char* kSecured = "CURVE";
constexpr const char* kOpen = "NULL";
// A run that has just begun to listen says so in its file a moment later.
constexpr Duration kFileLimit = seconds(2);
constexpr int kFileSliceMs = 50;

std::string open_text(const std::string& literal) {
  return "without a key, whoever answers at " + literal +
         " can run any command here: give this worker the key that the dispatcher prints "
         "(WORKPOOL_KEY=..., or --key FILE); or, on a network that you trust, say --insecure on both sides";
}

std::optional<Address> run_here_soon(const std::string& literal, std::uint16_t port, Time end,
                                     const std::atomic<bool>& stop) {
  if (!is_loopback_literal(literal)) return std::nullopt;
  const Time until = std::min(end, boot_time() + kFileLimit);
  while (true) {
    if (auto found = run_here_at(literal, port)) return found;
    if (stop || boot_time() >= until) return std::nullopt;
    ::poll(nullptr, 0, kFileSliceMs);
  }
}

}  // namespace

std::variant<Reached, Unreached> reach(const std::string& literal, std::uint16_t port,
                                       const Credentials& credentials, Duration connect_limit,
                                       Duration greeting_limit, Time end, const std::atomic<bool>& stop) {
  const bool has_key = credentials.key != nullptr;
  Address where{literal, port};
  if (!has_key && !credentials.may_be_open) where = run_here_at(literal, port).value_or(where);
  const std::string wanted = has_key && !is_folder(where.host) ? kSecured : kOpen;
  const Greeting answer = greeting(where.host, where.port, wanted, connect_limit, greeting_limit, end, stop);
  const bool may_be_here = is_folder(literal) || is_loopback_literal(literal);
  if (!answer.problem.empty()) {
    // Nothing that may come there would do.
    if (!has_key && !credentials.may_be_open && !credentials.only_looks && !may_be_here)
      return Unreached{Hindrance::kOpen, open_text(literal)};
    return Unreached{Hindrance::kNoAnswer, answer.problem};
  }
  if (is_folder(where.host)) return Reached{where, false};
  if (answer.mechanism == kSecured) {
    if (has_key) return Reached{where, true};
    if (const auto here = run_here_soon(literal, port, end, stop)) return Reached{*here, false};
    return Unreached{Hindrance::kKey,
                     "the dispatcher asks for a key, and none is given: set WORKPOOL_KEY to the key that it "
                     "prints, or say --key FILE"};
  }
  if (answer.mechanism != kOpen)
    return Unreached{Hindrance::kNoAnswer, "what listens there is not a workpool dispatcher"};
  if (credentials.only_looks || (credentials.may_be_open && !has_key)) return Reached{where, false};
  if (has_key)
    return Unreached{
        Hindrance::kKey,
        "the dispatcher has no keys, since it runs with --insecure, and a key is given here: start "
        "it without --insecure"};
  return Unreached{Hindrance::kOpen, open_text(literal)};
}

}  // namespace workpool
