// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/banner.h"

#include "common/base/address.h"
#include "common/base/text.h"
#include "dispatcher/io/terminal/shell_words.h"

namespace workpool::dispatcher {

namespace {

std::string source_of(const BannerFacts& facts) {
  return facts.jobs == "-" ? "stdin" : printable(facts.jobs, 200);
}

std::string count_of(const BannerFacts& facts) {
  if (!facts.total) return "jobs";
  return std::to_string(*facts.total) + (*facts.total == 1 ? " job" : " jobs");
}

}  // namespace

std::string worker_command(const BannerFacts& facts) {
  if (!facts.listen) return "";
  const Address address = {facts.reachable, facts.listen->port};
  std::string command = facts.worker_program + " " + shell_word(address.text());
  if (facts.insecure) return command + " --insecure";
  return "WORKPOOL_KEY=" + (facts.join_key.empty() ? "wp1-..." : facts.join_key) + " " + command;
}

std::string banner_text(const BannerFacts& facts) {
  std::string text = "workpool " + facts.version + ": " + count_of(facts) + " from " + source_of(facts);
  if (facts.before != 0) text += ", " + std::to_string(facts.before) + " of them done before";
  text += "\nresults go to " + (facts.results == "-" ? std::string("stdout") : printable(facts.results, 200));
  if (facts.local_slots != 0) {
    text += "; a local worker runs " + std::to_string(facts.local_slots) +
            (facts.local_slots == 1 ? " job at a time" : " jobs at a time");
  }
  if (facts.listen) {
    text += "\nlistening on " + facts.listen->text() +
            (facts.insecure ? ", open to everyone" : ", encrypted") +
            "; to start a worker on another machine:\n  " + worker_command(facts);
    if (!facts.key_file.empty())
      text += "\nwith a key that `keygen " + printable(shell_word(facts.key_file), 200) +
              " --worker NAME` prints";
    if (facts.insecure)
      text += "\n--insecure: whoever reaches that address can run commands on its workers and forge results";
  }
  return text;
}

}  // namespace workpool::dispatcher
