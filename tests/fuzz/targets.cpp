// SPDX-License-Identifier: MIT
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {

const std::vector<Target>& targets() {
  static const std::vector<Target> kTargets = {
      {"decode_sink", run_decode_sink, sink_seeds},
      {"decode_lane", run_decode_lane, lane_seeds},
      {"decode_request", run_decode_request, request_seeds},
      {"decode_reply", run_decode_reply, reply_seeds},
      {"job_line_json", run_job_line_json, json_line_seeds},
      {"job_line_text", run_job_line_text, text_line_seeds},
      {"parse_work", run_parse_work, work_seeds},
      {"result_line", run_result_line, result_line_seeds},
      {"units", run_units, unit_seeds},
      {"text", run_text, text_seeds},
      {"key_file", run_key_file, key_file_seeds},
      {"join_key", run_join_key, join_key_seeds},
      {"zap", run_zap, zap_seeds},
      {"handler_answer", run_handler_answer, answer_seeds},
      {"handler_talk", run_handler_talk, choice_seeds},
      {"scheduler", run_scheduler, choice_seeds},
      {"session", run_session, choice_seeds},
  };
  return kTargets;
}

}  // namespace workpool::fuzz
