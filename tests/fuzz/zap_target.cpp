// SPDX-License-Identifier: MIT
// What libzmq asks about a peer. It is made of what the peer says, and the answer decides who comes in.
#include <algorithm>

#include "common/base/check.h"
#include "dispatcher/core/zap.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {
namespace {

constexpr char kBetweenFrames = '\n';

std::string request(const std::string& domain, const std::string& mechanism, const std::string& key) {
  std::string text;
  for (const std::string& frame :
       {std::string("1.0"), std::string("7"), domain, std::string("10.0.0.7"), std::string(), mechanism, key})
    text += (text.empty() ? "" : std::string(1, kBetweenFrames)) + frame;
  return text;
}

}  // namespace

// The input is cut into frames at newlines.
void run_zap(std::string_view input) {
  std::vector<std::string_view> frames;
  while (true) {
    const std::size_t end = std::min(input.find(kBetweenFrames), input.size());
    frames.push_back(input.substr(0, end));
    if (end == input.size()) break;
    input.remove_prefix(end + 1);
  }
  const auto asked = dispatcher::parse_zap_request(frames);
  if (asked) {
    CHECK(frames.size() == 7 && frames[5] == "CURVE" && frames[6].size() == kKeyBytes);
    CHECK(dispatcher::zap_domain(asked->only) == frames[2]);
    CHECK(std::equal(frames[6].begin(), frames[6].end(), asked->key.bytes.begin(),
                     [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
  }
  for (const std::string_view frame : frames) {
    const auto key = dispatcher::key_of_user(frame);
    if (!key) continue;
    CHECK(dispatcher::key_of_user(dispatcher::zap_answer("7", dispatcher::ZapVerdict::kOk, *key)[4]) == key);
  }
  CHECK(dispatcher::zap_answer(frames[0], dispatcher::ZapVerdict::kRefused)[2] == "400");
}

std::vector<std::string> zap_seeds() {
  const std::string key(kKeyBytes, '\x07');
  return {request(dispatcher::zap_domain({}), "CURVE", key),
          request(dispatcher::zap_domain({12}), "CURVE", key),
          request("", "NULL", ""),
          request("workpool", "PLAIN", "name"),
          "4294967295",
          "0",
          ""};
}

}  // namespace workpool::fuzz
