// SPDX-License-Identifier: MIT
#include "worker/library/own_handler.h"

#include <algorithm>
#include <utility>

#include "common/io/clock.h"
#include "worker/library/json_reader.h"

namespace workpool {

struct Job::Impl {
  json args;
  const worker::HandlerContext& context;
  worker::StopRelay& relay;
  std::optional<std::stop_source> stop;  // made when it is asked for

  std::stop_token token() {
    if (!stop) {
      relay.begin();
      stop.emplace();
      context.stop.when_set([&relay = relay, source = *stop] { relay.stop(source); });
    }
    return stop->get_token();
  }
};

class JobAccess {
 public:
  static json call(const std::function<json(const Job&)>& function, std::string_view args,
                   const worker::HandlerContext& context, worker::StopRelay& relay) {
    Job::Impl impl{worker::read_valid_json(args), context, relay, std::nullopt};
    return function(Job(impl));
  }
};

Failure::~Failure() = default;

std::string Job::id() const { return impl_.context.id(); }
int Job::attempt() const { return static_cast<int>(impl_.context.attempt()); }
const json& Job::args() const { return impl_.args; }
std::stop_token Job::stop_token() const { return impl_.token(); }

void Job::progress(double done, std::string_view text) const {
  impl_.context.progress.say(impl_.context.token, progress_of(done, text));
}
std::optional<std::chrono::steady_clock::time_point> Job::deadline() const {
  if (!impl_.context.deadline) return std::nullopt;
  // Ours counts the time that the machine sleeps, too.
  return std::chrono::steady_clock::now() + (*impl_.context.deadline - boot_time());
}

const json* Job::member(std::string_view name) const {
  if (!impl_.args.is_object() && !impl_.args.is_null())
    throw Failure("args must be an object with " + std::string(name));
  return impl_.args.find(name);
}

void Job::expect_args(std::initializer_list<std::string_view> known) const {
  std::string listed;
  for (const std::string_view name : known) listed += (listed.empty() ? "" : ", ") + std::string(name);
  if (!impl_.args.is_object() && !impl_.args.is_null())
    throw Failure("args must be an object with " + listed);
  for (const json::member& member : impl_.args.members()) {
    if (std::find(known.begin(), known.end(), member.first) == known.end())
      throw Failure("args have an unknown member \"" + member.first + "\"; known are " + listed);
  }
}

namespace worker {
namespace {

class OwnHandler : public Handler {
 public:
  OwnHandler(std::string name, std::function<json(const Job&)> function, std::shared_ptr<StopRelay> relay)
      : name_(std::move(name)), function_(std::move(function)), relay_(std::move(relay)) {}

  std::string name() const override { return name_; }
  std::string run(std::string_view args, const HandlerContext& context) const override {
    try {
      const json value = JobAccess::call(function_, args, context, *relay_);
      return value.is_null() ? std::string() : value.dump();
    } catch (const Failure& failure) {
      throw HandlerError(failure.what());
    }
  }

 private:
  const std::string name_;
  const std::function<json(const Job&)> function_;
  const std::shared_ptr<StopRelay> relay_;
};

}  // namespace

std::unique_ptr<Handler> own_handler(std::string name, std::function<json(const Job&)> function,
                                     std::shared_ptr<StopRelay> relay) {
  return std::make_unique<OwnHandler>(std::move(name), std::move(function), std::move(relay));
}

}  // namespace worker
}  // namespace workpool
