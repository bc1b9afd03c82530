// SPDX-License-Identifier: MIT
// If no descriptor is left for a connection, libzmq 4.3.4 takes that for a fault of its own at the listener
// of a Unix socket, and aborts (src/ipc_listener.cpp; its listener for TCP knows better). Strangers at a port
// can take all descriptors for a moment, so whoever asked for the status then would end the run. To libzmq
// such a connection has been aborted by its peer: it stays in the queue of the kernel, and is tried again.
// The linker sends the calls of accept4() here (`--wrap`).
#include <sys/socket.h>

#include <cerrno>

// NOLINTBEGIN: the names are the linker's.
extern "C" {

int __real_accept4(int fd, sockaddr* address, socklen_t* size, int flags);

int __wrap_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  const int accepted = __real_accept4(fd, address, size, flags);
  if (accepted < 0 && errno == EMFILE) errno = ECONNABORTED;
  return accepted;
}
}
// NOLINTEND
