// SPDX-License-Identifier: MIT
#include "dispatcher/io/entrance.h"

#include <utility>

#include "common/io/random_key.h"
#include "common/io/sockets.h"
#include "common/io/wall_clock.h"
#include "dispatcher/io/net/security_check.h"
#include "dispatcher/io/terminal/worker_words.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kNetwork = 1;  // the door for other machines, behind that for this one
constexpr Duration kExpireInterval = seconds(1);
// A line about a peer is not repeated for so long: it may try several times a second.
constexpr Duration kTellInterval = seconds(60);
constexpr std::size_t kToldMost = 10;

}  // namespace

Entrance::Entrance(const EntranceOptions& options, const Wake& wake)
    : context_(make_context(static_cast<int>(options.sockets))) {
  TransportOptions transport;
  transport.worker_timeout = options.worker_timeout;
  transport.doors.push_back({.host = folder_.path()});
  if (options.network) open_network(options, transport, wake);
  transport_.emplace(context_, transport);
}

void Entrance::open_network(const EntranceOptions& options, TransportOptions& transport, const Wake& wake) {
  gatekeeper_.emplace(context_, wake);
  transport.doors.push_back(*options.network);
  transport.doors.back().gatekeeper = &*gatekeeper_;
  if (options.insecure) return;
  keys_.emplace(options.keys);
  const SecretKey known = make_secret_key();
  gatekeeper_->replace({{known.public_key(), "check", std::nullopt}});
  const std::string wrong = wrong_with_security(context_, folder_.path(), keys_->dispatcher(), known);
  if (!wrong.empty())
    throw BindError{"not listening, since this machine's libzmq does not keep strangers out: " + wrong};
  gatekeeper_->turned_away();  // the stranger of that check
  gatekeeper_->replace(keys_->workers());
  // Before anybody can come. With --overwrite the old ones go with the old results.
  if (!options.keys.overwrite) keys_->keep();
  transport.doors.back().key = &keys_->dispatcher();
}

std::optional<Address> Entrance::network() const {
  if (!gatekeeper_) return std::nullopt;
  const Door& door = transport_->door(kNetwork);
  return Address{door.host(), door.port()};
}

std::uint16_t Entrance::results_port() const {
  return gatekeeper_ ? transport_->door(kNetwork).sink_port() : std::uint16_t{0};
}

void Entrance::keep_keys() {
  if (keys_) keys_->keep();
}

// At most so many peers in a while, each once.
bool Entrance::is_worth_telling(const std::string& who, Time now) {
  std::erase_if(told_, [&](const auto& told) { return now >= told.second + kTellInterval; });
  return told_.size() < kToldMost && told_.emplace(who, now).second;
}

Entrance::News Entrance::look(Time now) {
  News news;
  if (!gatekeeper_) return news;
  for (const TurnedAway& peer : gatekeeper_->turned_away()) {
    // A peer may come with another key each time.
    const std::string who = std::to_string(static_cast<int>(peer.why)) + peer.address;
    if (is_worth_telling(who, now)) news.lines.push_back(turned_away_text(peer, has_keys()));
  }
  if (!keys_ || now < expire_at_) return news;
  expire_at_ = now + kExpireInterval;
  RunKeys::News file = keys_->look();
  if (!file.problem.empty() && (file.problem != problem_ || now >= problem_told_ + kTellInterval)) {
    problem_told_ = now;
    problem_ = file.problem;
    news.lines.push_back(std::move(file.problem));
  }
  if (file.changed) news.revoked = gatekeeper_->replace(keys_->workers());
  const std::vector<KeyId> expired = gatekeeper_->expire(wall_seconds());
  news.revoked.insert(news.revoked.end(), expired.begin(), expired.end());
  return news;
}

}  // namespace workpool::dispatcher
