// Carries tokens and their text from the engine's thread to the one consumer of a request.
//
// The engine pushes and never waits.  The consumer takes everything that is there at once, so it
// wakes up less often than tokens arrive; one that only wants the end is not woken for tokens at
// all.  A queue that many are watched with is told once a step for all of them, or its reader would
// be woken for each.  What is held is bounded by the request's max_tokens.  The end needs no memory
// to get through: who waits must learn of it, above all where memory has run out.
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/outcome.h"
#include "engine/ready_queue.h"
#include "sampling/logprobs.h"

namespace llmlocal {

struct TokenEvent {
  static constexpr Token kNoToken = -1;

  // The sampled token; kNoToken where the end releases text that was held back.
  Token token = kNoToken;
  // The text that it released; empty while a character or stop is open.
  std::string text;
  // How likely it was; nothing unless that is asked for.
  std::unique_ptr<const Logprobs> logprobs = nullptr;
};

class TokenChannel {
 public:
  enum class Until { kNews, kEnd };

  struct Read {
    std::vector<TokenEvent> events;
    Position prompt_done = 0;  // Tokens of the prompt that are there, as far as it was told.
    std::shared_ptr<const Outcome> outcome;  // Set once, with or after the last event.
  };

  // --- The engine's side -------------------------------------------------------------------------
  void push(TokenEvent event);
  // So many tokens of the prompt are there.  News, but no event: only the last counts.
  void tell_prompt_done(Position tokens);
  // Announces what has come since the last announcement was read, if anything.
  void announce_news() noexcept;
  // The first call counts; later ones are ignored.
  void finish(Outcome outcome) noexcept;

  // --- The consumer's side -----------------------------------------------------------------------
  // Takes what is there, waiting up to `timeout` for it.
  Read read(std::chrono::milliseconds timeout, Until until);
  // From now on, news (or only the end) are also announced on `queue`, as `id`.
  void announce_on(std::shared_ptr<ReadyQueue> queue, RequestId id, Until until = Until::kNews);

 private:
  bool has_news() const { return !events_.empty() || prompt_has_news_; }
  void announce_locked() noexcept;

  std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  std::vector<TokenEvent> events_;
  Position prompt_done_ = 0;
  bool prompt_has_news_ = false;
  std::shared_ptr<Outcome> outcome_ = std::make_shared<Outcome>();  // Of use once it is over.
  bool is_over_ = false;
  bool wake_for_tokens_ = false;  // The consumer waits, and not only for the end.
  std::shared_ptr<ReadyQueue> ready_;
  RequestId ready_id_ = 0;
  Until announce_until_ = Until::kNews;
  std::list<RequestId> announcement_;  // The next one, made beforehand; none until what was
                                       // announced is read.
};

}  // namespace llmlocal
