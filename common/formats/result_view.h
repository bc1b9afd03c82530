// SPDX-License-Identifier: MIT
// A result line as a value: where each of its members stands, found in one walk, and what it says, decoded
// when it is asked for. For whoever shows results; a replay reads less (read_result_line). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace workpool {

// The JSON text of each member; empty if the line does not have it. Lives as long as the line.
struct ResultView {
  std::string_view id, line, status, attempt, error, exit, signal;
  std::string_view standard_output, standard_output_base64, standard_error, standard_error_base64, truncated;
  std::string_view value, worker, queued_ms, run_ms, finished, run, spec, digest;
  std::string_view each;                 // the inputs of a job that was made for them
  std::string_view cpu_ms, max_rss_kib;  // what a command used
};

// `line`: any bytes, without the newline. Returns false if its crc is wrong or it is no object. Members may
// stand in any order, with unknown ones between them; of a member that stands twice the last counts.
bool read_result_view(std::string_view line, ResultView& view);

// What a member says; nothing for one that is missing or of another type.
std::string text_in(std::string_view member);
std::optional<std::int64_t> number_in(std::string_view member);
// Of a number of milliseconds, with its decimals up to a microsecond.
std::optional<Duration> duration_in(std::string_view member);

// Whether the id was given in the jobs file. Others are made from the work or from the number of the line,
// and say nothing to people.
bool has_given_id(const ResultView& view);

// What a command printed, as bytes.
std::string standard_output_of(const ResultView& view);
std::string standard_error_of(const ResultView& view);

// The file that holds what it printed, if one does.
struct ResultFile {
  std::string path;  // absolute, on the worker
  std::uint64_t bytes = 0;
  std::string digest;  // 32 hex digits
};
std::optional<ResultFile> output_file_of(const ResultView& view);
std::optional<ResultFile> error_file_of(const ResultView& view);

struct ResultError {
  std::string kind, message;
};
ResultError error_of(const ResultView& view);

// The members of `each` in their order: names and values, which may be any bytes ({"base64":"…"}).
std::vector<std::pair<std::string, std::string>> inputs_of(const ResultView& view);

}  // namespace workpool
