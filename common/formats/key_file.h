// SPDX-License-Identifier: MIT
// The key file of a dispatcher, one JSON object a line: its own secret key, then the keys of its workers.
//
//   {"v":1,"dispatcher":"<43 letters>","expires":"2026-12-31T23:59:59Z"}
//   {"worker":"node7","public":"<43 letters>","expires":"2026-12-31T23:59:59Z"}
//   {"worker":"any","secret":"<43 letters>"}
//
// Keys are base64url without padding, and every line ends with a newline. A worker's line has its secret key
// only in the file of a single run, so that its join key can be printed again. Reading files and judging
// their owner and mode is dispatcher/io/keys/key_store.h's. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/keys.h"

namespace workpool {

inline constexpr std::size_t kKeyFileBytesMax = 4 << 20;
inline constexpr std::size_t kKeyFileWorkersMax = 10'000;
inline constexpr std::size_t kKeyNameBytesMax = 64;

// Seconds since 1970, UTC. A key is good before this moment, and no longer at it.
using Expiry = std::int64_t;

struct WorkerKey {
  std::string name;
  PublicKey key;
  std::optional<SecretKey> secret = {};  // its public key is `key`
  std::optional<Expiry> expires = {};
};

struct KeyFile {
  SecretKey dispatcher;
  std::vector<WorkerKey> workers = {};  // names and keys are unique
  std::optional<Expiry> expires = {};   // of the dispatcher's key, and so of all
};

struct KeyFileFault {
  std::size_t line = 0;  // from 1; 0 if it is about the file as a whole
  std::string problem;   // to follow the file's name: "is no JSON object", never with a letter of the file
};

// Why `name` cannot be that of a worker's key, to follow it ("is longer than 64 bytes"), or "".
std::string key_name_problem(std::string_view name);

// A secret: the caller wipes it. REQUIRES: names are good, and what is unique is so.
std::string key_file_text(const KeyFile& file);

std::variant<KeyFile, KeyFileFault> parse_key_file(std::string_view text);

// The worker of that name; null if there is none.
const WorkerKey* find_worker_key(const KeyFile& file, std::string_view name);

}  // namespace workpool
