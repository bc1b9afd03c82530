// SPDX-License-Identifier: MIT
// Everything by which workers and `status` reach a run: the folder of Unix sockets for this user on this
// machine and, if the run listens, the ports for others, with the keys and the gatekeeper that guard them.
// For the loop's thread only.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <zmq.hpp>

#include "common/base/address.h"
#include "common/base/time.h"
#include "common/io/mailbox.h"
#include "dispatcher/core/key_id.h"
#include "dispatcher/io/keys/run_keys.h"
#include "dispatcher/io/net/gatekeeper.h"
#include "dispatcher/io/net/socket_folder.h"
#include "dispatcher/io/net/transport.h"

namespace workpool::dispatcher {

struct EntranceOptions {
  std::size_t sockets = 1024;          // the most that may be open
  std::optional<DoorOptions> network;  // where to listen, if at all; its key is filled in
  bool insecure = false;               // no keys there
  RunKeysOptions keys;
  Duration worker_timeout = seconds(10);
};

class Entrance {
 public:
  // Nobody is let in before the sockets have been seen to keep strangers out. `wake` outlives it. Throws
  // BindError, KeyFileError, zmq::error_t and std::system_error.
  Entrance(const EntranceOptions& options, const Wake& wake);

  Transport& transport() { return *transport_; }
  // Where programs of this user on this machine find us.
  Address here() const { return {folder_.path(), kFolderPort}; }
  // Where we listen, with the port that was bound; nullopt if we do not.
  std::optional<Address> network() const;
  std::uint16_t results_port() const;  // at the network, else 0

  // Keeps new keys of the run for its next start, unless that has been done. Throws KeyFileError.
  void keep_keys();
  // What workers elsewhere are started with, a secret; "" without keys, or if only `keygen` has printed it.
  std::string join_key() const { return keys_ ? keys_->join_key() : ""; }
  bool has_keys() const { return keys_.has_value(); }
  std::string name_of(KeyId key) const { return gatekeeper_ ? gatekeeper_->name_of(key) : ""; }
  std::string fingerprint_of(KeyId key) const { return gatekeeper_ ? gatekeeper_->fingerprint_of(key) : ""; }

  struct News {
    std::vector<KeyId> revoked;      // keys that are not valid any more
    std::vector<std::string> lines;  // for people
  };
  // Looks who was turned away, and, once a second, which keys have been revoked or have expired.
  News look(Time now);

 private:
  void open_network(const EntranceOptions& options, TransportOptions& transport, const Wake& wake);
  bool is_worth_telling(const std::string& who, Time now);

  zmq::context_t context_;
  SocketFolder folder_;
  std::optional<RunKeys> keys_;
  std::optional<Gatekeeper> gatekeeper_;
  std::optional<Transport> transport_;
  Time expire_at_;
  std::map<std::string, Time> told_;          // when peers were last told of
  Time problem_told_ = Time{} - seconds(60);  // of the keys file
  std::string problem_;                       // what was told then
};

}  // namespace workpool::dispatcher
