// SPDX-License-Identifier: MIT
#include "dispatcher/io/keys/keygen.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/io/random_key.h"
#include "dispatcher/io/keys/key_store.h"

namespace workpool::dispatcher {
namespace {

// A crash must not write keys to a disk, and no other process of this user reads them from our memory.
void keep_memory_private() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

// `> node7.key` of a shell makes a file that others can read, and a worker would refuse it. Only one that is
// empty, and so was made for this, is closed to others.
void close_stdout_to_others() {
  struct stat info {};
  if (::fstat(STDOUT_FILENO, &info) == 0 && info.st_size == 0) close_to_others(STDOUT_FILENO);
}

[[noreturn]] void refuse(const std::string& message) { throw KeyFileError(ExitCode::kNotAllOk, message); }

std::string ascii_lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

class Keygen {
 public:
  Keygen(const KeygenOptions& options, Console& console)
      : options_(options), console_(console), now_(::time(nullptr)) {}

  ExitCode run() {
    if (options_.list) return list();
    if (!options_.added.empty()) return add();
    if (!options_.revoked.empty()) return revoke();
    return make_or_limit();
  }

 private:
  // This command, to be typed.
  std::string command(const std::string& rest) const {
    return options_.names.dispatcher + " keygen " + in_shell(options_.path) + rest;
  }
  std::string file() const { return printable(options_.path, 300); }

  void say(const std::string& message) const { console_.line(message); }
  void hint(const std::string& message) const {
    if (::isatty(STDERR_FILENO) == 1) console_.line(message);
  }

  std::optional<Expiry> expiry() const {
    if (!options_.expires || *options_.expires == Duration::max()) return std::nullopt;
    return now_ + std::chrono::duration_cast<seconds>(*options_.expires).count();
  }

  ExitCode list() const {
    const KeyFile keys = read_key_file(options_.path, options_.names);
    const std::string text = options_.json ? key_list_json(options_.path, keys, now_) : key_list(keys, now_);
    return print_answer(text, console_) ? ExitCode::kOk : ExitCode::kResultsFailed;
  }

  // Without --worker, --revoke and --list.
  ExitCode make_or_limit() const {
    struct stat info {};
    if (options_.expires && ::lstat(options_.path.c_str(), &info) == 0) {
      edit_key_file(options_.path, options_.names, [this](KeyFile& keys) { keys.expires = expiry(); });
      say(expiry() ? file() + ": all its keys expire in " + format_duration(*options_.expires)
                   : file() + ": does not expire");
      return ExitCode::kOk;
    }
    KeyFile keys{make_secret_key(), {}, expiry()};
    write_new_key_file(options_.path, keys);
    say("made " + file() + ", a dispatcher's key: keep it secret, and to yourself\nlet a worker in: " +
        command(" --worker NAME") + "\nrun jobs with it: " + options_.names.dispatcher +
        " run JOBS --listen ADDRESS --key " + in_shell(options_.path));
    return ExitCode::kOk;
  }

  ExitCode add() {
    std::vector<JoinKey> made;
    const auto put = [this, &made](KeyFile& keys) {
      made.clear();
      for (const std::string& name : options_.added) made.push_back(add_worker(keys, name));
    };
    try {
      KeyFile keys{make_secret_key()};
      put(keys);
      write_new_key_file(options_.path, keys);
      hint("made " + file() + ", with a new dispatcher's key");
    } catch (const KeyFileExists&) {
      edit_key_file(options_.path, options_.names, put);
    }
    return print(made) ? ExitCode::kOk : take_back(made);
  }

  JoinKey add_worker(KeyFile& keys, const std::string& name) const {
    if (find_worker_key(keys, name) != nullptr) {
      refuse(file() + " has a key for " + name + " already, and a join key is printed once only: first " +
             command(" --revoke " + in_shell(name)));
    }
    if (keys.workers.size() == kKeyFileWorkersMax)
      refuse(file() + " has " + std::to_string(kKeyFileWorkersMax) + " workers, and that is the most");
    SecretKey secret = make_secret_key();
    keys.workers.push_back({name, secret.public_key(), {}, expiry()});
    return {keys.dispatcher.public_key(), std::move(secret)};
  }

  bool print(const std::vector<JoinKey>& made) const {
    std::string text;
    const WipedAtEnd wiped(text);
    text.reserve(made.size() * (kKeyNameBytesMax + kJoinKeyLetters + 2));
    for (std::size_t i = 0; i < made.size(); ++i) {
      std::string letters = join_key_text(made[i]);
      const WipedAtEnd letters_wiped(letters);
      if (made.size() > 1) text.append(options_.added[i]) += ' ';
      text.append(letters) += '\n';
    }
    close_stdout_to_others();
    if (!print_answer(text, console_)) return false;
    hint("give it to the worker in the variable WORKPOOL_KEY, or in a file: " + options_.names.worker +
         " ADDRESS --key FILE\nit is not printed again");
    return true;
  }

  // A key that nobody has got lets nobody in, but its name would be taken.
  ExitCode take_back(const std::vector<JoinKey>& made) const {
    edit_key_file(options_.path, options_.names, [&made](KeyFile& keys) {
      std::erase_if(keys.workers, [&made](const WorkerKey& worker) {
        return std::any_of(made.begin(), made.end(),
                           [&worker](const JoinKey& key) { return key.worker.public_key() == worker.key; });
      });
    });
    say(file() + ": the new keys were taken out again");
    return ExitCode::kResultsFailed;
  }

  ExitCode revoke() const {
    edit_key_file(options_.path, options_.names, [this](KeyFile& keys) {
      for (const std::string& name : options_.revoked) {
        if (find_worker_key(keys, name) == nullptr) refuse(unknown(keys, name));
        std::erase_if(keys.workers, [&name](const WorkerKey& worker) { return worker.name == name; });
      }
    });
    for (const std::string& name : options_.revoked) say("revoked the key of " + name + " in " + file());
    return ExitCode::kOk;
  }

  std::string unknown(const KeyFile& keys, const std::string& name) const {
    std::vector<std::string> lower;
    for (const WorkerKey& worker : keys.workers) lower.push_back(ascii_lower(worker.name));
    const std::vector<std::string_view> known(lower.begin(), lower.end());
    const std::string_view near = nearest(name, known.data(), known.size());
    std::string message = file() + " has no key for " + name;
    const auto place = std::find(known.begin(), known.end(), near);
    if (!near.empty() && place != known.end())
      return message + "; did you mean " +
             keys.workers[static_cast<std::size_t>(place - known.begin())].name + "?";
    return message + "; it has: " + command(" --list");
  }

  const KeygenOptions& options_;
  Console& console_;
  Expiry now_;
};

}  // namespace

ExitCode keygen(const KeygenOptions& options, Console& console) {
  keep_memory_private();
  try {
    return Keygen(options, console).run();
  } catch (const KeyFileError& error) {
    console.line(options.names.dispatcher + " keygen: " + error.what());
    return error.code;
  }
}

}  // namespace workpool::dispatcher
