// SPDX-License-Identifier: MIT
#include "worker/io/process/child_environment.h"

namespace workpool::worker {
namespace {

constexpr std::string_view kOurs = "WORKPOOL_";
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";  // what execvp takes without a PATH

std::string_view name_of_entry(std::string_view entry) { return entry.substr(0, entry.find('=')); }

bool is_given(const Variables& variables, std::string_view name) {
  for (const auto& variable : variables) {
    if (variable.first == name) return true;
  }
  return false;
}

bool is_reserved(std::string_view name) {
  return name == "WORKPOOL_JOB_ID" || name == "WORKPOOL_ATTEMPT" || name == "WORKPOOL_SLOT" ||
         name == kAttemptKeyName;
}

}  // namespace

InheritedEnvironment::InheritedEnvironment(char* const* environment) {
  for (char* const* entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!text.starts_with(kOurs)) {
      entries_.emplace_back(text);
    } else if (name_of_entry(text) == kOwnerName && text.size() > kOwnerName.size()) {
      owner_ = text.substr(kOwnerName.size() + 1);
    }
  }
}

ChildEnvironment::ChildEnvironment(const InheritedEnvironment& inherited, const Variables& of_job,
                                   const std::string& id, std::uint32_t attempt, std::uint32_t slot,
                                   const std::string& attempt_key) {
  own_.reserve(of_job.size() + 4);
  own_.push_back(std::string(kAttemptKeyName) + '=' + attempt_key);
  own_.push_back("WORKPOOL_JOB_ID=" + id);
  own_.push_back("WORKPOOL_ATTEMPT=" + std::to_string(attempt));
  own_.push_back("WORKPOOL_SLOT=" + std::to_string(slot));
  for (const auto& [name, value] : of_job) {
    if (!is_reserved(name)) own_.push_back(name + '=' + value);
  }
  take(inherited, of_job);
}

ChildEnvironment::ChildEnvironment(const InheritedEnvironment& inherited, const std::string& handler,
                                   std::uint32_t slot, const std::string& attempt_key) {
  own_.push_back(std::string(kAttemptKeyName) + '=' + attempt_key);
  own_.push_back("WORKPOOL_HANDLER=" + handler);
  own_.push_back("WORKPOOL_SLOT=" + std::to_string(slot));
  take(inherited, {});
}

void ChildEnvironment::take(const InheritedEnvironment& inherited, const Variables& of_job) {
  pointers_.reserve(own_.size() + inherited.entries().size() + 1);
  search_path_ = kDefaultPath;
  auto add = [this](const std::string& entry) {
    if (entry.starts_with("PATH=")) search_path_ = entry.substr(5);
    pointers_.push_back(const_cast<char*>(entry.c_str()));  // exec takes char* and does not write
  };
  for (const std::string& entry : own_) add(entry);
  for (const std::string& entry : inherited.entries()) {
    const std::string_view name = name_of_entry(entry);
    if (of_job.empty() || !is_given(of_job, name)) add(entry);
  }
  pointers_.push_back(nullptr);
}

std::vector<std::string> candidates_for(const std::string& program, const std::string& search_path) {
  std::vector<std::string> result;
  if (program.empty() || program.find('/') != std::string::npos) return {program};
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = search_path.find(':', begin);
    const std::string directory = search_path.substr(begin, end == std::string::npos ? end : end - begin);
    result.push_back((directory.empty() ? "." : directory) + '/' + program);
    if (end == std::string::npos) return result;
    begin = end + 1;
  }
}

}  // namespace workpool::worker
