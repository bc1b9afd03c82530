// SPDX-License-Identifier: MIT
#include "transfers.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include <workpool/worker.h>

namespace {

using workpool::Failure;

constexpr std::size_t kBufferMost = 1 << 20;  // bytes that wait for the thread that asked
constexpr std::size_t kWorthWriting = 1 << 18;
constexpr long kRedirectsMost = 10;

// The word that a failure begins with, for whoever counts reasons.
const char* kind_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "dns";
    case CURLE_COULDNT_CONNECT:
      return "connect";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
      return "tls";
    case CURLE_OPERATION_TIMEDOUT:
      return "timeout";
    case CURLE_FILESIZE_EXCEEDED:
      return "size";
    default:
      return "transfer";
  }
}

// What the thread that asked and the thread of libcurl know of one transfer. It goes when neither needs it.
struct Transfer : std::enable_shared_from_this<Transfer> {
  explicit Transfer(const Request& given) : request(given) {}

  const Request request;
  curl_slist* headers = nullptr;  // of the thread of libcurl, as all that curl is given
  CURL* easy = nullptr;
  char reason[CURL_ERROR_SIZE] = "";
  std::int64_t received = 0;

  std::mutex mutex;  // protects all below
  std::condition_variable_any changed;
  std::string buffer;
  bool is_paused = false;
  bool is_over = false;
  bool is_given_up = false;  // the thread that asked has no use for more
  CURLcode code = CURLE_OK;
  Answer answer;
};

std::size_t receive(char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const std::lock_guard lock(transfer.mutex);
  if (transfer.is_given_up) return CURL_WRITEFUNC_ERROR;
  if (!transfer.buffer.empty() && transfer.buffer.size() + size > kBufferMost) {
    transfer.is_paused = true;
    transfer.changed.notify_all();
    return CURL_WRITEFUNC_PAUSE;
  }
  transfer.received += static_cast<std::int64_t>(size);
  if (transfer.request.bytes_max && transfer.received > *transfer.request.bytes_max) {
    transfer.code = CURLE_FILESIZE_EXCEEDED;
    return CURL_WRITEFUNC_ERROR;
  }
  transfer.buffer.append(data, size);
  if (transfer.buffer.size() >= kWorthWriting) transfer.changed.notify_all();
  return size;
}

void set_up(Transfer& transfer) {
  CURL* const easy = transfer.easy;
  const Request& request = transfer.request;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.reason);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kRedirectsMost);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "workpool-media-worker");
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, request.silence_s);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, request.silence_s);
  if (request.bytes_max)
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(*request.bytes_max));
  for (const auto& [name, value] : request.headers)
    transfer.headers = curl_slist_append(transfer.headers, (name + ": " + value).c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers);
}

Answer answer_of(CURL* easy) {
  Answer answer;
  const char* text = nullptr;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
  if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &text) == CURLE_OK && text != nullptr)
    answer.content_type = text;
  if (curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text) == CURLE_OK && text != nullptr)
    answer.url = text;
  return answer;
}

}  // namespace

