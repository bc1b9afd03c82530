// SPDX-License-Identifier: MIT
// media-worker: a worker of workpool that makes thumbnails and fetches pages. README.md has its jobs.
#include <memory>

#include <workpool/worker.h>

#include "fetch.h"
#include "thumbnail.h"

int main(int argc, char** argv) {
  workpool::Worker worker("media-worker", argc, argv);
  // Made where jobs run: libvips and the transfers have threads.
  std::unique_ptr<Thumbnails> thumbnails;
  std::unique_ptr<Fetches> fetches;
  worker.at_start([&] {
    thumbnails = std::make_unique<Thumbnails>(argv[0]);
    fetches = std::make_unique<Fetches>();
  });
  worker.handle("thumbnail", [&](const workpool::Job& job) { return thumbnails->make(job); });
  worker.handle("fetch", [&](const workpool::Job& job) { return fetches->fetch(job); });
  return worker.run();
}
