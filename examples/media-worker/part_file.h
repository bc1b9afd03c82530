// SPDX-License-Identifier: MIT
// A file that is written beside its place and renamed when it is whole, so nobody ever sees half of it.
#pragma once

#include <string>
#include <string_view>

class PartFile {
 public:
  // Creates an empty file in the folder of `target`, with the rights that a new file has. This and the others
  // throw workpool::Failure with the reason of the system.
  explicit PartFile(std::string target);
  // Removes it if it has not been put into its place.
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  int descriptor() const { return descriptor_; }
  void write(std::string_view bytes);
  void put_into_place();

 private:
  const std::string target_;
  const std::string path_;
  int descriptor_;
  bool in_place_ = false;
};
