// What a pool believes after something failed is what is there.
#include <doctest/doctest.h>

#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "failing_new.h"
#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("pool: a state that the decoder refuses is dropped, and the tokens are evaluated") {
  FakeOptions fake;
  fake.restore_works = [] { return false; };
  PoolFixture fixture(std::move(fake));
  fixture.run_and_release(kTalk);
  fixture.run_and_release(kOther);
  CHECK(fixture.run(kTalkGoesOn).reused == 0);
  CHECK(fixture.content(0) == kTalkGoesOn);
  CHECK(fixture.log().restores == 1);
  CHECK(fixture.pool().store().size() == 1);  // Of kOther, which had to make room.
}

TEST_CASE("pool: no memory for saving a state costs that state only") {
  FakeOptions fake;
  fake.on_save = [] { throw std::bad_alloc(); };
  PoolFixture fixture(std::move(fake));
  fixture.run_and_release(kTalk);
  CHECK(fixture.run(kOther).reused == 0);
  CHECK(fixture.content(0) == kOther);
  CHECK(fixture.pool().store().size() == 0);
}

TEST_CASE("pool: whatever is thrown where work is to be spared, the work is done") {
  for (int kind = 0; kind < 4; ++kind) {
    CAPTURE(kind);
    const auto thrown = std::make_shared<int>(kind);
    {
      PoolFixture fixture(throwing(Call::kSave, thrown));
      fixture.run_and_release(kTalk);
      fixture.run_and_release(kOther);
      CHECK(fixture.content(0) == kOther);
      CHECK(fixture.pool().store().size() == 0);
    }
    {
      PoolFixture fixture(throwing(Call::kRestore, thrown));
      fixture.run_and_release(kTalk);
      fixture.run_and_release(kOther);
      CHECK(fixture.run(kTalkGoesOn).reused == 0);
      CHECK(fixture.content(0) == kTalkGoesOn);
      CHECK(fixture.pool().store().size() == 1);  // Of kOther: the other one is dropped.
    }
    {
      PoolFixture fixture(throwing(Call::kCopy, thrown, 2));
      fixture.run(kTalk);
      CHECK(fixture.run(kTalkGoesOn).reused == 0);
      CHECK(fixture.content(1) == kTalkGoesOn);
    }
    {
      PoolFixture fixture(throwing(Call::kTrim, thrown));
      fixture.run_and_release(kTalkGoesOn);
      CHECK(fixture.run(kTalk + kOther).reused == 0);
      CHECK(fixture.content(0) == kTalk + kOther);
    }
  }
}

TEST_CASE("pool: what can't be rolled back or moved for an exception is emptied, or stays") {
  const auto thrown = std::make_shared<int>(1);
  {
    PoolFixture fixture(throwing(Call::kTrim, thrown));
    fixture.run(kTalk);
    fixture.evaluate_unbooked(0, {1, 2});
    fixture.pool().roll_back(0);
    CHECK(fixture.content(0).empty());
    CHECK(fixture.pool().length(0) == 0);
  }
  PoolFixture fixture(throwing(Call::kCopy, thrown, 3));
  fixture.run(kTalk);
  fixture.run(kOther);
  fixture.run(some_tokens(30, 8));
  fixture.pool().release(1);
  CHECK_FALSE(fixture.pool().close_gap().has_value());
  CHECK(fixture.content(1).empty());
  CHECK(fixture.pool().length(1) == 0);
  CHECK(fixture.content(2).size() == 30);
}

TEST_CASE("pool: no memory for the books of an adoption leaves no false belief") {
  int thrown = 0;
  for (int n = 0; n < 40; ++n) {
    PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
    fixture.run(kTalkGoesOn);
    const Tokens before = some_tokens(20, 9);
    fixture.run_and_release(before);
    if (!runs_out_of_memory(n, [&] { fixture.pool().acquire(kTalkGoesOn + Tokens{1}); })) continue;
    ++thrown;
    fixture.run(before + kOther);
    CHECK(fixture.content(1) == before + kOther);
  }
  CHECK(thrown > 1);
}

TEST_CASE("pool: no memory for the books of more streams leaves as many as there are") {
  for (int n = 0; n < 20; ++n) {
    PoolFixture fixture;
    fixture.run(kTalk);
    const std::vector<Position> running(1, 40);
    const std::vector<Position> waiting(3, 1);
    CHECK_FALSE(runs_out_of_memory(n, [&] { fixture.pool().reshape(running, waiting); }));
    CHECK(fixture.pool().streams() == fixture.streams_there());
    CHECK(fixture.content(0) == kTalk);
  }
}

}  // namespace
}  // namespace llmlocal::testing
