// SPDX-License-Identifier: MIT
// The files that hold what a command prints ("stdout", "stderr" of a job). The command writes into a file
// beside the place of each; once it has ended the file is put into its place, so what is there is whole. The
// command itself writes, so nothing is limited, and a full disk is what it sees. All calls may block.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/outcome.h"
#include "common/io/descriptor.h"

namespace workpool::worker {

class OutputFiles {
 public:
  // What is wanted: paths with their placeholders replaced, relative to `folder`; that itself is relative to
  // the directory at `starting_fd` (O_PATH). `key`: random, makes the names beside them.
  struct Wanted {
    int starting_fd = -1;
    std::string folder;  // the job's cwd; empty: none
    std::optional<std::string> output;
    std::optional<std::string> errors;
    std::string key;
  };
  struct Fault {
    int error = 0;
    std::string message;  // for people
  };

  // What became of the files.
  struct Put {
    Boxed<OutputFile> output_file;
    Boxed<OutputFile> error_file;
    std::string problem;    // for people; empty if all are in their places
    bool given_up = false;  // this was the problem
  };
  // Lets another thread see whether put() gets on, and end it.
  struct Watch {
    std::atomic<std::uint64_t> steps{0};  // grows with all that the disk does
    std::atomic<bool> given_up{false};    // nothing is put into its place from now on
  };

  OutputFiles() = default;
  OutputFiles(OutputFiles&& other) noexcept;
  OutputFiles& operator=(OutputFiles&& other) noexcept;
  ~OutputFiles() { discard(); }

  // Makes the files, and the folders that they are in. Returns what is in the way; nothing is left then. If
  // both paths lead to the same place, one file holds both streams.
  std::optional<Fault> open(const Wanted& wanted);

  bool any() const { return files_[kOutput].wanted || files_[kErrors].wanted; }
  // For the command; -1 if this stream is not for a file.
  int output_fd() const { return files_[kOutput].writing.get(); }
  int error_fd() const { return (is_shared_ ? files_[kOutput] : files_[kErrors]).writing.get(); }
  // The command has its own copies of these now.
  void close_ours();

  // Puts the files into their places, and removes what cannot be put there. REQUIRES: nothing writes into
  // them any more.
  Put put(Watch& watch);
  // Removes them.
  void discard();

  // The first of them, as the job says it.
  const std::string& shown() const { return files_[files_[kOutput].wanted ? kOutput : kErrors].shown; }
  // Before put(): the outcome has nothing of these streams yet.
  void say_none(Outcome& outcome) const;
  // Says where the files are. What could not be put there makes an `ok` a failure.
  static void say(Put&& put, Outcome& outcome);

 private:
  enum Stream : std::size_t { kOutput, kErrors };
  struct File {
    bool wanted = false;
    std::string shown;  // as the job says it
    Descriptor folder;  // that it is in, O_PATH
    Descriptor writing;
    std::string name;
    std::string beside;  // its name until then; empty if there is none
  };

  static std::optional<Fault> find_place(int base, const std::string& path, File& file);
  static bool is_same_place(const File& one, const File& other);
  static std::optional<Fault> make_file(const std::string& key, const std::string& mark, File& file);
  static void put_file(File& file, Watch& watch, Boxed<OutputFile>& into, Put& put);

  std::array<File, 2> files_;
  bool is_shared_ = false;  // by both streams: the first one's
};

}  // namespace workpool::worker
