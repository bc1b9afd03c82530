// SPDX-License-Identifier: MIT
// workpool: the one short name. `workpool worker …` becomes workpool-worker, anything else
// workpool-dispatcher, both from the folder of this program. They learn from argv[0] what the user calls them
// (common/base/program_names.h).
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/exit_code.h"

namespace {

using namespace workpool;

std::string beside_ourselves(const std::string& name) {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0 || size == sizeof path) return name;
  const std::string_view self(path, static_cast<std::size_t>(size));
  return std::string(self.substr(0, self.rfind('/') + 1)) + name;
}

// `help COMMAND` is `COMMAND --help`, and `help` alone `--help`.
std::vector<std::string> without_help(std::vector<std::string> arguments) {
  if (arguments.empty() || arguments.front() != "help") return arguments;
  arguments.erase(arguments.begin());
  arguments.resize(arguments.empty() ? 0 : 1);
  arguments.emplace_back("--help");
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string typed = argc > 0 ? argv[0] : "workpool";
  std::vector<std::string> arguments = without_help({argv + (argc > 0 ? 1 : 0), argv + argc});
  const bool is_worker = !arguments.empty() && arguments.front() == "worker";
  const std::string program = beside_ourselves(is_worker ? "workpool-worker" : "workpool-dispatcher");
  if (is_worker) {
    arguments.front() = typed + " worker";
  } else {
    arguments.insert(arguments.begin(), typed);
  }
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  ::execv(program.c_str(), words.data());
  std::fprintf(stderr, "workpool: cannot start %s: %s; it has to stand next to workpool\n", program.c_str(),
               std::strerror(errno));
  return exit_status(ExitCode::kSystem);
}
