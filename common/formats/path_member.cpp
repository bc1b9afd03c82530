// SPDX-License-Identifier: MIT
#include "common/formats/path_member.h"

#include "common/base/text.h"

namespace workpool {

std::string path_member(std::string_view name, const std::string& path) {
  const bool utf8 = is_utf8(path);
  std::string member = "\"" + std::string(name) + (utf8 ? "\":" : "_base64\":\"");
  if (utf8) {
    append_json_string(member, path);
  } else {
    append_base64(member, path);
    member += '"';
  }
  return member;
}

std::string path_in(const JsonScalars& members, const std::string& name) {
  const auto path = members.find(name);
  if (path != members.end()) return path->second;
  const auto base64 = members.find(name + "_base64");
  return base64 != members.end() ? base64_bytes(base64->second).value_or("") : "";
}

}  // namespace workpool
