#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <stdexcept>

#include "base/big_stack.h"

namespace llmlocal::testing {
namespace {

constexpr std::size_t kStack = std::size_t{256} * 1024;

TEST_CASE("big stack: what was begun is not waited for, and lets go of what it owns at its end") {
  std::promise<void> may_end;
  const auto owned = std::make_shared<int>(7);
  const auto gate = std::make_shared<std::future<void>>(may_end.get_future());
  const std::shared_future<void> end = start_on_big_stack(kStack, [gate, owned] { gate->wait(); });
  CHECK(end.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  CHECK(owned.use_count() > 1);
  may_end.set_value();
  end.get();
  CHECK(owned.use_count() == 1);
}

// Uses so much of the stack; the sum keeps the compiler from making a loop of it.
std::size_t use_stack(std::size_t bytes) {
  constexpr std::size_t kFrame = std::size_t{64} * 1024;
  std::array<volatile std::byte, kFrame> frame;
  frame[bytes % kFrame] = std::byte{1};
  const std::size_t below = bytes > kFrame ? use_stack(bytes - kFrame) : 0;
  return below + static_cast<std::size_t>(frame[bytes % kFrame]);
}

TEST_CASE("big stack: it is as big as was asked for") {
  constexpr std::size_t kUsed = std::size_t{40} * 1024 * 1024;  // Other threads have 8 at most.
  std::size_t frames = 0;
  run_on_big_stack(kUsed + kUsed / 4, [&] { frames = use_stack(kUsed); });
  CHECK(frames == kUsed / (std::size_t{64} * 1024));
}

TEST_CASE("big stack: whoever asks for the end hears what went wrong") {
  const auto fails = [] { throw std::runtime_error("as it should"); };
  const std::shared_future<void> end = start_on_big_stack(kStack, fails);
  CHECK_THROWS_WITH(end.get(), "as it should");
  CHECK_THROWS_WITH(end.get(), "as it should");
  CHECK_THROWS_WITH(run_on_big_stack(kStack, fails), "as it should");
  CHECK_THROWS_WITH(run_on_big_stack_for(std::chrono::seconds(60), kStack, fails), "as it should");
}

TEST_CASE("big stack: what takes longer than it may is given up") {
  std::promise<void> may_end;
  const auto gate = std::make_shared<std::future<void>>(may_end.get_future());
  CHECK_FALSE(run_on_big_stack_for(std::chrono::milliseconds(1), kStack, [gate] { gate->wait(); }));
  may_end.set_value();
}

}  // namespace
}  // namespace llmlocal::testing
