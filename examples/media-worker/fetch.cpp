// SPDX-License-Identifier: MIT
#include "fetch.h"

#include <cstdint>
#include <map>
#include <string>

#include "part_file.h"

namespace {

using workpool::Failure;

constexpr long kSilenceMost = 86'400;

Request request_of(const workpool::Job& job) {
  job.expect_args({"url", "target", "headers", "max_bytes", "follow", "silence"});
  Request request;
  request.url = job.arg<std::string>("url");
  request.headers = job.arg("headers", request.headers);
  request.follow = job.arg("follow", true);
  request.silence_s = job.arg("silence", request.silence_s);
  if (job.args().find("max_bytes") != nullptr) request.bytes_max = job.arg<std::int64_t>("max_bytes");
  if (request.bytes_max && *request.bytes_max < 1) throw Failure("args: \"max_bytes\" must be at least 1");
  if (request.silence_s < 1 || request.silence_s > kSilenceMost)
    throw Failure("args: \"silence\" must be from 1 to " + std::to_string(kSilenceMost) + " seconds");
  for (const auto& [name, value] : request.headers) {
    if ((name + value).find_first_of("\r\n") != std::string::npos)
      throw Failure("args: \"headers\" must not have line breaks");
  }
  return request;
}

}  // namespace

workpool::json Fetches::fetch(const workpool::Job& job) {
  const Request request = request_of(job);
  PartFile file(job.arg<std::string>("target"));
  std::int64_t bytes = 0;
  const auto take = [&](std::string_view part) {
    file.write(part);
    bytes += static_cast<std::int64_t>(part.size());
  };
  const Answer answer = transfers_.run(request, take, job.stop_token());
  const bool is_good = answer.status / 100 == 2 || (!request.follow && answer.status / 100 == 3);
  if (!is_good) throw Failure("status: " + std::to_string(answer.status));
  file.put_into_place();
  return {{"status", answer.status},
          {"bytes", bytes},
          {"content_type", answer.content_type},
          {"url", answer.url}};
}
