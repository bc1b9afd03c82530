// SPDX-License-Identifier: MIT
#include "common/formats/key_file.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "common/base/text.h"
#include "common/formats/json_text.h"
#include "common/formats/timestamp.h"

namespace workpool {
namespace {

constexpr std::string_view kNewer =
    "has a member that this version of workpool does not know: a newer one has written it";
constexpr std::string_view kBadKey = "has a key that is none: one has 43 letters";

// A member's value as it stands in the file; empty if the line lacks the member. Views, so that reading
// copies no secret.
struct Members {
  std::string_view version, dispatcher, worker, public_key, secret, expires;
};

// A string without escapes: all but names are such. Returns an empty view for anything else.
std::string_view plain_string(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return {};
  value = value.substr(1, value.size() - 2);
  return value.find('\\') == std::string_view::npos ? value : std::string_view();
}

std::string members_of(std::string_view line, Members& members) {
  if (find_json_fault(line) || trim_json_space(line).front() != '{') return "is no JSON object";
  std::string_view body = trim_json_space(line);
  body.remove_suffix(1);
  bool known = true;
  visit_json_members(body, [&](std::string_view key, std::string_view value) {
    const std::pair<std::string_view, std::string_view*> all[] = {
        {R"("v")", &members.version},     {R"("dispatcher")", &members.dispatcher},
        {R"("worker")", &members.worker}, {R"("public")", &members.public_key},
        {R"("secret")", &members.secret}, {R"("expires")", &members.expires}};
    const auto* const found =
        std::find_if(std::begin(all), std::end(all), [&](const auto& entry) { return entry.first == key; });
    known = known && found != std::end(all);
    if (known) *found->second = value;
    return known;
  });
  return known ? "" : std::string(kNewer);
}

std::string read_expiry(std::string_view value, std::optional<Expiry>& expires) {
  if (value.empty()) return "";
  expires = parse_unix_seconds(plain_string(value));
  return expires ? "" : "has an `expires` that is no time such as 2026-12-31T23:59:59Z";
}

std::optional<SecretKey> secret_of(std::string_view value) {
  KeyBytes bytes;
  std::optional<SecretKey> key;
  if (read_key_letters(plain_string(value), bytes)) key.emplace(bytes);
  wipe(bytes);
  return key;
}

// Reads the lines one by one and remembers what has to be unique.
class Reader {
 public:
  // Returns what is wrong with the line, or "".
  std::string take(std::string_view line) {
    Members members;
    if (std::string problem = members_of(line, members); !problem.empty()) return problem;
    return file_ ? take_worker(members) : take_first(members);
  }
  std::optional<KeyFile>& file() { return file_; }

 private:
  std::string take_first(const Members& members) {
    if (members.version.empty() && members.dispatcher.empty())
      return "is not that of a dispatcher's key: this is no key file";
    if (members.version.empty()) return "lacks its version, `v`";
    if (members.version != "1") return "is of another version of workpool: its `v` is not 1";
    if (!members.worker.empty() || !members.public_key.empty() || !members.secret.empty())
      return "is of a dispatcher and of a worker at once";
    auto secret = secret_of(members.dispatcher);
    if (!secret) return members.dispatcher.empty() ? "lacks the dispatcher's key" : std::string(kBadKey);
    std::optional<Expiry> expires;
    if (std::string problem = read_expiry(members.expires, expires); !problem.empty()) return problem;
    keys_.insert(secret->public_key());
    file_.emplace(KeyFile{std::move(*secret), {}, expires});
    return "";
  }

  std::string take_worker(const Members& members) {
    if (!members.version.empty() || !members.dispatcher.empty())
      return "is of a second dispatcher: a key file has one";
    if (file_->workers.size() == kKeyFileWorkersMax)
      return "is one worker too many: " + std::to_string(kKeyFileWorkersMax) + " is the most";
    WorkerKey worker;
    if (members.worker.empty() || members.worker.front() != '"') return "lacks the worker's name";
    worker.name = json_string_value(members.worker, 0);
    if (const std::string problem = key_name_problem(worker.name); !problem.empty())
      return "has a name that " + problem;
    if (std::string problem = read_key(members, worker); !problem.empty()) return problem;
    if (std::string problem = read_expiry(members.expires, worker.expires); !problem.empty()) return problem;
    if (!names_.insert(worker.name).second) return "has a name that an earlier line has";
    if (!keys_.insert(worker.key).second) return "has a key that an earlier line has";
    file_->workers.push_back(std::move(worker));
    return "";
  }

  static std::string read_key(const Members& members, WorkerKey& worker) {
    if (members.public_key.empty() == members.secret.empty())
      return "has not exactly one of `public` and `secret`";
    if (!members.public_key.empty())
      return read_key_letters(plain_string(members.public_key), worker.key.bytes) ? "" : std::string(kBadKey);
    worker.secret = secret_of(members.secret);
    if (!worker.secret) return std::string(kBadKey);
    worker.key = worker.secret->public_key();
    return "";
  }

  std::optional<KeyFile> file_;
  std::unordered_set<std::string> names_;
  std::unordered_set<PublicKey> keys_;
};

void append_key(std::string& out, std::string_view member, const KeyBytes& bytes) {
  out.append(",\"").append(member).append("\":\"");
  append_key_letters(out, bytes);
  out += '"';
}

void append_end(std::string& out, const std::optional<Expiry>& expires) {
  if (expires) out.append(R"(,"expires":")").append(unix_seconds_text(*expires)).append("\"");
  out += "}\n";
}

}  // namespace

std::string key_name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kKeyNameBytesMax) return "is longer than " + std::to_string(kKeyNameBytesMax) + " bytes";
  if (!is_utf8(name)) return "is not UTF-8";
  if (printable(name) != name) return "has a control character";
  return "";
}

std::string key_file_text(const KeyFile& file) {
  // Room for all of it, so that no piece of a secret is left behind where the text has grown.
  std::size_t bytes = 200;
  for (const WorkerKey& worker : file.workers) bytes += 150 + json_string_bytes(worker.name);
  std::string text;
  text.reserve(bytes);
  text += R"({"v":1)";
  append_key(text, "dispatcher", file.dispatcher.bytes());
  append_end(text, file.expires);
  for (const WorkerKey& worker : file.workers) {
    text += R"({"worker":)";
    append_json_string(text, worker.name);
    if (worker.secret) {
      append_key(text, "secret", worker.secret->bytes());
    } else {
      append_key(text, "public", worker.key.bytes);
    }
    append_end(text, worker.expires);
  }
  return text;
}

std::variant<KeyFile, KeyFileFault> parse_key_file(std::string_view text) {
  if (text.empty()) return KeyFileFault{0, "is empty"};
  if (text.size() > kKeyFileBytesMax) return KeyFileFault{0, "is longer than 4 MiB"};
  Reader reader;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos)
      return KeyFileFault{line, "is cut short: every line ends with a newline"};
    if (std::string problem = reader.take(text.substr(0, end)); !problem.empty())
      return KeyFileFault{line, std::move(problem)};
    text.remove_prefix(end + 1);
  }
  return std::move(*reader.file());
}

const WorkerKey* find_worker_key(const KeyFile& file, std::string_view name) {
  for (const WorkerKey& worker : file.workers)
    if (worker.name == name) return &worker;
  return nullptr;
}

}  // namespace workpool
