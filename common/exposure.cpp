// SPDX-License-Identifier: MIT
#include "common/exposure.h"

#include "common/units.h"

namespace workpool {

std::string refusal_to_listen(const std::string& literal, bool insecure) {
  if (insecure || is_loopback_literal(literal)) return "";
  return "listening on " + literal +
         " lets everyone who reaches it take jobs and hand in results; say --insecure if that network is "
         "trusted";
}

std::string refusal_to_dial(const std::string& literal, bool insecure) {
  if (insecure || is_loopback_literal(literal)) return "";
  return "whoever answers at " + literal +
         " can run any command here; say --insecure if that network and host are trusted";
}

}  // namespace workpool
