// A request while it runs: how far it is, and how its tokens become events and its end an outcome.
//
// Used by the engine's thread only, but for choose(); the caller's side of the same request is
// Request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/token.h"
#include "engine/decoder.h"
#include "engine/request.h"
#include "engine/steps/step_plan.h"
#include "engine/text_output.h"

namespace llmlocal {

class RunningRequest {
 public:
  RunningRequest(std::shared_ptr<Request> request, Clock::time_point now);

  Request& request() { return *request_; }
  const Request& request() const { return *request_; }
  const std::shared_ptr<Request>& shared_request() const { return request_; }
  StreamId stream() const { return state_.stream; }
  const RunState& state() const { return state_; }

  // It goes on in this stream, which holds so many of its tokens.
  void enter(StreamId stream, Position reused);
  void move_to(StreamId stream) { state_.stream = stream; }
  // The evaluation of its prompt makes a stop there, unless it is past that.
  void pause_at(Position position);
  // So many of its tokens were evaluated.
  void advance(std::size_t tokens);
  // It has just come to one of its stops.
  bool is_at_pause() const { return last_pause_ == state_.evaluated; }
  Position last_pause() const { return last_pause_; }  // 0: there was none.
  bool prompt_is_done() const {
    return state_.evaluated >= static_cast<Position>(state_.prompt.size());
  }
  // Its stream lost all: the prompt and the answer so far are evaluated again, as one prompt.
  void start_over();

  // Why its answer ends before its first token, if it does.
  std::optional<FinishReason> reason_to_be_silent() const {
    if (chooser_.must_stop()) return FinishReason::kStop;
    if (request_->spec().max_tokens == 0) return FinishReason::kLength;
    return std::nullopt;
  }
  // The next token of its answer, by these logits, which may be overwritten.  On any thread, as it
  // uses nothing that other requests have.
  Token choose(std::span<float> logits);
  // About how long the next choice will take, by the last ones: the last time, or half of what was
  // expected then if that is more.
  double choice_seconds() const { return choice_s_; }
  // Takes the chosen token; the request may be over then.
  void accept(Token token, const Decoder& decoder, Clock::time_point now);
  // Adds drafts to what is evaluated next.
  void draft(Position context_length);
  // Whether it asks how likely its text is, and not for an answer.
  bool is_scored() const { return request_->spec().score_from.has_value(); }
  // How likely the next of its tokens is, by these logits; the request may be over then.
  void score(std::span<const float> logits, Clock::time_point now);
  // Tells its consumer how much of the prompt is there, where that is wanted.
  void tell_prompt_done();
  // These end it, unless it is over already.
  void end(FinishReason reason, Clock::time_point now);
  void fail(std::exception_ptr error, Clock::time_point now) noexcept;

  bool is_over() const { return outcome_.has_value(); }
  // Hands the outcome to the consumer, once it is over.
  void announce() noexcept {
    if (outcome_) request_->channel().finish(std::move(*outcome_));
  }
  void announce_news() noexcept { request_->channel().announce_news(); }

 private:
  std::int32_t generated() const { return static_cast<std::int32_t>(answer_.size()); }
  void evaluate_prompt(const PrefixView& prompt);
  Token choose_and_rate(std::span<float> logits);
  void deliver(Token token, std::string text, std::unique_ptr<const Logprobs> logprobs = nullptr);
  void deliver_rest(std::string text);
  // The outcome, for what only the caller knows.
  Outcome& finish(FinishReason reason, Clock::time_point now) noexcept;

  std::shared_ptr<Request> request_;
  Chooser chooser_;
  TextOutput text_;
  RunState state_;
  std::vector<Position> pauses_;  // Those to come; ascending.
  Position last_pause_ = 0;
  std::optional<Position> cached_;  // Of the prompt, when it first entered a stream.
  Tokens answer_;
  Tokens next_;                               // What is evaluated next: the state points into it.
  std::unique_ptr<const Logprobs> logprobs_;  // Of what was chosen, if they are asked for.
  std::vector<float> logits_;                 // As they were; reused.
  double choice_s_ = 0;
  Position scored_ = 0;
  Tokens replay_;  // What is evaluated again after start_over().
  Clock::time_point started_;
  std::optional<Clock::time_point> first_token_;
  Clock::time_point last_token_;
  std::optional<Outcome> outcome_;
};

std::vector<RunState> states_of(std::span<const std::unique_ptr<RunningRequest>> runs);

// The outcome of a request that ends before it ran.
Outcome outcome_without_running(const Request& request,
                                FinishReason reason,
                                Clock::time_point now) noexcept;

}  // namespace llmlocal
