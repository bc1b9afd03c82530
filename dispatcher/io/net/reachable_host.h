// SPDX-License-Identifier: MIT
// The name or address under which other machines reach this one, for the worker command that the banner
// shows.
#pragma once

#include <string>

namespace workpool::dispatcher {

// `bound`: the host that we listen on. Returned as it is, unless it means every address (0.0.0.0, ::, *).
// Then returns the host's name if that resolves here to an address that is not loopback, else the address of
// the interface with the default route, else the first address that is not loopback, else 127.0.0.1. Waits at
// most one second for the name service.
std::string reachable_host(const std::string& bound);

// The interface of the default route with the lowest metric, by the text of /proc/net/route; "" if there is
// none.
std::string default_route_interface(const std::string& route_table);

}  // namespace workpool::dispatcher
