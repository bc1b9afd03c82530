// SPDX-License-Identifier: MIT
// good(line) and bad(line): what a fresh parser makes of one line, with a failure if it is the other
// thing.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <variant>

#include "common/formats/jobs_file.h"

namespace workpool {

inline JobLine good(std::string_view line, JobsFormat format = JobsFormat::kJsonLines) {
  JobLineParser parser(format);
  auto parsed = parser.parse(line);
  if (auto* error = std::get_if<LineError>(&parsed)) {
    ADD_FAILURE() << line.substr(0, 200) << " refused at " << error->column << ": " << error->message;
    return {};
  }
  EXPECT_TRUE(std::holds_alternative<JobView>(parsed)) << line.substr(0, 200) << " holds no job";
  return std::holds_alternative<JobView>(parsed) ? std::get<JobView>(parsed).own() : JobLine{};
}

inline LineError bad(std::string_view line, JobsFormat format = JobsFormat::kJsonLines) {
  JobLineParser parser(format);
  auto parsed = parser.parse(line);
  const auto* error = std::get_if<LineError>(&parsed);
  if (error == nullptr) {
    ADD_FAILURE() << line.substr(0, 200) << " was taken";
    return {0, ""};
  }
  return *error;
}

}  // namespace workpool
