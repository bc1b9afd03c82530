// SPDX-License-Identifier: MIT
// The options of workpool-dispatcher, checked and with defaults (docs/reference.md, "Flags").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/address.h"
#include "common/base/keys.h"
#include "common/base/outcome.h"
#include "common/base/program_names.h"
#include "common/base/time.h"
#include "common/formats/handler_program.h"
#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"
#include "dispatcher/each_options.h"

namespace workpool::dispatcher {

enum class Durability : std::uint8_t { kSync, kOs };

enum class Progress : std::uint8_t { kAuto, kBar, kPlain, kNone };

// How what jobs write is printed.
struct OutputOptions {
  bool keep_order = false;  // in the order of the jobs
  bool tagged = false;      // each line begins with the values (or the id) of its job and a tab
};

struct RunOptions {
  ProgramNames names;
  std::string jobs;                    // a path, or "-"
  std::string results;                 // a path, or "-"; already derived from `jobs` if not given
  std::optional<std::uint32_t> local;  // slots of the local worker; nullopt = the default
  std::optional<Address> listen;
  std::uint16_t ports_low = 0;  // 0 = ephemeral
  std::uint16_t ports_high = 0;
  bool insecure = false;
  std::string key;                      // a file of keys for those who join; empty = the run's own
  std::optional<EachOptions> each;      // the jobs come from here, and `jobs` is "-"
  std::optional<OutputOptions> output;  // what jobs write is printed
  bool dry_run = false;                 // with `each`: print the jobs
  std::size_t flag_words = SIZE_MAX;    // words of argv up to the command of `each`
  bool overwrite = false;
  bool retry_failed = false;
  std::optional<JobsFormat> format;  // nullopt = by the ending
  JobDefaults defaults{.limits = LimitRules()};
  std::optional<Durability> durability;            // nullopt = sync, or os if RESULTS is not a regular file
  std::optional<std::uint32_t> max_fails;          // jobs that are not ok
  std::optional<std::uint32_t> max_fails_percent;  // or a part of those that have ended
  std::optional<std::uint32_t> until_ok;
  Duration grace = seconds(30);
  std::uint32_t crash_limit = 3;
  std::optional<Duration> unsatisfiable_after;
  Duration worker_timeout = seconds(10);
  std::optional<std::uint64_t> capture_bytes;  // nullopt = 64 KiB
  bool capture_failed_only = false;
  Progress progress = Progress::kAuto;
  std::string log_level = "info";
  std::string summary;                        // the path of a file for the end as JSON; empty = none
  std::vector<HandlerProgram> handlers;       // of the local worker
  std::optional<std::uint32_t> handler_jobs;  // that one child of them is given
  bool allow_new_privs = false;  // the local worker's jobs may gain rights through setuid programs
  std::uint64_t core_bytes = 0;  // the caller's soft limit on core dumps, for the local worker; set by main

  // How long the run waits for a worker that can run what is left. Without --listen none can come.
  Duration patience_without_worker() const {
    return unsatisfiable_after.value_or(listen ? seconds(60) : seconds(2));
  }
};

struct CheckOptions {
  std::string jobs;
  bool json = false;
  JobDefaults defaults{.limits = LimitRules()};
  std::optional<JobsFormat> format;
};
struct VerifyOptions {
  std::string jobs;
  std::string results;
  bool json = false;
  std::optional<JobsFormat> format;
  JobDefaults defaults;  // as the run had them
  bool files = false;    // also those that hold what jobs printed
};
struct ShowOptions {
  std::string results;
  std::vector<std::string> wanted;  // ids, patterns and lines; empty = all
  std::vector<Status> statuses;     // empty = all
  bool failed = false;              // also those that are not ok
  // Instead of rows; at most one of them.
  bool csv = false;
  bool json = false;
  bool stats = false;
  // What jobs printed or returned: instead of rows, or as columns of `csv`.
  bool standard_output = false;
  bool standard_error = false;
  bool value = false;
  bool tag = false;
  bool no_jobs = false;
  std::optional<JobsFormat> format;  // of the jobs file; nullopt = by the ending
  JobDefaults defaults;              // as the run had them

  bool shows_content() const { return standard_output || standard_error || value; }
};

struct StatusOptions {
  // What is asked about: a dispatcher, the run of a file, or, if both are missing, all runs of this user
  // here.
  std::optional<Address> address;
  std::string path;  // of RESULTS, or of JOBS
  bool json = false;
  bool all = false;                     // all running jobs
  bool watch = false;                   // again and again
  std::optional<std::string> key_file;  // --key, for a run elsewhere
  std::shared_ptr<const JoinKey> key;   // what is found there, or in WORKPOOL_KEY
};

struct KeygenOptions {
  ProgramNames names;
  std::string path;
  // At most one of the next three; none makes the file.
  std::vector<std::string> added;    // names of workers
  std::vector<std::string> revoked;  // the same
  bool list = false;
  bool json = false;                // of the list
  std::optional<Duration> expires;  // of the keys that are added, else of the file; max() = never
};

}  // namespace workpool::dispatcher