// One multi handle and its thread. What others want is in the queues; the loop carries it out.
class Transfers::Thread {
 public:
  Thread() : multi_(curl_multi_init()) {
    if (multi_ == nullptr) throw std::runtime_error("libcurl cannot start");
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(kAtOnceMost));
    std::thread([this] { run(); }).detach();
  }

  using Shared = std::shared_ptr<Transfer>;

  void begin(const Shared& transfer) { post(begun_, transfer); }
  // The buffer of a paused transfer has room again.
  void go_on(const Shared& transfer) { post(resumed_, transfer); }
  // Nobody waits for it any more.
  void give_up(const Shared& transfer) { post(given_up_, transfer); }

 private:
  void post(std::deque<Shared>& queue, const Shared& transfer) {
    {
      const std::lock_guard lock(mutex_);
      queue.push_back(transfer);
    }
    curl_multi_wakeup(multi_);
  }

  [[noreturn]] void run() {
    while (true) {
      take_orders();
      int running = 0;
      curl_multi_perform(multi_, &running);
      int left = 0;
      while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
        Transfer* transfer = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        finish(transfer->shared_from_this(), message->data.result);
      }
      if (!has_orders()) curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
  }

  // Whether take_orders() has something to do now.
  bool has_orders() {
    const std::lock_guard lock(mutex_);
    return !resumed_.empty() || !given_up_.empty() || (!begun_.empty() && active_.size() < kAtOnceMost);
  }

  void take_orders() {
    std::deque<Shared> begun;
    std::deque<Shared> resumed;
    std::deque<Shared> given_up;
    {
      const std::lock_guard lock(mutex_);
      // One that is given up may not have begun.
      for (const Shared& transfer : given_up_) std::erase(begun_, transfer);
      while (!begun_.empty() && active_.size() + begun.size() < kAtOnceMost) {
        begun.push_back(begun_.front());
        begun_.pop_front();
      }
      resumed.swap(resumed_);
      given_up.swap(given_up_);
    }
    for (const Shared& transfer : begun) start(transfer);
    for (const Shared& transfer : resumed) {
      if (is_active(transfer)) curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    }
    for (const Shared& transfer : given_up) {
      if (is_active(transfer)) finish(transfer, CURLE_ABORTED_BY_CALLBACK);
    }
  }

  bool is_active(const Shared& transfer) const {
    return std::find(active_.begin(), active_.end(), transfer) != active_.end();
  }

  void start(const Shared& transfer) {
    if (idle_.empty()) {
      transfer->easy = curl_easy_init();
      if (transfer->easy == nullptr) return end(*transfer, CURLE_OUT_OF_MEMORY);
    } else {
      transfer->easy = idle_.back();
      idle_.pop_back();
    }
    set_up(*transfer);
    active_.push_back(transfer);
    curl_multi_add_handle(multi_, transfer->easy);
  }

  // By value: it may be the last one who has the transfer.
  void finish(Shared transfer, CURLcode code) {
    Answer answer = answer_of(transfer->easy);
    curl_multi_remove_handle(multi_, transfer->easy);
    curl_easy_reset(transfer->easy);
    curl_slist_free_all(transfer->headers);
    idle_.push_back(transfer->easy);
    std::erase(active_, transfer);
    {
      const std::lock_guard lock(transfer->mutex);
      transfer->answer = std::move(answer);
    }
    end(*transfer, code);
  }

  static void end(Transfer& transfer, CURLcode code) {
    const std::lock_guard lock(transfer.mutex);
    if (transfer.code == CURLE_OK) transfer.code = code;
    transfer.is_over = true;
    transfer.changed.notify_all();
  }

  CURLM* const multi_;
  std::vector<Shared> active_;  // of the thread alone
  std::vector<CURL*> idle_;     // of the thread alone
  std::mutex mutex_;            // protects all below
  std::deque<Shared> begun_;
  std::deque<Shared> resumed_;
  std::deque<Shared> given_up_;
};

Transfers::Transfers() {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::runtime_error("libcurl cannot start");
  for (int i = 0; i < kThreads; ++i) threads_.push_back(std::make_unique<Thread>());
}

Answer Transfers::run(const Request& request, const std::function<void(std::string_view)>& take,
                      const std::stop_token& stop) {
  Thread* thread = nullptr;
  {
    const std::lock_guard lock(mutex_);
    thread = threads_[next_++ % threads_.size()].get();
  }
  const auto transfer = std::make_shared<Transfer>(request);
  thread->begin(transfer);
  // However this ends: what is not over is for nobody then.
  struct Ending {
    Thread& thread;
    const std::shared_ptr<Transfer>& transfer;
    ~Ending() {
      {
        const std::lock_guard lock(transfer->mutex);
        if (transfer->is_over) return;
        transfer->is_given_up = true;
      }
      thread.give_up(transfer);
    }
  };
  const Ending ending{*thread, transfer};
  std::string taken;
  std::unique_lock lock(transfer->mutex);  // given back before `ending` takes it
  while (!transfer->is_over || !transfer->buffer.empty()) {
    const bool woken = transfer->changed.wait(lock, stop, [&] {
      return transfer->is_over || transfer->is_paused || transfer->buffer.size() >= kWorthWriting;
    });
    if (!woken) throw Failure("stopped");
    taken.swap(transfer->buffer);
    const bool was_paused = std::exchange(transfer->is_paused, false);
    lock.unlock();
    if (was_paused) thread->go_on(transfer);
    if (!taken.empty()) take(taken);
    taken.clear();
    lock.lock();
  }
  if (transfer->code == CURLE_OK) return transfer->answer;
  const char* const text =
      transfer->reason[0] != '\0' ? transfer->reason : curl_easy_strerror(transfer->code);
  throw Failure(std::string(kind_of(transfer->code)) + ": " + text);
}
