// SPDX-License-Identifier: MIT
// What the user calls the programs: commands that are printed for people to type use the name that they
// typed.
#pragma once

#include <string>
#include <string_view>

namespace workpool {

struct ProgramNames {
  std::string dispatcher = "workpool-dispatcher";
  std::string worker = "workpool-worker";
};

// `started_as`: argv[0]. `workpool` starts the two others under its own name, and the worker as
// "workpool worker".
inline ProgramNames names_from(std::string_view started_as) {
  const std::string_view name = started_as.substr(started_as.rfind('/') + 1);
  if (name == "workpool" || name == "workpool worker") return {"workpool", "workpool worker"};
  return {};
}

// `text`, written with the default names, with these names in their place.
inline std::string with_names(std::string_view text, const ProgramNames& names) {
  const ProgramNames usual;
  std::string result(text);
  const auto replace = [&result](const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = result.find(from, at)) != std::string::npos; at += to.size())
      result.replace(at, from.size(), to);
  };
  if (names.dispatcher != usual.dispatcher) replace(usual.dispatcher, names.dispatcher);
  if (names.worker != usual.worker) replace(usual.worker, names.worker);
  return result;
}

}  // namespace workpool
