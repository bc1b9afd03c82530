// SPDX-License-Identifier: MIT
// One test a file of tests/scenario/*.txt, run in the root of the checkout. `--rewrite` writes what happens
// now into the files: read the difference before it is committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scenario/script.h"

namespace {

using workpool::scenario::Played;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

class Scenario : public testing::Test {
 public:
  explicit Scenario(std::filesystem::path path) : path_(std::move(path)) {}
  void TestBody() override {
    const std::string before = read(path_);
    const Played played = workpool::scenario::play(before);
    for (const std::string& fault : played.faults) ADD_FAILURE() << path_.string() << ":" << fault;
    EXPECT_EQ(before, joined(played.lines))
        << path_.string() << " plays differently; test_scenario --rewrite shows how";
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/scenario")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (argc == 2 && std::string(argv[1]) == "--rewrite") {
    int faults = 0;
    for (const auto& path : files) {
      const Played played = workpool::scenario::play(read(path));
      for (const std::string& fault : played.faults) std::cerr << path.string() << ":" << fault << "\n";
      faults += static_cast<int>(played.faults.size());
      std::ofstream(path) << joined(played.lines);
    }
    std::cerr << files.size() << " scenarios, " << faults << " expectations that do not hold\n";
    return faults == 0 ? 0 : 1;
  }
  testing::InitGoogleTest(&argc, argv);
  for (const auto& path : files) {
    std::string name = path.stem().string();
    std::replace(name.begin(), name.end(), '-', '_');
    testing::RegisterTest("Scenario", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [path]() -> testing::Test* { return new Scenario(path); });
  }
  return RUN_ALL_TESTS();
}
