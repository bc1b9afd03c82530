// SPDX-License-Identifier: MIT
// What `each` runs: one command for many values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/each/command_template.h"
#include "common/each/value_reader.h"

namespace workpool::dispatcher {

struct EachSource {
  bool is_file = false;             // else `values`
  std::string path;                 // "-" is stdin
  std::vector<std::string> values;  // in their order
  bool linked = false;              // paired with the source before it, value by value
};

struct EachOptions {
  std::vector<std::string> command;
  CommandSetting setting;
  std::vector<EachSource> sources;           // one at least
  ValueFormat format = ValueFormat::kLines;  // of files
  bool named_columns = true;                 // of rows: the first one has the names
  std::uint32_t values_per_job = 1;          // of the one source, if more than 1
  std::uint32_t lines_per_chunk = 0;         // if not 0: values become the stdin of the jobs
};

}  // namespace workpool::dispatcher
