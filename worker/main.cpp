// SPDX-License-Identifier: MIT
// workpool-worker: serves a dispatcher.
#include "worker/program.h"

int main(int argc, char** argv) {
  return workpool::worker::run_program(argc, argv, workpool::names_from(argc > 0 ? argv[0] : ""));
}
