#include <doctest/doctest.h>

#include <vector>

#include "engine/streams/leader.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

RunState running(const Tokens& prompt, Position evaluated) {
  RunState run;
  run.prompt = prompt;
  run.evaluated = evaluated;
  return run;
}

const Tokens kShared = some_tokens(100);
const Tokens kLeader = kShared + Tokens{1, 1, 1};
const Tokens kFollower = kShared + Tokens{2, 2};

TEST_CASE("leader: a prompt that has yet to pass the shared part is waited for") {
  const std::vector<RunState> runs = {running(kLeader, 40)};
  const auto leader = find_leader(runs, kFollower, 40);
  REQUIRE(leader.has_value());
  CHECK(leader->run == 0);
  CHECK(leader->shared == 100);
}

TEST_CASE("leader: a prompt that has passed the shared part leads nobody") {
  const std::vector<RunState> runs = {running(kLeader, 100)};
  CHECK_FALSE(find_leader(runs, kFollower, 100).has_value());
}

TEST_CASE("leader: one token of an equal prompt is left to evaluate") {
  const std::vector<RunState> runs = {running(kShared, 0)};
  CHECK(find_leader(runs, kShared, 0)->shared == 99);
}

TEST_CASE("leader: an answer leads nobody") {
  std::vector<RunState> runs = {running(kLeader, 40)};
  runs[0].decoding = true;
  CHECK_FALSE(find_leader(runs, kFollower, 40).has_value());
}

TEST_CASE("leader: a few tokens more than are held elsewhere are not waited for") {
  const std::vector<RunState> runs = {running(kLeader, 40)};
  CHECK(find_leader(runs, kFollower, 84).has_value());
  CHECK_FALSE(find_leader(runs, kFollower, 85).has_value());
}

TEST_CASE("leader: one that has nearly passed the shared part is waited for to the end") {
  const std::vector<RunState> runs = {running(kLeader, 99)};
  CHECK(find_leader(runs, kFollower, 99).has_value());
}

TEST_CASE("leader: a short common beginning is not worth waiting") {
  const Tokens prompt = some_tokens(40, 1);
  const std::vector<RunState> runs = {running(prompt, 0)};
  const auto shares = [&](std::ptrdiff_t count) {
    return find_leader(runs, Tokens(prompt.begin(), prompt.begin() + count) + kShared, 0);
  };
  CHECK(shares(16).has_value());
  CHECK_FALSE(shares(15).has_value());
}

TEST_CASE("leader: of several the one that shares most is followed") {
  const Tokens shorter = Tokens(kShared.begin(), kShared.begin() + 50);
  const std::vector<RunState> runs = {running(shorter, 0), running(kLeader, 0)};
  CHECK(find_leader(runs, kFollower, 0)->run == 1);
}

}  // namespace
}  // namespace llmlocal::testing
