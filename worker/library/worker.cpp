// SPDX-License-Identifier: MIT
#include "include/workpool/worker.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/exit_code.h"
#include "common/formats/handler_program.h"
#include "common/formats/job_line_limits.h"
#include "worker/handlers/registry.h"
#include "worker/library/own_handler.h"
#include "worker/program.h"

void workpool_worker_needs(int major, int minor) {
  using namespace workpool;
  if (major == kVersionMajor && minor == kVersionMinor) return;
  std::fprintf(stderr,
               "workpool: this program was compiled with headers of workpool %d.%d, but the library "
               "libworkpool-worker.so that it loads is version %d.%d: compile it again, or install workpool "
               "%d.%d\n",
               major, minor, kVersionMajor, kVersionMinor, major, minor);
  std::exit(exit_status(ExitCode::kSystem));
}

namespace workpool {

struct Worker::Impl {
  std::string name;
  int argc;
  char** argv;
  std::shared_ptr<worker::HandlerRegistry> handlers =
      std::make_shared<worker::HandlerRegistry>(worker::builtin_handlers());
  std::shared_ptr<worker::StopRelay> relay = std::make_shared<worker::StopRelay>();
  std::vector<std::function<void()>> at_start{};
  std::string wrong{};  // the first mistake in what was registered
};

Worker::Impl* Worker::make(std::string_view name, int argc, char** argv) {
  return new Impl{std::string(name), argc, argv};
}

Worker::~Worker() { delete impl_; }

void Worker::add(std::string_view name, std::function<json(const Job&)> function) {
  std::string wrong = wrong_with_handler_name(name);
  if (wrong.empty() && impl_->handlers->find(name) != nullptr)
    wrong = "is given a second time: each type of job has one handler";
  if (wrong.empty()) {
    impl_->handlers->add(worker::own_handler(std::string(name), std::move(function), impl_->relay));
  } else if (impl_->wrong.empty()) {
    impl_->wrong = "the handler \"" + std::string(name) + "\" " + wrong;
  }
}

void Worker::at_start(std::function<void()> function) { impl_->at_start.push_back(std::move(function)); }

int Worker::run() {
  worker::OwnCode own;
  own.handlers = impl_->handlers;
  own.wrong = impl_->wrong;
  own.at_start = [functions = impl_->at_start] {
    for (const auto& function : functions) function();
  };
  ProgramNames names;
  names.worker = impl_->name;
  return worker::run_program(impl_->argc, impl_->argv, names, own);
}

}  // namespace workpool
