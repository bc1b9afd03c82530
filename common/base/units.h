// SPDX-License-Identifier: MIT
// Durations and sizes as people write them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"

namespace workpool {

// Reads "200ms", "1.5s", "5m", "1h30m", "2d"; a bare number is seconds. At most 10 years. Returns nullopt for
// any other text.
std::optional<Duration> parse_duration(std::string_view text);
// A text that parse_duration reads back, in the largest units that fit: "1h30m", "1.5s", "200ms", "0s".
std::string format_duration(Duration duration);

// Reads "64KiB", "1GB", "4096", "4096B"; KiB, MiB, GiB, TiB are powers of 1024, kB (or KB), MB, GB, TB of
// 1000. Returns nullopt for any other text, or if it is not a whole number of bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace workpool
