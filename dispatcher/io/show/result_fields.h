// SPDX-License-Identifier: MIT
// What rows and tables say of a result, as plain text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "common/formats/result_view.h"
#include "dispatcher/io/show/counting_lines.h"
#include "dispatcher/io/show/job_commands.h"

namespace workpool::dispatcher {

// How the attempt ended: its exit status, the name of the signal ("SIGKILL"), or what went wrong if there is
// neither ("spawn", "handler", "crash"); empty if the status says it all.
std::string ending_of(const ResultView& view);

// The inputs of the job: "0.1 3", or "rate=0.1 seed=3" if they have names.
std::string inputs_text(const ResultView& view);

// What stands for the job in front of what it printed: its id if it was given one, its inputs, or its line.
std::string tag_of(const CountingLine& line, const ResultView& view);

// `command`, or without one the inputs; and the error behind a #, if neither status nor ending_of say it.
// Bytes as they are.
std::string description_of(const ResultView& view, std::string command);

// For people: "400us", "1.2ms", "35ms", "1.2s", "2m3s", "1h2m".
std::string run_time_text(Duration duration);
// In seconds, with as many decimals as it has: "0.0351".
std::string seconds_text(Duration duration);

// The member's text if that is a number, else empty.
std::string digits_in(std::string_view member);

// `bytes` with control characters and what is not UTF-8 as \xHH, however long.
std::string shown_whole(std::string_view bytes);

}  // namespace workpool::dispatcher
