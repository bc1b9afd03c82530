// SPDX-License-Identifier: MIT
#include "common/base/outcome.h"

namespace workpool {

const char* name_of(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kFailed:
      return "failed";
    case Status::kTimeout:
      return "timeout";
    case Status::kQuarantined:
      return "quarantined";
    case Status::kInvalid:
      return "invalid";
  }
  return "";
}

const char* name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNone:
      return "";
    case ErrorKind::kExit:
      return "exit";
    case ErrorKind::kSignal:
      return "signal";
    case ErrorKind::kSpawn:
      return "spawn";
    case ErrorKind::kHandler:
      return "handler";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kCrash:
      return "crash";
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kOutput:
      return "output";
  }
  return "";
}

std::optional<Status> status_named(const std::string& name) {
  for (const Status status :
       {Status::kOk, Status::kFailed, Status::kTimeout, Status::kQuarantined, Status::kInvalid}) {
    if (name == name_of(status)) return status;
  }
  return std::nullopt;
}

}  // namespace workpool
