// SPDX-License-Identifier: MIT
// A job as its line in the jobs file states it, and what the dispatcher needs to know to place it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace workpool {

// The longest label, of a job or a worker.
inline constexpr std::size_t kLabelBytesMax = 64;

// What runs a job at its worker. The numbers travel (docs/protocol.md), so a worker may get one that it does
// not know.
enum class JobKind : std::uint8_t { kCommand = 0, kHandler = 1 };

// What a worker must have to run a job. Jobs with the same requirement share a ready queue.
struct Requirement {
  std::string type;                 // the handler's name; empty for a command, which every worker runs
  std::vector<std::string> labels;  // sorted, without repeats
  std::uint32_t slots = 1;          // at least 1
  JobKind kind() const { return type.empty() ? JobKind::kCommand : JobKind::kHandler; }
  auto operator<=>(const Requirement&) const = default;
};
// For unordered maps.
struct RequirementHash {
  std::size_t operator()(const Requirement& requirement) const {
    std::size_t hash = std::hash<std::string>()(requirement.type) + requirement.slots;
    for (const std::string& label : requirement.labels)
      hash = hash * 0x9e3779b97f4a7c15 + std::hash<std::string>()(label);
    return hash;
  }
};

// One valid line of a jobs file.
struct JobLine {
  std::string id;    // as given; empty if the default is to be used
  std::string work;  // compact JSON of cmd or type, args, env, cwd, stdin: what `spec` hashes
  Spec spec;
  Requirement requirement;
  std::int32_t priority = 0;        // higher first
  std::optional<Duration> timeout;  // per attempt
  std::optional<std::uint32_t> retries;
};

// What the scheduler knows of a job once its line has been read; the payload (`work`) stays with the loop.
struct JobFacts {
  JobNumber number = 0;
  std::uint64_t line = 0;    // in the jobs file, from 1
  std::string id;            // given, or `L<line>`; empty for a default id, which spec and repeat make
  std::uint64_t repeat = 0;  // of a default id: 1 for the first job of that spec, 2 … for the next; else 0
  Key key;
  Spec spec;
  std::uint32_t requirement = 0;  // index into the list of requirements
  std::int32_t priority = 0;
  Duration timeout{0};  // 0 = none
  std::uint32_t retries = 0;
  std::uint32_t slots = 1;
  std::uint64_t payload_bytes = 0;

  std::string full_id() const { return repeat == 0 ? id : default_id(spec, repeat); }
};

// A job whose line has been read: what the scheduler knows of it, and what only its worker will look into.
struct LoadedJob {
  JobFacts facts;
  std::string work;  // JobLine::work
};

}  // namespace workpool
