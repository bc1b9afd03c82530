// SPDX-License-Identifier: MIT
#include "common/io/program_lookup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/base/text.h"

namespace workpool {
namespace {

constexpr std::size_t kShownBytesMost = 200;
constexpr const char* kDefaultPath = "/bin:/usr/bin";  // what execvp takes without a PATH

// 0 if `path` is a file that can be executed.
int error_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  return ::access(path.c_str(), X_OK) == 0 ? 0 : errno;
}

bool is_on_path(const std::string& program) {
  const char* const variable = std::getenv("PATH");
  const std::string path = variable == nullptr ? kDefaultPath : variable;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const std::string folder = path.substr(at, end - at);
    if (error_of((folder.empty() ? "." : folder) + '/' + program) == 0) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::string missing_program(const std::vector<HandlerProgram>& programs) {
  for (const HandlerProgram& handler : programs) {
    const auto words = plain_words(handler.command);
    if (!words) continue;
    const std::string& program = words->front();
    const std::string cannot =
        "--handler " + handler.name + ": cannot run " + printable(program, kShownBytesMost) + ": ";
    if (program.find('/') == std::string::npos) {
      if (!is_on_path(program)) return cannot + "no such program in the folders of PATH";
    } else if (const int error = error_of(program); error != 0) {
      return cannot + std::strerror(error) + (error == EACCES ? " (is it executable?)" : "");
    }
  }
  return "";
}

}  // namespace workpool
