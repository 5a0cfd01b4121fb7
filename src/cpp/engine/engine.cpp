#include "engine/engine.h"

#include <new>
#include <optional>
#include <utility>

#include "base/errors.h"
#include "sampling/chooser.h"

namespace llmlocal {
namespace {

std::vector<Token> ends_of(const Decoder& decoder) {
  std::vector<Token> ends;
  for (Token token = 0; token < decoder.vocab_size(); ++token) {
    if (decoder.is_end(token)) ends.push_back(token);
  }
  return ends;
}

}  // namespace

Engine::Engine(std::unique_ptr<Decoder> decoder, const CacheOptions& options)
    : decoder_(std::move(decoder)),
      context_length_(decoder_->context_length()),
      vocab_size_(decoder_->vocab_size()),
      ends_(ends_of(*decoder_)),
      files_(options.files),
      scheduler_(*decoder_, told_of_reads(options), failures_),
      evaluator_(*decoder_, scheduler_.pool(), failures_, closing_),
      samplers_(decoder_->samplers()) {
  publish_stats();
  thread_ = std::thread(&Engine::run, this);
}

CacheOptions Engine::told_of_reads(CacheOptions options) {
  options.on_read = [this] {
    {
      const std::lock_guard lock(mutex_);
      was_read_ = true;
    }
    work_.notify_one();
  };
  return options;
}

Engine::~Engine() {
  close();
}

std::vector<std::shared_ptr<Request>> Engine::submit(std::vector<RequestSpec> specs) {
  for (const RequestSpec& spec : specs) spec.validate(context_length_, vocab_size_);
  const std::shared_ptr<SamplerFactory> samplers = samplers_if_open();
  std::vector<std::shared_ptr<Request>> requests;
  requests.reserve(specs.size());
  Queue arriving;
  for (RequestSpec& spec : specs) {
    Chooser chooser = make_chooser(*samplers, spec);
    requests.push_back(std::make_shared<Request>(std::move(spec), std::move(chooser)));
    arriving.push_back({.request = requests.back()});
  }
  if (files_) files_->refresh();  // Here, as it may take a while and this is the caller's thread.
  {
    const std::lock_guard lock(mutex_);
    if (stopped_by_) std::rethrow_exception(stopped_by_);
    inbox_.splice(inbox_.end(), arriving);
  }
  work_.notify_one();
  return requests;
}

std::shared_ptr<SamplerFactory> Engine::samplers_if_open() const {
  const std::lock_guard lock(mutex_);
  if (stopped_by_) std::rethrow_exception(stopped_by_);
  return samplers_;
}

// In the caller's thread: some samplers take long to make.
Chooser Engine::make_chooser(SamplerFactory& samplers, RequestSpec& spec) const {
  std::optional<Constraint> constraint;
  if (const std::shared_ptr<TokenMask> mask = std::move(spec.mask)) {
    if (!mask->claim()) throw ParameterError("a mask follows one answer, and this one has one");
    constraint.emplace(mask, ends_);
  }
  return Chooser(samplers.make(spec.sampling, spec.prompt), std::move(constraint));
}

void Engine::perform(Job::Work work) {
  const auto job = std::make_shared<Job>(std::move(work));
  Jobs arriving{job};
  {
    const std::lock_guard lock(mutex_);
    if (stopped_by_) std::rethrow_exception(stopped_by_);
    jobs_.splice(jobs_.end(), arriving);
  }
  work_.notify_one();
  job->wait();
}

void Engine::close() {
  closing_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_by_) stopped_by_ = failures_.closed();
  }
  work_.notify_one();
  const std::lock_guard lock(close_mutex_);
  if (thread_.joinable()) thread_.join();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = published_;
  stats.waiting += inbox_.size();
  if (files_) files_->report(stats);
  return stats;
}

void Engine::run() noexcept {
  std::exception_ptr reason = failures_.closed();
  try {
    while (receive()) {
      try {
        step();
      } catch (const std::bad_alloc&) {
        // No memory for the books of the engine, which still agree with the decoder.
        fail_all(failures_.out_of_memory());
      }
    }
  } catch (...) {
    reason = failures_.as_engine_error(std::current_exception());
  }
  stop(reason);
  evaluator_.end();
  scheduler_.pool().keep_rest();
  scheduler_.pool().retire();
  decoder_.reset();
}

bool Engine::receive() {
  std::unique_lock lock(mutex_);
  if (scheduler_.is_idle()) {
    wait_for_work(lock);
    scheduler_.rest();
    evaluator_.rest();
  } else if (scheduler_.waits_for_disk()) {
    // Nobody tells of a request that is cancelled, or late.
    constexpr std::chrono::milliseconds kUntilStopsAreSeen{10};
    work_.wait_for(lock, kUntilStopsAreSeen, [this] { return has_work() || was_read_; });
    was_read_ = false;
  }
  run_jobs(lock);
  scheduler_.add(inbox_);
  return !closing_;
}

// Those that wait now; the lock is not held while they run.
void Engine::run_jobs(std::unique_lock<std::mutex>& lock) {
  if (closing_ || jobs_.empty()) return;
  Jobs jobs;
  jobs.swap(jobs_);
  lock.unlock();
  for (const std::shared_ptr<Job>& job : jobs) job->run(scheduler_.pool());
  publish_stats();
  lock.lock();
}

// Nobody waits for an answer: the time to keep things for later.
void Engine::wait_for_work(std::unique_lock<std::mutex>& lock) {
  constexpr std::chrono::milliseconds kUntilDiskIsAsked{50};
  const auto has_work = [this] { return this->has_work(); };
  while (!has_work()) {
    lock.unlock();
    const StreamPool::Kept kept = scheduler_.pool().keep_one();
    lock.lock();
    if (kept == StreamPool::Kept::kNothing) work_.wait(lock, has_work);
    if (kept == StreamPool::Kept::kNoPlace) work_.wait_for(lock, kUntilDiskIsAsked, has_work);
  }
}

void Engine::step() {
  const Clock::time_point start = Clock::now();
  scheduler_.end_stopped();
  retire_finished();
  scheduler_.admit();
  retire_finished();  // Those for which there is no room.
  evaluator_.step(scheduler_.running(), start);
  retire_finished();
  scheduler_.announce_news();
}

// Frees the streams of finished requests first and tells their consumers last, so that whoever
// learns of an end finds it in the statistics.
void Engine::retire_finished() noexcept {
  scheduler_.release_finished();
  publish_stats();
  scheduler_.announce_finished();
}

void Engine::fail_all(const std::exception_ptr& error) noexcept {
  scheduler_.fail_all(error);
  retire_finished();
}

void Engine::stop(const std::exception_ptr& error) noexcept {
  Jobs jobs;
  {
    const std::lock_guard lock(mutex_);
    // An engine that failed says why; one that was closed has said so already.
    if (!stopped_by_) stopped_by_ = error;
    samplers_.reset();  // They hold the model.
    scheduler_.add(inbox_);
    jobs.swap(jobs_);
  }
  for (const std::shared_ptr<Job>& job : jobs) job->fail(error);
  fail_all(error);
}

void Engine::publish_stats() noexcept {
  EngineStats stats;
  scheduler_.report(stats);
  evaluator_.report(stats);
  scheduler_.pool().report_memory();
  const std::lock_guard lock(mutex_);
  published_ = stats;
}

}  // namespace llmlocal
