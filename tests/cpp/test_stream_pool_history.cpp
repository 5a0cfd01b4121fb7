// A pool after any history of events.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/errors.h"
#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

// Any history, checked against the decoder after each event.
class RandomHistory {
 public:
  explicit RandomHistory(Random& random)
      : random_(random),
        faulty_(random.chance(30)),
        kv_bytes_(random.chance(50) ? static_cast<std::size_t>(random.below(4000)) : kPlenty),
        fixture_(options(), random.between(1, 6), budget(), kv_bytes_) {}

  void play(int events) {
    for (int i = 0; i < events; ++i) {
      play_one();
      REQUIRE(belief_is_true());
    }
  }

 private:
  struct Active {
    StreamId stream = -1;
    Tokens tokens;  // What must be in it.
  };

  // None, for a few states of up to 200 tokens, or for all there will be.
  std::size_t budget() {
    return random_.pick<std::size_t>({0, static_cast<std::size_t>(random_.below(4000)), kPlenty});
  }

  FakeOptions options() {
    FakeOptions fake = memory_of(random_.pick(kAllKinds), random_.between(1, 3));
    const auto works = [this] { return !faulty_ || random_.chance(60); };
    fake.has_parts = random_.chance(60);
    fake.copy_works = fake.save_works = fake.restore_works = fake.cut_back_works = works;
    fake.survives_reshape = [works](StreamId) { return works(); };
    fake.grows_to = random_.between(3, 8);
    fake.room = random_.pick<Position>({20, 256});
    fake.room_grows_to = random_.pick<Position>({20, 80, kAnyRoom});
    fake.room_restarts_to = random_.pick<Position>({20, 80, kAnyRoom});
    fake.failed_restart_leaves_nothing = random_.chance(50);
    return fake;
  }

  void play_one() {
    StreamPool& pool = fixture_.pool();
    const int event = random_.below(10);
    if (event < 3) {
      acquire();
    } else if (active_.empty() || event == 3) {
      reshape();
    } else if (event == 4) {
      if (const auto move = pool.close_gap()) {
        for (Active& active : active_) {
          if (active.stream == move->from) active.stream = move->to;
        }
      }
    } else {
      const auto index = static_cast<std::size_t>(random_.below(static_cast<int>(active_.size())));
      change(active_[index], event);
      if (event >= 8) active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }

  void reshape() {
    std::vector<Position> running;
    for (const Active& active : active_) {
      running.push_back(static_cast<Position>(active.tokens.size()) + random_.pick({0, 1, 50}));
    }
    std::vector<Position> waiting(static_cast<std::size_t>(random_.between(0, 8)));
    for (Position& length : waiting) length = random_.between(1, random_.pick({20, 256}));
    const std::vector<Move> moves = fixture_.pool().reshape(running, waiting);
    for (Active& active : active_) {
      const auto move = std::ranges::find(moves, active.stream, &Move::from);
      if (move != moves.end()) active.stream = move->to;
      if (fixture_.pool().length(active.stream) == 0) active.tokens.clear();  // Lost: start again.
    }
  }

  // Whether there is, now.
  bool makes_room(Position wanted) {
    StreamPool& pool = fixture_.pool();
    if (wanted <= pool.room()) return true;
    if (!active_.empty()) return false;
    try {
      pool.restart(wanted);
      return true;
    } catch (const OutOfMemoryError&) {
      return false;
    }
  }

  void acquire() {
    const Tokens prompt = random_prompt();
    if (!makes_room(static_cast<Position>(prompt.size()))) return;
    const Position held = fixture_.pool().held_prefix(prompt);
    const auto lease = fixture_.pool().acquire(prompt);
    REQUIRE(lease.has_value() ==
            (active_.size() < static_cast<std::size_t>(fixture_.pool().streams())));
    if (!lease) return;
    const bool in_bounds =
        lease->reused <= held && lease->reused < static_cast<Position>(prompt.size());
    REQUIRE(in_bounds);
    active_.push_back({lease->stream, Tokens(prompt.begin(), prompt.begin() + lease->reused)});
    const auto stop = random_.between(lease->reused, static_cast<Position>(prompt.size()));
    evaluate(active_.back(), Tokens(prompt.begin() + lease->reused, prompt.begin() + stop));
    if (random_.chance(50)) fixture_.pool().checkpoint(lease->stream);
    evaluate(active_.back(), Tokens(prompt.begin() + stop, prompt.end()));
  }

  void change(Active& active, int event) {
    StreamPool& pool = fixture_.pool();
    if (event == 5) {
      evaluate(active,
               some_tokens(static_cast<std::size_t>(random_.between(1, 10)), random_.below(3)));
    } else if (event == 6) {
      pool.checkpoint(active.stream);
    } else if (event == 7) {
      if (pool.length(active.stream) + 2 > pool.room()) return;
      fixture_.evaluate_unbooked(active.stream, {1, 2});
      pool.roll_back(active.stream);
      if (pool.length(active.stream) == 0) active.tokens.clear();
    } else {
      if (event == 8) pool.clear(active.stream);
      pool.release(active.stream);
      if (event == 9) past_.push_back(active.tokens);
    }
  }

  void evaluate(Active& active, const Tokens& tokens) {
    const std::size_t room = std::min<std::size_t>(200, fixture_.pool().room());
    if (active.tokens.size() + tokens.size() > room) return;
    fixture_.evaluate(active.stream, tokens);
    active.tokens.insert(active.tokens.end(), tokens.begin(), tokens.end());
  }

  // Often shares a beginning with something that went before.
  Tokens random_prompt() {
    Tokens prompt;
    if (!past_.empty() && random_.chance(80)) {
      prompt = random_.pick(past_);
      if (random_.chance(60)) {
        prompt.resize(static_cast<std::size_t>(random_.below(static_cast<int>(prompt.size()) + 1)));
      }
    }
    const Tokens tail =
        some_tokens(static_cast<std::size_t>(random_.between(1, 40)), random_.below(5));
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    if (prompt.size() > 100) prompt.resize(100);
    past_.push_back(prompt);
    return prompt;
  }

  bool belief_is_true() {
    const StreamPool& pool = fixture_.pool();
    for (StreamId stream = 0; stream < pool.streams(); ++stream) {
      if (pool.length(stream) != static_cast<Position>(fixture_.content(stream).size()))
        return false;
    }
    const bool contents_right = std::ranges::all_of(active_, [&](const Active& active) {
      return fixture_.content(active.stream) == active.tokens;
    });
    const auto streams = static_cast<std::size_t>(pool.streams());
    const bool within_bytes =
        streams <= first_streams_ || streams * fixture_.stream_bytes() <= kv_bytes_;
    return contents_right && within_bytes && pool.store().bytes() <= pool.store().budget() &&
           static_cast<std::size_t>(pool.active()) == active_.size();
  }

  Random& random_;
  bool faulty_;
  std::size_t kv_bytes_;
  PoolFixture fixture_;
  std::size_t first_streams_ = static_cast<std::size_t>(fixture_.pool().streams());
  std::vector<Active> active_;
  std::vector<Tokens> past_;
};

TEST_CASE("pool: after any history it believes what is there, and every adopted prefix is one") {
  for_random_cases(400, [](Random& random) { RandomHistory(random).play(60); });
}

}  // namespace
}  // namespace llmlocal::testing
