#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "engine/streams/prefix_store.h"
#include "engine_fixture.h"
#include "failing_new.h"

namespace llmlocal::testing {
namespace {

StateBlob blob_of(const Tokens& tokens, Position floor, std::size_t size = 100) {
  StateBlob blob;
  blob.data = std::make_unique<std::byte[]>(size);
  blob.size = size;
  blob.length = static_cast<Position>(tokens.size());
  blob.floor = floor;
  return blob;
}

void put(PrefixStore& store, const Tokens& tokens, Position floor = 0, std::size_t size = 100) {
  store.insert({tokens, blob_of(tokens, floor, size)});
}

// What an entry of 100 state bytes and this many tokens takes.
std::size_t cost(std::size_t tokens) {
  return 100 + tokens * sizeof(Token);
}

TEST_CASE("store: finds the entry with the longest common prefix") {
  PrefixStore store(10000);
  put(store, {1, 2, 3, 9});
  put(store, {1, 2, 3, 4, 5, 9});
  put(store, {7, 7});
  const PrefixStore::Match match = store.find(Tokens{1, 2, 3, 4, 5, 6}, 100);
  CHECK(match.length == 5);
  CHECK(match.entry->key.tokens == Tokens{1, 2, 3, 4, 5, 9});
  CHECK(store.find(Tokens{2, 1}, 100).entry == nullptr);
}

TEST_CASE("store: stands for no more than the limit") {
  PrefixStore store(10000);
  put(store, {1, 2, 3});
  CHECK(store.find(Tokens{1, 2, 3}, 2).length == 2);
  CHECK(store.find(Tokens{1}, 0).entry == nullptr);
}

TEST_CASE("store: an entry that can't be cut back far enough stands for nothing") {
  PrefixStore store(10000);
  put(store, {1, 2, 3, 4}, 3);
  CHECK(store.find(Tokens{1, 2, 9}, 2).entry == nullptr);
  CHECK(store.find(Tokens{1, 2, 3, 9}, 3).length == 3);
}

TEST_CASE("store: an entry that there is no memory for changes nothing") {
  PrefixStore store(3 * cost(2));
  put(store, {1, 1});
  put(store, {2, 2});
  for (Token last = 3; last < 20; ++last) {
    Tokens tokens = {1, 1, last};  // It would push out both.
    StateBlob blob = blob_of(tokens, 0, 2 * cost(2));
    CHECK(runs_out_of_memory(0, [&] { store.insert({std::move(tokens), std::move(blob)}); }));
    CHECK(store.bytes() == 2 * cost(2));
    CHECK(store.size() == 2);
  }
  put(store, {3, 3});
  CHECK(store.size() == 3);
}

TEST_CASE("store: counts the bytes of states and tokens") {
  PrefixStore store(10000);
  put(store, {1, 2, 3});
  put(store, {4, 5});
  CHECK(store.bytes() == cost(3) + cost(2));
  store.remove(*store.find(Tokens{1}, 1).entry);
  CHECK(store.bytes() == cost(2));
  CHECK(store.size() == 1);
}

TEST_CASE("store: the least recently used goes first when the budget is full") {
  PrefixStore store(3 * cost(2));
  put(store, {1, 1});
  put(store, {2, 2});
  put(store, {3, 3});
  store.touch(*store.find(Tokens{1, 1}, 2).entry);
  put(store, {4, 4});
  CHECK(store.find(Tokens{2, 2}, 2).entry == nullptr);
  CHECK(store.find(Tokens{1, 1}, 2).entry != nullptr);
  CHECK(store.find(Tokens{3, 3}, 2).entry != nullptr);
  CHECK(store.find(Tokens{4, 4}, 2).entry != nullptr);
}

TEST_CASE("store: fills its budget to the last byte") {
  PrefixStore store(2 * cost(2));
  put(store, {1, 1});
  put(store, {2, 2});
  CHECK(store.bytes() == store.budget());
}

TEST_CASE("store: what is larger than the whole budget is not kept, and pushes nothing out") {
  PrefixStore store(cost(2));
  put(store, {1, 1});
  put(store, {2, 2, 2});
  CHECK(store.find(Tokens{1, 1}, 2).entry != nullptr);
  CHECK(store.size() == 1);
}

TEST_CASE("store: an entry that the new one can stand in for is dropped") {
  PrefixStore store(10000);
  put(store, {1, 2});
  put(store, {1, 2, 3, 4});
  CHECK(store.size() == 1);
  CHECK(store.find(Tokens{1, 2, 9}, 3).length == 2);
}

TEST_CASE("store: an entry shorter than the new one's floor stays") {
  PrefixStore store(10000);
  put(store, {1, 2}, 2);
  put(store, {1, 2, 3, 4}, 4);
  CHECK(store.size() == 2);
  CHECK(store.find(Tokens{1, 2, 9}, 3).length == 2);
}

TEST_CASE("store: covers what an entry could be cut back to") {
  PrefixStore store(10000);
  put(store, {1, 2, 3, 4}, 3);
  CHECK(store.covers(Tokens{1, 2, 3}));
  CHECK(store.covers(Tokens{1, 2, 3, 4}));
  CHECK_FALSE(store.covers(Tokens{1, 2}));
  CHECK_FALSE(store.covers(Tokens{1, 2, 3, 4, 5}));
  CHECK_FALSE(store.covers(Tokens{1, 2, 4}));
}

TEST_CASE("store: a part serves only with a state of a text that begins with its own") {
  PrefixStore store(10000);
  store.insert({.key = Tokens{1, 2}, .blob = blob_of({1, 2}, 2), .is_part = true});
  CHECK(store.find(Tokens{1, 2, 3}, 2).entry == nullptr);
  put(store, {1, 9, 9}, 3);
  CHECK(store.find(Tokens{1, 2, 3}, 2).entry == nullptr);
  put(store, {1, 2, 9}, 3);
  const PrefixStore::Match match = store.find(Tokens{1, 2, 3}, 2);
  CHECK(match.length == 2);
  CHECK(match.entry->key.tokens == Tokens{1, 2, 9});
  CHECK(store.parts_of(Tokens{1, 2, 3}, 2).size() == 1);
  CHECK(store.parts_of(Tokens{1, 2, 3}, 1).empty());
  CHECK(store.parts_of(Tokens{1, 3}, 2).empty());
  CHECK(store.size() == 3);
  store.touch_parts(Tokens{1, 2});
  CHECK(store.next_for_disk() == nullptr);
}

TEST_CASE("store: offers the disk each entry that may serve others, once") {
  PrefixStore store(10000);
  put(store, {1, 1});
  put(store, {2, 2});
  put(store, {3, 3});
  CHECK(store.next_for_disk() == nullptr);
  const auto offered_is = [&](const Tokens& tokens) {
    const PrefixStore::Entry* const entry = store.next_for_disk();
    return entry != nullptr && entry->key.tokens == tokens;
  };
  store.touch(*store.find(Tokens{3, 3}, 2).entry);
  store.touch(*store.find(Tokens{1, 1}, 2).entry);
  CHECK(offered_is({3, 3}));
  CHECK(offered_is({1, 1}));
  CHECK(store.next_for_disk() == nullptr);
  store.touch(*store.find(Tokens{3, 3}, 2).entry);
  CHECK(store.next_for_disk() == nullptr);
  store.insert({Tokens{4, 4}, blob_of({4, 4}, 2), true});
  CHECK(offered_is({4, 4}));
}

// The same rules over a plain list, the most recently used first.
struct SlowStore {
  struct Entry {
    Tokens tokens;
    Position floor = 0;
    std::size_t bytes = 0;
  };
  std::size_t budget = 0;
  std::vector<Entry> entries;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const Entry& entry : entries) sum += entry.bytes;
    return sum;
  }
  void insert(const Entry& entry) {
    if (entry.bytes > budget) return;
    std::erase_if(entries, [&](const Entry& old) {
      return static_cast<Position>(old.tokens.size()) >= entry.floor &&
             old.tokens.size() <= entry.tokens.size() &&
             std::equal(old.tokens.begin(), old.tokens.end(), entry.tokens.begin());
    });
    entries.insert(entries.begin(), entry);
    while (bytes() > budget) entries.pop_back();
  }
  Position find(const Tokens& prompt, Position limit) const {
    Position best = 0;
    for (const Entry& entry : entries) {
      Position length = 0;
      while (length < limit && length < static_cast<Position>(entry.tokens.size()) &&
             entry.tokens[static_cast<std::size_t>(length)] ==
                 prompt[static_cast<std::size_t>(length)]) {
        ++length;
      }
      if (length >= entry.floor) best = std::max(best, length);
    }
    return best;
  }
};

