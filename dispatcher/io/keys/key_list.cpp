// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/formats/path_member.h"
#include "common/formats/timestamp.h"
#include "dispatcher/io/keys/keygen.h"

namespace workpool::dispatcher {
namespace {

// "29d", "5h", "12m", "3s": the largest unit of which there are two, rounded down.
std::string roughly(Expiry seconds) {
  constexpr std::array<std::pair<Expiry, char>, 3> kUnits{{{86'400, 'd'}, {3'600, 'h'}, {60, 'm'}}};
  for (const auto& [length, name] : kUnits)
    if (seconds >= 2 * length) return std::to_string(seconds / length) + name;
  return std::to_string(seconds) + 's';
}

std::string expiry_words(const std::optional<Expiry>& expires, Expiry now) {
  if (!expires) return "never";
  return unix_seconds_text(*expires) + (*expires <= now ? ", expired" : ", in " + roughly(*expires - now));
}

// How many letters a terminal shows; names are UTF-8.
std::size_t letters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::string expiry_members(const std::optional<Expiry>& expires, Expiry now) {
  if (!expires) return "";
  return R"(,"expires":")" + unix_seconds_text(*expires) + R"(","expired":)" +
         (*expires <= now ? "true" : "false");
}

}  // namespace

std::string key_list(const KeyFile& file, Expiry now) {
  std::string text = "dispatcher's key " + fingerprint(file.dispatcher.public_key()) +
                     ", expires: " + expiry_words(file.expires, now) + "; " +
                     counted(file.workers.size(), "worker") + "\n";
  std::size_t width = std::string_view("worker").size();
  for (const WorkerKey& worker : file.workers) width = std::max(width, letters(worker.name));
  const auto add_row = [&text, width](std::string_view name, std::string_view print,
                                      std::string_view expires) {
    text.append(name).append(width - letters(name) + 2, ' ').append(print).append("  ").append(expires) +=
        '\n';
  };
  if (!file.workers.empty()) add_row("worker", "fingerprint        ", "expires");
  for (const WorkerKey& worker : file.workers)
    add_row(worker.name, fingerprint(worker.key), expiry_words(worker.expires, now));
  return text;
}

std::string key_list_json(const std::string& path, const KeyFile& file, Expiry now) {
  std::string text = R"({"v":1,)" + path_member("file", path) + R"(,"fingerprint":")" +
                     fingerprint(file.dispatcher.public_key()) + '"' + expiry_members(file.expires, now) +
                     R"(,"workers":[)";
  for (const WorkerKey& worker : file.workers) {
    if (&worker != &file.workers.front()) text += ',';
    text += R"({"name":)";
    append_json_string(text, worker.name);
    text += R"(,"fingerprint":")" + fingerprint(worker.key) + '"' + expiry_members(worker.expires, now) + '}';
  }
  return text + "]}\n";
}

}  // namespace workpool::dispatcher
