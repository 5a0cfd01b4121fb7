// Choices that take long: of several requests they are made side by side.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine_fixture.h"
#include "meeting.h"
#include "scripted_mask.h"

namespace llmlocal::testing {
namespace {

// As dear as one of a pattern in a large vocabulary.
void take_long() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Nothing but this text; each mask of it takes long, and calls `on_fill`.
class DearMask : public ScriptedMask {
 public:
  using OnFill = std::function<void()>;

  explicit DearMask(Tokens text, OnFill on_fill = {})
      : ScriptedMask([text = std::move(text)](const Tokens& accepted) {
          const bool done = accepted.size() >= text.size();
          return done ? Legal{{}, false, true, true} : Legal{{text[accepted.size()]}};
        }),
        on_fill_(std::move(on_fill)) {}

  bool fill(TokenBits bits) noexcept override {
    take_long();
    if (on_fill_) on_fill_();
    ++fills_;
    return !breaks_ && ScriptedMask::fill(bits);
  }
  void break_now() { breaks_ = true; }
  int fills() const { return fills_; }

 private:
  OnFill on_fill_;
  std::atomic<bool> breaks_{false};
  std::atomic<int> fills_{0};
};

// Two or more answers whose next choices are known to take long, while the engine waits in a step.
class DearAnswers {
 public:
  explicit DearAnswers(int count, FakeOptions fake = {}, DearMask::OnFill on_fill = {})
      : on_fill_(std::move(on_fill)), fixture_(std::move(fake)) {
    fixture_.gate().shut();
    std::vector<RequestSpec> specs;
    for (int i = 0; i < count; ++i) {
      masks_.push_back(std::make_shared<DearMask>(text(i), [this] {
        if (meeting_) meeting_->attend();
        if (on_fill_) on_fill_();
      }));
      specs.push_back(spec_of(some_tokens(5, 50 + i), 50));
      specs.back().mask = masks_.back();
    }
    requests_ = fixture_.engine().submit(std::move(specs));
    fixture_.gate().await_step();
    while (std::ranges::any_of(masks_, [](const auto& mask) { return mask->fills() == 0; })) {
      fixture_.gate().next_step();
    }
  }

  static Tokens text(int i) { return some_tokens(12, i); }
  EngineFixture& fixture() { return fixture_; }
  DearMask& mask(int i) { return *masks_[static_cast<std::size_t>(i)]; }
  Request& request(int i) { return *requests_[static_cast<std::size_t>(i)]; }
  // They go on, and each mask waits there until all are being filled.
  void go_on(Meeting& meeting) {
    meeting_ = &meeting;
    go_on();
  }
  void go_on() { fixture_.gate().open(); }
  void check_is_right(int i) {
    const Result result = read_to_end(request(i));
    CHECK(error_of(result.outcome) == "");
    CHECK(result.tokens == text(i));
  }

 private:
  DearMask::OnFill on_fill_;
  Meeting* meeting_ = nullptr;  // Changed while the engine waits.
  std::vector<std::shared_ptr<DearMask>> masks_;
  std::vector<std::shared_ptr<Request>> requests_;
  EngineFixture fixture_;  // The last member: its engine uses the others.
};

TEST_CASE("choices: those of two requests that take long are made side by side") {
  Meeting meeting(2);
  DearAnswers answers(2);
  answers.go_on(meeting);
  for (int i = 0; i < 2; ++i) answers.check_is_right(i);
  CHECK(meeting.took_place());
}

TEST_CASE("choices: beside those of others, each answer is what it would be alone") {
  DearAnswers answers(5);
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 3; ++i) specs.push_back(spec_of(some_tokens(7, i), 20));
  const auto others = answers.fixture().engine().submit(std::move(specs));
  answers.go_on();
  for (const auto& other : others) answers.fixture().check_is_right(*other);
  for (int i = 0; i < 5; ++i) answers.check_is_right(i);
}

TEST_CASE("choices: what goes wrong in one fails its own request only") {
  DearAnswers answers(3);
  answers.mask(1).break_now();
  answers.go_on();
  check_failed(answers.request(1), "the constraint failed: as the script says");
  answers.check_is_right(0);
  answers.check_is_right(2);
}

TEST_CASE("choices: logits that can't be had fail one request only") {
  std::atomic<bool> fails{false};
  FakeOptions fake;
  fake.on_call = [&](Call call) {
    if (call == Call::kLogits && fails.exchange(false)) throw std::runtime_error("no logits");
  };
  DearAnswers answers(3, std::move(fake));
  fails = true;
  answers.go_on();
  check_failed(answers.request(0), "the engine failed: no logits");
  answers.check_is_right(1);
  answers.check_is_right(2);
}

TEST_CASE("choices: one request alone has the engine's thread to itself") {
  std::thread::id thread;
  int threads = 0;
  EngineFixture fixture;
  RequestSpec spec = spec_of(some_tokens(5), 50);
  spec.mask = std::make_shared<DearMask>(some_tokens(12), [&] {
    threads += thread == std::this_thread::get_id() ? 0 : 1;
    thread = std::this_thread::get_id();
  });
  CHECK(fixture.run(std::move(spec)).tokens == some_tokens(12));
  CHECK(threads == 1);
}

// Counts threads at their end.
struct Farewell {
  std::atomic<int>* count = nullptr;
  ~Farewell() {
    if (count) ++*count;
  }
};

TEST_CASE("choices: the threads that make them end when the engine is closed") {
  std::atomic<int> ended{0};
  Meeting meeting(2);
  DearAnswers answers(2, {}, [&] {
    thread_local Farewell farewell;
    farewell.count = &ended;
  });
  answers.go_on(meeting);
  for (int i = 0; i < 2; ++i) answers.check_is_right(i);
  CHECK(ended == 0);
  answers.fixture().engine().close();
  CHECK(ended == 2);
}

TEST_CASE("choices: an engine is closed, and an answer cancelled, while they are made") {
  for (const bool closes : {true, false}) {
    CAPTURE(closes);
    Meeting meeting(2);
    DearAnswers answers(2);
    meeting.hold();
    answers.go_on(meeting);
    meeting.await_all();
    std::thread closer;
    if (closes) {
      closer = std::thread([&] { answers.fixture().engine().close(); });
    } else {
      answers.request(0).cancel();
    }
    meeting.release();
    if (closes) {
      closer.join();
      for (int i = 0; i < 2; ++i) {
        const Result result = read_to_end(answers.request(i));
        CHECK(result.tokens.size() < DearAnswers::text(i).size());
        CHECK(error_of(result.outcome) == "the model was closed");
      }
    } else {
      CHECK(read_to_end(answers.request(0)).outcome.reason == FinishReason::kCancelled);
      answers.check_is_right(1);
    }
  }
}

}  // namespace
}  // namespace llmlocal::testing
