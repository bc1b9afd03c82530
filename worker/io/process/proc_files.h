// SPDX-License-Identifier: MIT
// Reads the files of /proc (proc(5)). A process that ends meanwhile reads as empty.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool::worker {

// Enough for the environment of any process: Linux' limit on argv and envp together is a quarter of the stack
// limit, 2 MiB by default. What lies beyond is not searched.
inline constexpr std::size_t kEnvironmentBytesMax = 8 << 20;

// /proc/PID/FILE.
std::string path_of(pid_t pid, const char* file);

// A file from its start, up to `limit` bytes rounded up to 4 KiB; empty if it cannot be read.
std::string read_from_start(int fd, std::size_t limit);
std::string read_file(const std::string& path, std::size_t limit);

// The fields of /proc/PID/stat from the third, the state, on; empty if the process is gone.
std::string stat_fields(pid_t pid);
// Field `number` of stat_fields(), by its number in proc(5); nullopt if it is missing or no number.
std::optional<std::uint64_t> stat_number(const std::string& fields, int number);
inline constexpr int kStatParent = 4;
inline constexpr int kStatThreads = 20;
inline constexpr int kStatStartTime = 22;  // clock ticks since boot
inline constexpr int kStatArguments = 48;  // address of the first byte; the next field is the end

// Gone, or a zombie that waits for its parent. A process whose main thread alone has ended is not dead. Right
// about our own processes too, of which a /proc that was mounted with hidepid shows nothing, not even to us
// (common/io/guarded_process.h).
bool is_dead(pid_t pid);

// The value of `name` in the environment that the process was started with; "" if it has none.
std::string variable_of(pid_t pid, std::string_view name);

}  // namespace workpool::worker
