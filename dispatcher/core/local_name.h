// SPDX-License-Identifier: MIT
// What the worker is called that a dispatcher starts itself.
#pragma once

namespace workpool::dispatcher {

inline constexpr const char* kLocalName = "local";

}  // namespace workpool::dispatcher
