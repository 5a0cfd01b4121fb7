// Requests that arrive, and are cancelled, in given steps: the engine's own thread does it in the
// midst of the step, so a history is the same in every run.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"

namespace llmlocal::testing {

class Script {
 public:
  void submit_at(int step, RequestSpec spec) { arrivals_.emplace(step, std::move(spec)); }
  void cancel_at(int step, std::size_t request) { cancels_.emplace(step, request); }
  void run_on(Engine& engine) { engine_ = &engine; }

  void on_step() {
    const std::lock_guard lock(mutex_);
    ++step_;
    while (!arrivals_.empty() && arrivals_.begin()->first <= step_) submit_next();
    for (; !cancels_.empty() && cancels_.begin()->first <= step_;
         cancels_.erase(cancels_.begin())) {
      const std::size_t request = cancels_.begin()->second;
      if (request < submitted_.size()) submitted_[request]->cancel();
    }
  }

  // The next of all requests, in the order of arrival; none after the last one.  Where the engine
  // would run idle, its next request arrives now.
  std::shared_ptr<Request> next() {
    const std::lock_guard lock(mutex_);
    if (given_ == submitted_.size() && !arrivals_.empty()) submit_next();
    return given_ < submitted_.size() ? submitted_[given_++] : nullptr;
  }

  std::size_t submitted() const {
    const std::lock_guard lock(mutex_);
    return submitted_.size();
  }

 private:
  // An engine that was closed, or had to stop, gets no more of them.
  void submit_next() {
    std::vector<RequestSpec> specs;
    specs.push_back(std::move(arrivals_.begin()->second));
    arrivals_.erase(arrivals_.begin());
    try {
      submitted_.push_back(engine_->submit(std::move(specs)).front());
    } catch (const EngineError&) {
      arrivals_.clear();
    }
  }

  mutable std::mutex mutex_;  // Guards everything below.
  Engine* engine_ = nullptr;
  int step_ = 0;
  std::multimap<int, RequestSpec> arrivals_;
  std::multimap<int, std::size_t> cancels_;
  std::vector<std::shared_ptr<Request>> submitted_;
  std::size_t given_ = 0;
};

// Some prompts begin like others, some go on where the answer of another ends.  `past`: what was
// said before, all of it.
inline RequestSpec random_spec(Random& random, const FakeModel& model, std::vector<Tokens>& past) {
  Tokens prompt;
  if (!past.empty() && random.chance(70)) {
    prompt = random.pick(past);
    if (random.chance(50))
      prompt.resize(static_cast<std::size_t>(random.between(1, 80)) % prompt.size());
  }
  prompt = prompt + random_tokens(random, model, 1, random.chance(30) ? 60 : 10);
  if (prompt.size() > 120) prompt.resize(120);
  RequestSpec spec = spec_of(std::move(prompt), random.chance(10) ? 0 : random.between(1, 25));
  std::vector<std::string> stops(static_cast<std::size_t>(random.below(3)));
  for (std::string& stop : stops) {
    stop = model.piece(random.between(10, 20)) + model.piece(random.between(10, 20));
  }
  spec.stops = std::move(stops);
  past.push_back(spec.prompt + reference_answer(model, spec, 128).tokens);
  return spec;
}

}  // namespace llmlocal::testing
