// SPDX-License-Identifier: MIT
// The keys of a run that listens: those of --key FILE, or the run's own, in RESULTS.key beside its results.
// That file is kept when the run is started again, so its workers come back; --overwrite makes a new one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/keys.h"
#include "common/base/program_names.h"
#include "common/formats/key_file.h"
#include "common/io/leavable_thread.h"
#include "dispatcher/core/key_ring.h"
#include "dispatcher/io/keys/key_store.h"

namespace workpool::dispatcher {

struct RunKeysOptions {
  std::string pool;     // --key; empty for the run's own
  std::string results;  // RESULTS; empty if it is no regular file: then the run's own keys are not kept
  bool overwrite = false;
  ProgramNames names;
};

// "RESULTS.key"
std::string key_path_of(const std::string& results);

class RunKeys {
 public:
  // Reads the file, or makes the run's keys, which are not on disk before keep(). Throws KeyFileError.
  explicit RunKeys(const RunKeysOptions& options);
  ~RunKeys();
  RunKeys(const RunKeys&) = delete;
  RunKeys& operator=(const RunKeys&) = delete;

  // Writes the run's own keys into RESULTS.key, if they are new. Throws KeyFileError.
  void keep();

  const SecretKey& dispatcher() const { return file_.dispatcher; }
  std::vector<KnownKey> workers() const;
  // What a worker is started with, a secret; "" if the file holds no secret key of a worker.
  std::string join_key() const;

  struct News {
    bool changed = false;  // workers() is another list
    std::string problem;   // the file cannot be read any more; what was valid stays so
  };
  // What has become of the file of --key, which a thread looks at once a second: its disk may hang.
  News look();

 private:
  struct Follower;

  RunKeysOptions options_;
  std::string path_;
  bool is_new_ = false;
  KeyFile file_;
  std::shared_ptr<Follower> follower_;  // also the thread's, which may be left behind; null without --key
  LeavableThread thread_;
};

// With --overwrite the key of the run that is discarded goes, too, whether the next one listens or not. What
// is no key file of a run stays.
void forget_run_keys(const std::string& results);

}  // namespace workpool::dispatcher
