// SPDX-License-Identifier: MIT
// Proves, before anybody can reach us, that the secured sockets of a context do keep strangers out. libzmq
// lets everybody in if it is built without CURVE's handler, or if that is not there.
#pragma once

#include <string>

#include <zmq.hpp>

#include "common/base/keys.h"

namespace workpool::dispatcher {

// Tries both on a socket of its own in `folder`: a key that nobody knows must be refused, and `known`, which
// is valid in the ring of the gatekeeper, let in. Returns "", or what is wrong. Takes milliseconds, at most
// 5 s for each.
std::string wrong_with_security(zmq::context_t& context, const std::string& folder, const SecretKey& server,
                                const SecretKey& known);

}  // namespace workpool::dispatcher