TEST_CASE("store: any history leaves what a plain list with the same rules would hold") {
  for_random_cases(300, [](Random& random) {
    const auto budget = static_cast<std::size_t>(random.between(0, 1500));
    PrefixStore store(budget);
    SlowStore slow{budget, {}};
    bool equal = true;
    for (int step = 0; step < 60; ++step) {
      Tokens tokens;
      for (int i = random.between(1, 8); i > 0; --i) tokens.push_back(random.below(2));
      const auto length = static_cast<Position>(tokens.size());
      if (random.chance(50)) {
        const Position floor = random.chance(50) ? 0 : random.between(0, length);
        const auto size = static_cast<std::size_t>(random.between(1, 400));
        put(store, tokens, floor, size);
        slow.insert({tokens, floor, size + tokens.size() * sizeof(Token)});
      } else {
        const Position limit = random.between(0, length);
        const PrefixStore::Match match = store.find(tokens, limit);
        equal = equal && match.length == slow.find(tokens, limit);
        if (match.entry && random.chance(50)) {
          const auto used =
              std::ranges::find(slow.entries, match.entry->key.tokens, &SlowStore::Entry::tokens);
          std::rotate(slow.entries.begin(), used, used + 1);
          store.touch(*match.entry);
        }
      }
      equal = equal && store.bytes() == slow.bytes() && store.size() == slow.entries.size();
      equal = equal && store.bytes() <= budget;
    }
    CHECK(equal);
  });
}

}  // namespace
}  // namespace llmlocal::testing
