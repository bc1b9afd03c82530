// SPDX-License-Identifier: MIT
// `keygen`: makes a key file, lets workers in and out, and lists them.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/exit_code.h"
#include "common/formats/key_file.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

ExitCode keygen(const KeygenOptions& options, Console& console);

// What --list prints of a file at `now`, in seconds since 1970: the dispatcher's line and one for each
// worker. Without a letter of a secret.
std::string key_list(const KeyFile& file, Expiry now);
std::string key_list_json(const std::string& path, const KeyFile& file, Expiry now);

}  // namespace workpool::dispatcher
