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
  state_.prompt = request_->spec().prompt;
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

void RunningRequest::advance(Position tokens) {
  state_.evaluated += tokens;
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
  state_.prompt = replay_;
  state_.evaluated = 0;
  state_.decoding = false;
  state_.pause_at = 0;
  pauses_.clear();
  last_pause_ = 0;
}

void RunningRequest::accept(Token token, const Decoder& decoder, Clock::time_point now) {
  if (!first_token_) first_token_ = now;
  StopMatcher::Result output;
  bool is_over = true;
  FinishReason reason = FinishReason::kStop;
  if (decoder.is_end(token)) {
    output = text_.flush();
    deliver_rest(std::move(output.text));
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
        StopMatcher::Result rest = text_.flush();
        output.text += rest.text;
        output.match = std::move(rest.match);
        if (!output.match && !complete) reason = FinishReason::kLength;
      }
    }
    deliver(token, std::move(output.text));
  }
  if (is_over) finish(reason, now).stop_match = std::move(output.match);
  state_.decoding = true;
  state_.next = token;
}

void RunningRequest::end(FinishReason reason, Clock::time_point now) {
  if (is_over()) return;
  // What was held back as the possible start of a stop string was text after all.
  deliver_rest(text_.flush().text);
  finish(reason, now);
}

void RunningRequest::fail(std::exception_ptr error, Clock::time_point now) noexcept {
  if (is_over()) return;
  finish(FinishReason::kCancelled, now).error = std::move(error);
}

void RunningRequest::deliver(Token token, std::string text) {
  request_->channel().push({token, std::move(text)});
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
