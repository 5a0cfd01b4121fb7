#include "engine/running_request.h"

#include <algorithm>
#include <utility>

namespace llmlocal {
namespace {

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

RunningRequest::RunningRequest(std::shared_ptr<Request> request, Clock::time_point now)
    : request_(std::move(request)),
      chooser_(request_->take_chooser()),
      text_(request_->spec().stops),
      started_(now),
      last_token_(now) {
  evaluate_prompt(request_->spec().prompt);
}

// The last token of a text that is scored need not be evaluated: nothing comes after it.
void RunningRequest::evaluate_prompt(const PrefixView& prompt) {
  const std::optional<Position> score_from = request_->spec().score_from;
  state_.prompt = score_from ? prompt.first(prompt.size() - 1) : prompt;
  if (score_from) state_.logits_from = *score_from - 1 + scored_;
}

void RunningRequest::enter(StreamId stream, Position reused) {
  state_.stream = stream;
  state_.evaluated = reused;
  if (!cached_) cached_ = reused;
}

void RunningRequest::pause_at(Position position) {
  if (position <= state_.evaluated) return;
  const auto place = std::ranges::lower_bound(pauses_, position);
  if (place == pauses_.end() || *place != position) pauses_.insert(place, position);
  state_.pause_at = pauses_.front();
}

void RunningRequest::advance(std::size_t tokens) {
  state_.evaluated += static_cast<Position>(tokens);
  if (pauses_.empty() || state_.evaluated < pauses_.front()) return;
  last_pause_ = pauses_.front();
  pauses_.erase(pauses_.begin());
  state_.pause_at = pauses_.empty() ? 0 : pauses_.front();
}

void RunningRequest::start_over() {
  const Tokens& prompt = request_->spec().prompt;
  Tokens replay;
  replay.reserve(prompt.size() + answer_.size());
  replay.insert(replay.end(), prompt.begin(), prompt.end());
  replay.insert(replay.end(), answer_.begin(), answer_.end());
  replay_ = std::move(replay);  // Not before it is whole: the state points into the old one.
  evaluate_prompt(replay_);
  state_.evaluated = 0;
  state_.decoding = false;
  state_.pause_at = 0;
  pauses_.clear();
  last_pause_ = 0;
}

Token RunningRequest::choose(std::span<float> logits) {
  const Clock::time_point start = Clock::now();
  const Token token = choose_and_rate(logits);
  choice_s_ = std::max(seconds(Clock::now() - start), choice_s_ / 2);
  return token;
}

Token RunningRequest::choose_and_rate(std::span<float> logits) {
  const std::optional<std::int32_t> wanted = request_->spec().logprobs;
  if (!wanted) return chooser_.choose(logits);
  logits_.assign(logits.begin(), logits.end());
  const Token token = chooser_.choose(logits);
  logprobs_ = std::make_unique<const Logprobs>(
      logprobs_of(logits_, token, static_cast<std::size_t>(*wanted)));
  return token;
}

void RunningRequest::accept(Token token, const Decoder& decoder, Clock::time_point now) {
  if (!first_token_) first_token_ = now;
  StopMatcher::Result output;
  bool is_over = true;
  FinishReason reason = FinishReason::kStop;
  if (decoder.is_end(token)) {
    deliver_rest(text_.flush());
  } else {
    chooser_.accept(token);
    answer_.push_back(token);
    last_token_ = now;
    output = text_.push(decoder.piece(token));
    if (!output.match) {
      const bool complete = chooser_.must_stop();
      const bool full = state_.evaluated >= decoder.context_length();
      is_over = complete || full || generated() >= request_->spec().max_tokens;
      if (is_over) {
        output.text += text_.flush();
        if (!complete) reason = FinishReason::kLength;
      }
    }
    deliver(token, std::move(output.text), std::move(logprobs_));
  }
  if (is_over) finish(reason, now).stop_match = std::move(output.match);
  state_.decoding = true;
  next_.assign(1, token);
  state_.next = next_;
}

void RunningRequest::draft(Position context_length) {
  constexpr Position kMostDrafts = 16;
  const RequestSpec& spec = request_->spec();
  if (!spec.drafter || !state_.decoding) return;
  // The token that fills the context, or the answer, is not evaluated.
  const Position left = std::min(spec.max_tokens - generated(), context_length - state_.evaluated);
  const Position most = std::clamp(left - 1, 0, kMostDrafts);
  next_.resize(1 + static_cast<std::size_t>(most));
  const std::size_t count = spec.drafter->draft(spec.prompt, answer_, std::span(next_).subspan(1));
  next_.resize(1 + std::min(count, static_cast<std::size_t>(most)));
  state_.next = next_;
}

void RunningRequest::score(std::span<const float> logits, Clock::time_point now) {
  const RequestSpec& spec = request_->spec();
  if (!first_token_) first_token_ = now;
  const auto first = static_cast<std::size_t>(spec.score_from.value_or(1));
  const Token token = spec.prompt[first + static_cast<std::size_t>(scored_)];
  const auto best = static_cast<std::size_t>(spec.logprobs.value_or(0));
  deliver(token, "", std::make_unique<const Logprobs>(logprobs_of(logits, token, best)));
  ++scored_;
  if (first + static_cast<std::size_t>(scored_) == spec.prompt.size())
    finish(FinishReason::kStop, now);
}

void RunningRequest::tell_prompt_done() {
  if (request_->spec().tells_prompt_done) request_->channel().tell_prompt_done(state_.evaluated);
}

void RunningRequest::end(FinishReason reason, Clock::time_point now) {
  if (is_over()) return;
  deliver_rest(text_.flush());
  finish(reason, now);
}

void RunningRequest::fail(std::exception_ptr error, Clock::time_point now) noexcept {
  if (is_over()) return;
  finish(FinishReason::kCancelled, now).error = std::move(error);
}

void RunningRequest::deliver(Token token,
                             std::string text,
                             std::unique_ptr<const Logprobs> logprobs) {
  request_->channel().push({token, std::move(text), std::move(logprobs)});
}

void RunningRequest::deliver_rest(std::string text) {
  if (!text.empty()) deliver(TokenEvent::kNoToken, std::move(text));
}

Outcome& RunningRequest::finish(FinishReason reason, Clock::time_point now) noexcept {
  Outcome& outcome = outcome_.emplace();
  outcome.reason = reason;
  const auto prompt_tokens = static_cast<std::int32_t>(request_->spec().prompt.size());
  outcome.usage = {prompt_tokens, cached_.value_or(0), generated()};
  Timings& timings = outcome.timings;
  const Clock::time_point submitted = request_->submitted();
  timings.queue_s = seconds(started_ - submitted);
  timings.total_s = seconds(now - submitted);
  if (first_token_) {
    timings.prompt_s = seconds(*first_token_ - started_);
    timings.first_token_s = seconds(*first_token_ - submitted);
    if (generated() > 1) {
      timings.per_token_s = seconds(last_token_ - *first_token_) / (generated() - 1);
    }
  }
  return outcome;
}

std::vector<RunState> states_of(std::span<const std::unique_ptr<RunningRequest>> runs) {
  std::vector<RunState> states;
  states.reserve(runs.size());
  for (const auto& run : runs) states.push_back(run->state());
  return states;
}

Outcome outcome_without_running(const Request& request,
                                FinishReason reason,
                                Clock::time_point now) noexcept {
  Outcome outcome;
  outcome.reason = reason;
  outcome.usage.prompt_tokens = static_cast<std::int32_t>(request.spec().prompt.size());
  outcome.timings.queue_s = outcome.timings.total_s = seconds(now - request.submitted());
  return outcome;
}

}  // namespace llmlocal
