// SPDX-License-Identifier: MIT
// Recognises JSON at the beginning of a jobs file that is about to be read as something else: JSON objects
// that would be run as shell commands, or an array or indented objects that are no JSON lines. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/formats/jobs_file.h"

namespace workpool {

enum class JobsShape : std::uint8_t {
  kAsExpected,       // nothing speaks against the format
  kUndecided,        // more of the text is needed; never if all of it is there
  kJsonLines,        // one JSON object per line, although the format is `lines`
  kJsonArray,        // one array of objects
  kIndentedObjects,  // objects that go over several lines
};

// `start`: the beginning of the text, from its first byte; `whole`: nothing comes after it. A shell command
// that /bin/sh would run is never taken for JSON: `{ echo a; }`, `[ -f x ] && y`, `{ "my tool" : ; }`.
JobsShape jobs_shape(std::string_view start, bool whole, JobsFormat format);

// The offset of the first byte that jobs_shape judges: after a byte order mark, blank lines and comments.
std::size_t first_job_place(std::string_view start, JobsFormat format);

// The format of a text that nobody has named: JSON lines if its first job begins with `{` or `[`, else shell
// commands. `start`: the beginning of the text.
JobsFormat guessed_format(std::string_view start);

// What the text is and what to do about it, for people. REQUIRES: the shape is one of the last three.
const char* advice_for(JobsShape shape, JobsFormat format);

}  // namespace workpool
