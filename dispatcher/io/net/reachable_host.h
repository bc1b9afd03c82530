// SPDX-License-Identifier: MIT
// Under which name or address other machines reach this one: for the worker command that the banner shows.
#pragma once

#include <string>

namespace workpool::dispatcher {

// `bound`: the host that is listened on. Itself, unless that means every address (0.0.0.0, ::, *): then the
// host's name where it resolves here to an address that is not loopback, else the address of the interface
// with the default route, else the first that is not loopback, else 127.0.0.1. A name service that is slow is
// waited for one second.
std::string reachable_host(const std::string& bound);

// The interface of the default route with the lowest metric, by the text of /proc/net/route; "" where there
// is none.
std::string default_route_interface(const std::string& route_table);

}  // namespace workpool::dispatcher
