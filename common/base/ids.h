// SPDX-License-Identifier: MIT
// The identities of workpool. Each is a type of its own, so that a session can never be passed for a run.
// All are plain values: comparable, hashable, free to copy.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace workpool {

// 128 bits of XXH3-128 in canonical (big endian) order: `high` holds the first 8 bytes of the digest.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;
};

// The durable identity of a job: XXH3-128 of the bytes of its id.
struct Key : Hash128 {
  auto operator<=>(const Key&) const = default;
};

// The identity of a job's work: XXH3-128 of its compact JSON (docs/reference.md, "Members of a job").
struct Spec : Hash128 {
  auto operator<=>(const Spec&) const = default;
};

// The run that a results file belongs to. Made with the file and kept over restarts of the dispatcher.
// Written as 16 hex digits.
struct RunId {
  std::uint64_t value = 0;
  auto operator<=>(const RunId&) const = default;
};

// One registration of a worker; random, never 0.
struct SessionId {
  std::uint64_t value = 0;
  auto operator<=>(const SessionId&) const = default;
};

// One start of a supervisor; random, never 0. The engines that it starts are numbered from 1.
struct WorkerId {
  std::uint64_t value = 0;
  auto operator<=>(const WorkerId&) const = default;
};

// A row of the dispatcher's job table: its number in the low 32 bits, its generation (never 0) in the high
// ones. Valid only in the session in which it was sent. 0 means that the job is to be found by key, spec and
// attempt.
struct Handle {
  std::uint64_t value = 0;
  auto operator<=>(const Handle&) const = default;
};

// Digest of `size` bytes at `data` in canonical order.
Hash128 hash128(const void* data, std::size_t size);

// `id`: the opaque bytes of a job's id.
Key key_of_id(std::string_view id);

// `work`: the compact JSON of cmd or type, args, env, cwd, stdin, shell and ok_exit.
Spec spec_of_work(std::string_view work);

// The id of a job that has none of its own: the spec's 32 hex digits, followed by `#n` from the second job of
// that spec on. `repeat` counts from 1.
std::string default_id(const Spec& spec, std::uint64_t repeat);
Key key_of_default_id(const Spec& spec, std::uint64_t repeat);

std::string hex(const Hash128& hash);    // 32 lower-case digits
std::string hex64(std::uint64_t value);  // 16 lower-case digits

// The inverse. Returns false if `text` is not exactly 16 lower-case hex digits.
bool parse_hex64(const std::string& text, std::uint64_t& value);

}  // namespace workpool

template <>
struct std::hash<workpool::Key> {
  std::size_t operator()(const workpool::Key& key) const noexcept { return key.high ^ (key.low * 31); }
};
template <>
struct std::hash<workpool::SessionId> {
  std::size_t operator()(const workpool::SessionId& id) const noexcept { return id.value; }
};
template <>
struct std::hash<workpool::WorkerId> {
  std::size_t operator()(const workpool::WorkerId& id) const noexcept { return id.value; }
};
