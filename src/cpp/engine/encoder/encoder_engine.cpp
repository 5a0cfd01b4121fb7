#include "engine/encoder/encoder_engine.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine/steps/step_watch.h"

namespace llmlocal {

EncoderEngine::EncoderEngine(std::unique_ptr<Encoder> encoder)
    : encoder_(std::move(encoder)),
      dimensions_(encoder_->dimensions()),
      window_(encoder_->window()),
      vocab_size_(encoder_->vocab_size()),
      governor_(encoder_->max_threads()) {
  publish_stats();
  thread_ = std::thread(&EncoderEngine::run, this);
}

EncoderEngine::~EncoderEngine() {
  close();
}

std::shared_ptr<EmbeddingJob> EncoderEngine::submit(EmbeddingSpec spec) {
  spec.validate(window_, vocab_size_);
  const auto job = std::make_shared<EmbeddingJob>(std::move(spec), dimensions_);
  Jobs arriving{job};
  {
    const std::lock_guard lock(mutex_);
    if (stopped_by_) std::rethrow_exception(stopped_by_);
    inbox_.splice(inbox_.end(), arriving);
  }
  work_.notify_one();
  return job;
}

void EncoderEngine::close() {
  closing_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_by_) stopped_by_ = failures_.closed();
  }
  work_.notify_one();
  const std::lock_guard lock(close_mutex_);
  if (thread_.joinable()) thread_.join();
}

EncoderStats EncoderEngine::stats() const {
  const std::lock_guard lock(mutex_);
  EncoderStats stats = published_;
  for (const auto& job : inbox_) stats.waiting += job->size();
  return stats;
}

void EncoderEngine::run() noexcept {
  std::exception_ptr reason = failures_.closed();
  try {
    while (receive()) {
      try {
        step();
      } catch (const std::bad_alloc&) {
        fail_all(failures_.out_of_memory());  // No memory for the books of the engine.
      }
    }
  } catch (...) {
    reason = failures_.as_engine_error(std::current_exception());
  }
  stop(reason);
  encoder_.reset();
}

bool EncoderEngine::receive() {
  std::unique_lock lock(mutex_);
  if (queue_.is_empty()) {
    work_.wait(lock, [this] { return closing_ || !inbox_.empty(); });
    governor_.rest();
  }
  queue_.add(inbox_);
  return !closing_;
}

void EncoderEngine::step() {
  end_stopped();
  const std::vector<TakenText> texts =
      queue_.take(encoder_->batch_tokens(), encoder_->batch_texts());
  if (!texts.empty()) evaluate(texts);
  queue_.drop_ended();
  publish_stats();
}

// Those that nobody waits for any more, and those that asked for nothing.
void EncoderEngine::end_stopped() noexcept {
  for (const auto& job : queue_.jobs()) {
    if (const std::optional<FinishReason> reason = job->stop_reason()) {
      job->finish(*reason);
    } else if (job->is_complete()) {
      job->finish(FinishReason::kStop);
    }
  }
  queue_.drop_ended();
}

// What fails is done again for each job alone, so that none fails because of another.
void EncoderEngine::evaluate(Texts texts) {
  try {
    if (encode(texts) == DecodeStatus::kOk) deliver(texts);
  } catch (const AbortError& error) {
    throw EngineError(std::string(error.what()) + "; close this model and load it again");
  } catch (...) {
    EmbeddingJob* const first = texts.front().job;
    std::vector<TakenText> own;
    std::vector<TakenText> others;
    own.reserve(texts.size());
    others.reserve(texts.size());
    for (const TakenText& text : texts) (text.job == first ? own : others).push_back(text);
    if (others.empty()) {
      publish_stats();
      first->fail(failures_.as_engine_error(std::current_exception()));
      return;
    }
    evaluate(own);
    evaluate(others);
  }
}

DecodeStatus EncoderEngine::encode(Texts texts) {
  TextBatch batch;
  for (const TakenText& text : texts) {
    const Tokens& tokens = text.tokens();
    batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
    batch.lengths.push_back(tokens.size());
    text.job->begin(Clock::now());
  }
  for (;;) {
    encoder_->set_threads(governor_.threads());
    StepWatch watch(governor_, [this] { return encoder_->cpu_seconds(); }, batch.tokens.size());
    bool gave_up = false;
    const DecodeStatus status = encoder_->encode(batch, [&] {
      gave_up = gave_up || watch.is_hopeless();
      return gave_up || is_pointless(texts);
    });
    const double seconds = watch.seconds();
    const std::optional<double> cpu_seconds = watch.cpu_seconds();
    if (gave_up) governor_.give_up(seconds, cpu_seconds.value_or(0));
    if (status == DecodeStatus::kOk) {
      if (!gave_up) governor_.observe(batch.tokens.size(), seconds, cpu_seconds);
      ++stats_.batches;
      stats_.texts += texts.size();
      stats_.tokens += batch.tokens.size();
      return status;
    }
    if (is_pointless(texts)) return status;  // Else it is done again, with fewer threads.
  }
}

// Tells the callers last, so that whoever learns of an end finds it in the statistics.
void EncoderEngine::deliver(Texts texts) {
  publish_stats();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EmbeddingJob& job = *texts[i].job;
    if (job.is_over()) continue;
    try {
      job.put(texts[i].index, encoder_->vector(i));
      if (job.is_complete()) job.finish(FinishReason::kStop);
    } catch (const AbortError&) {
      throw;
    } catch (...) {
      job.fail(failures_.as_engine_error(std::current_exception()));
    }
  }
}

// Nobody waits for the result any more.
bool EncoderEngine::is_pointless(Texts texts) const {
  if (closing_.load(std::memory_order_relaxed)) return true;
  return std::ranges::all_of(
      texts, [](const TakenText& text) { return text.job->stop_reason().has_value(); });
}

void EncoderEngine::fail_all(const std::exception_ptr& error) noexcept {
  for (const auto& job : queue_.jobs()) job->fail(error);
  queue_.drop_ended();
  publish_stats();
}

void EncoderEngine::stop(const std::exception_ptr& error) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // An engine that failed says why; one that was closed has said so already.
    if (!stopped_by_) stopped_by_ = error;
    queue_.add(inbox_);
  }
  fail_all(error);
}

void EncoderEngine::publish_stats() noexcept {
  stats_.waiting = queue_.texts();
  stats_.threads = governor_.threads();
  const std::lock_guard lock(mutex_);
  published_ = stats_;
}

}  // namespace llmlocal
