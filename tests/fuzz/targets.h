// SPDX-License-Identifier: MIT
// What is fuzzed: functions that take any bytes and abort (CHECK, a sanitizer) if something is wrong.
// Replayed by replay_test.cpp with every compiler, searched by scripts/fuzz with clang's fuzzer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace workpool::fuzz {

struct Target {
  const char* name;
  void (*run)(std::string_view input);
  // Where to start from: valid inputs, and what was once found.
  std::vector<std::string> (*seeds)();
};

const std::vector<Target>& targets();

// ---- wire_targets.cpp ----
void run_decode_sink(std::string_view input);
void run_decode_lane(std::string_view input);
void run_decode_request(std::string_view input);
void run_decode_reply(std::string_view input);
std::vector<std::string> sink_seeds();
std::vector<std::string> lane_seeds();
std::vector<std::string> request_seeds();
std::vector<std::string> reply_seeds();

// ---- handler_targets.cpp ----
void run_handler_answer(std::string_view input);
void run_handler_talk(std::string_view input);
std::vector<std::string> answer_seeds();

// ---- text_targets.cpp ----
void run_job_line_json(std::string_view input);
void run_job_line_text(std::string_view input);
void run_parse_work(std::string_view input);
void run_result_line(std::string_view input);
void run_units(std::string_view input);
void run_text(std::string_view input);
std::vector<std::string> json_line_seeds();
std::vector<std::string> text_line_seeds();
std::vector<std::string> work_seeds();
std::vector<std::string> result_line_seeds();
std::vector<std::string> unit_seeds();
std::vector<std::string> text_seeds();

// ---- key_targets.cpp ----
void run_key_file(std::string_view input);
void run_join_key(std::string_view input);
std::vector<std::string> key_file_seeds();
std::vector<std::string> join_key_seeds();

// ---- zap_target.cpp ----
void run_zap(std::string_view input);
std::vector<std::string> zap_seeds();

// ---- scheduler_target.cpp, session_target.cpp: peers that say anything in any order ----
void run_scheduler(std::string_view input);
void run_session(std::string_view input);
std::vector<std::string> choice_seeds();

}  // namespace workpool::fuzz
