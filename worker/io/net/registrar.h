// SPDX-License-Identifier: MIT
// Registers with the dispatcher from a thread of its own: looks the name up, tries its addresses in order by
// plain TCP (libzmq tries one only, and reports no reason), then says HELLO on a socket of its own and waits
// for the answer. It learns how the dispatcher can be talked to: see common/io/reach.h. One try at a time;
// each ends in exactly one answer, also if the name service is silent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include <zmq.hpp>

#include "common/base/address.h"
#include "common/io/mailbox.h"
#include "common/io/names.h"
#include "common/io/reach.h"
#include "common/wire/messages.h"

namespace workpool::worker {

struct Unanswered {
  std::string reason;        // what failed, of which address
  bool not_allowed = false;  // there are addresses, and every one needs a key or --insecure
};
// The two sides do not have the keys to talk to each other.
struct Barred {
  std::string reason;
};
struct RegistrationAnswer {
  std::uint32_t try_number = 0;  // of the HELLO
  std::string host;              // the literal address, or the folder, that answered
  bool secured = false;          // with our key
  std::variant<Welcome, Refused, Unanswered, Barred> answer;
};

class Registrar {
 public:
  // `context` and `answers` outlive the registrar.
  Registrar(zmq::context_t& context, const Address& dispatcher, Credentials credentials,
            Mailbox<RegistrationAnswer>& answers, Resolver resolver = resolve);
  // Abandons a try in progress: waits at most 200 ms for the thread, then leaves it behind.
  ~Registrar();
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;

  // Starts a try with `hello`; its answer is posted to `answers`. REQUIRES: the last try has been answered.
  void register_with(const Hello& hello);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // also the thread's, which may be left behind
};

}  // namespace workpool::worker
