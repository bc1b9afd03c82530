// SPDX-License-Identifier: MIT
// What the flags of several commands take.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/flags.h"
#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"

namespace workpool::dispatcher {

template <typename Value, typename Target, std::size_t kCount>
Setter set_choice(Target& target, const std::array<std::pair<std::string_view, Value>, kCount>& choices) {
  return [&target, choices](const std::string& value) -> std::string {
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (value == name) {
        target = choice;
        return "";
      }
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    return "is none of " + names;
  };
}

// A path. The other names of stdin (0) or stdout (1) mean `-`, also if the shell has put a file there.
Setter set_stream(std::string& target, int descriptor);

// How many jobs run at once: N, P% of the cores, +N or -N of them, 0 for as many as possible.
Setter set_jobs(std::optional<std::uint32_t>& target);

// --cwd and --env.
std::vector<Flag> command_flags(JobDefaults& defaults);
// These and --shell PROGRAM.
std::vector<Flag> default_flags(JobDefaults& defaults);
Setter set_shell_program(JobDefaults& defaults);
// --stdout and --stderr FILE.
std::vector<Flag> file_flags(Setter set_output, Setter set_errors);

// --limit KEY=RULE and --rate RATE. REQUIRES: `defaults` has limits.
Flag limit_flag(JobDefaults& defaults);
Flag rate_flag(JobDefaults& defaults);
// Reads KEY=RULE. Returns what is wrong, or "".
std::string read_limit(const std::string& text, std::string& key, LimitRule& rule);

Flag format_flag(std::optional<JobsFormat>& target);

}  // namespace workpool::dispatcher
