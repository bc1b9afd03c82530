// SPDX-License-Identifier: MIT
// The args of a job as a value: they have been parsed and checked already. Pure.
#pragma once

#include <string_view>

#include "include/workpool/json.h"

namespace workpool::worker {

// REQUIRES: `text` is one valid JSON text (common/formats/json_text.h says which).
workpool::json read_valid_json(std::string_view text);

}  // namespace workpool::worker
