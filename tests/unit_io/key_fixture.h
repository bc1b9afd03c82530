// SPDX-License-Identifier: MIT
// A folder of its own for files with keys.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/base/keys.h"

namespace workpool {

class KeyFolder : public ::testing::Test {
 protected:
  KeyFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "workpool-keys-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~KeyFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name = "pool.key") const { return folder_ + '/' + name; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path(name)) << text;
    EXPECT_EQ(::chmod(path(name).c_str(), mode), 0);
    return path(name);
  }
  static std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static mode_t mode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  static SecretKey secret(std::uint8_t byte) {
    KeyBytes bytes;
    bytes.fill(byte);
    return SecretKey(bytes);
  }

 private:
  std::string folder_;
};

}  // namespace workpool
