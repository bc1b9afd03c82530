// SPDX-License-Identifier: MIT
#include "dispatcher/io/keys/run_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/time.h"
#include "common/io/random_key.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kLookInterval = seconds(1);
constexpr const char* kAnyWorker = "any";  // the one key of all workers of a run

KeyFile new_keys() {
  KeyFile file{make_secret_key()};
  SecretKey worker = make_secret_key();
  const PublicKey key = worker.public_key();
  file.workers.push_back({kAnyWorker, key, std::move(worker)});
  return file;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

std::string key_path_of(const std::string& results) { return results + ".key"; }

struct RunKeys::Follower {
  Follower(const std::string& path, const ProgramNames& names) : watch(path, names) {}

  void follow();

  KeyFileWatch watch;  // the thread's, once that runs
  std::mutex mutex;
  std::condition_variable changed;
  bool stop = false;            // guarded by mutex
  std::optional<KeyFile> file;  // guarded by mutex: newer than the last one that was taken
  std::string problem;          // guarded by mutex: why there is none
};

void RunKeys::Follower::follow() {
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, kLookInterval, [this] { return stop; })) {
    lock.unlock();
    std::optional<KeyFile> read;
    std::string why;
    try {
      if (watch.changed()) read = watch.read();
    } catch (const KeyFileError& error) {
      why = error.what();
    }
    lock.lock();
    if (read) file = std::move(read);
    problem = std::move(why);
  }
}

RunKeys::RunKeys(const RunKeysOptions& options)
    : options_(options),
      path_(options.pool.empty() && !options.results.empty() ? key_path_of(options.results) : options.pool),
      is_new_(options.pool.empty() && (options.overwrite || path_.empty() || !exists(path_))),
      file_(is_new_ ? new_keys() : KeyFile{SecretKey(KeyBytes{})}) {
  if (is_new_) return;
  if (options.pool.empty()) {
    try {
      file_ = read_key_file(path_, options.names);
    } catch (const KeyFileError& error) {
      throw KeyFileError(error.code, std::string(error.what()) +
                                         "; or remove it, and workers need a new key; or name another one "
                                         "with --key");
    }
    return;
  }
  follower_ = std::make_shared<Follower>(path_, options.names);
  file_ = follower_->watch.read();
  thread_.start([follower = follower_] { follower->follow(); });
}

RunKeys::~RunKeys() {
  if (!follower_) return;
  {
    const std::lock_guard lock(follower_->mutex);
    follower_->stop = true;
    follower_->changed.notify_all();
  }
  thread_.ends_within(milliseconds(200));
}

void RunKeys::keep() {
  if (!std::exchange(is_new_, false) || path_.empty()) return;
  // One that is there is replaced if it is a key file of ours, and refused if it is anything else.
  if (options_.overwrite && exists(path_)) {
    replace_key_file(path_, file_, options_.names);
  } else {
    write_new_key_file(path_, file_);
  }
}

std::vector<KnownKey> RunKeys::workers() const {
  std::vector<KnownKey> known;
  for (const WorkerKey& worker : file_.workers) {
    std::optional<Expiry> expires = worker.expires;
    if (file_.expires) expires = std::min(expires.value_or(*file_.expires), *file_.expires);
    known.push_back({worker.key, worker.name, expires});
  }
  return known;
}

std::string RunKeys::join_key() const {
  for (const WorkerKey& worker : file_.workers) {
    if (worker.secret) return join_key_text({file_.dispatcher.public_key(), worker.secret->copy()});
  }
  return "";
}

RunKeys::News RunKeys::look() {
  News news;
  if (!follower_) return news;
  const std::lock_guard lock(follower_->mutex);
  if (!follower_->problem.empty())
    news.problem = follower_->problem + "; until that is mended the keys that it had are valid";
  if (!follower_->file) return news;
  KeyFile file = *std::exchange(follower_->file, std::nullopt);
  if (!(file.dispatcher == file_.dispatcher)) {
    news.problem = path_ + " is another pool's now: put the old file back, or start the run again";
    return news;
  }
  file_ = std::move(file);
  news.changed = true;
  return news;
}

void forget_run_keys(const std::string& results) {
  const std::string path = key_path_of(results);
  try {
    const KeyFile file = read_key_file(path);
    const bool of_a_run = file.workers.size() == 1 && file.workers.front().secret.has_value();
    if (of_a_run) ::unlink(path.c_str());
  } catch (const KeyFileError&) {
    // There is none, or it is something else.
  }
}

}  // namespace workpool::dispatcher
