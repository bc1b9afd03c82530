// SPDX-License-Identifier: MIT
// A path as a member of a JSON object: `"jobs":"/a/b"`, or `"jobs_base64":"…"` if it is not UTF-8. Two such
// members are equal exactly if the paths are. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/formats/json_scalars.h"

namespace workpool {

std::string path_member(std::string_view name, const std::string& path);
// The path of such a member; empty if there is none.
std::string path_in(const JsonScalars& members, const std::string& name);

}  // namespace workpool
