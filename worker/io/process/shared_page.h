// SPDX-License-Identifier: MIT
// Memory shared by supervisor and engines of one worker (MAP_SHARED | MAP_ANONYMOUS, made before the first
// engine): which jobs run now, the deaths that the dispatcher has not acked yet, and what the next engine has
// to know. Written without locks, so that it is whole at any instruction the engine may die at.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool::worker {

// What a worker has done at least once (worker/io/first_steps.h).
enum class FirstStep : std::uint8_t { kHeardDispatcher, kRanJob };

// How an engine ended, as its guard saw it.
struct EngineEnd {
  int code = 0;    // as siginfo_t::si_code; 0 = there was no room for a process, and `status` is errno
  int status = 0;  // as siginfo_t::si_status
  bool was_stopped = false;  // it stayed stopped (SIGSTOP) and was killed for that
  bool left_some = false;    // processes below it survived KILL
};

// What a worker has done.
struct Work {
  std::uint64_t jobs = 0;  // attempts that ended by themselves or at their timeout
  std::uint64_t not_ok = 0;
};

class SharedPage {
 public:
  // `free_places`: how many jobs can run at once (slots), at least 1. `fixed`: so many more, each of which
  // belongs to somebody. Throws std::system_error if mmap fails.
  explicit SharedPage(std::uint32_t free_places, std::uint32_t fixed = 0);
  ~SharedPage();
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;

  // Engine, any thread, before a job starts: takes a free place (there is always one). Returns its number.
  // `hint`: where to look first; a thread that passes its last place finds it again at once.
  std::uint32_t started(const Key& key, std::uint32_t hint = 0);
  // The same at the fixed place `number` (from 0), which its owner has freed. Returns its number for ended().
  std::uint32_t started_at_fixed(std::uint32_t number, const Key& key);
  void ended(std::uint32_t place);
  // How many run now.
  std::size_t running() const;

  // Until the next engine, nothing may be started and no ending may leave: everything is being killed.
  void close();
  bool is_closed() const;

  // Engine: says that it ends by itself with `code`, so that a handler's exit() is not taken for it.
  void announce_exit(int code);
  // Supervisor: what the engine announced, if anything; forgets it, and opens the page for the next engine.
  std::optional<int> take_announced_exit();

  // Guard: how the engine ended, once it and everything below it are gone.
  void note_engine_end(const EngineEnd& end);
  // Supervisor, after the guard is gone: what the guard noted; nullopt if it noted nothing. Forgets it.
  std::optional<EngineEnd> take_engine_end();

  // Supervisor, after the engine is dead. Both free all places; record_death() first makes a Death of the
  // keys that were running.
  void record_death(std::uint32_t engine, const char* cause);
  void forget_running();
  // Engine: deaths not yet acked (at most the last 64), and the ack of all up to this engine number.
  std::vector<Death> deaths() const;
  void deaths_acked(std::uint32_t up_to_engine);

  // The run of the last WELCOME that any engine had; 0 = there was none yet.
  void note_run(RunId run);
  RunId last_run() const;
  std::uint32_t joins() const;  // WELCOMEs so far, of all engines

  // The worker timeout in the last WELCOME that any engine had; 10 s before the first.
  void note_worker_timeout(Duration timeout);
  Duration worker_timeout() const;

  // Engine: adds to what the worker has done.
  void note_ran(std::uint64_t jobs, std::uint64_t not_ok);
  Work work() const;

  // When the page, and with it the worker, was made.
  Time made_at() const;
  void note_step(FirstStep step);
  bool has_made(FirstStep step) const;
  // Engine: since when jobs could not be started for lack of resources. Only the first call counts.
  void note_lack(Time now);
  std::optional<Time> lacking_since() const;

  // Worker id: random, made with the page.
  WorkerId worker() const;

 private:
  struct Place;
  struct DeathRecord;
  struct Layout;

  Place& place(std::uint32_t number) const;
  DeathRecord& death(std::uint32_t number) const;
  Key* keys_of_death(std::uint32_t number) const;

  Layout* layout_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace workpool::worker
