// The tree of texts, against a walk through all of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <list>
#include <utility>
#include <vector>

#include "engine/streams/prefix_tree.h"
#include "engine/streams/stream_choice.h"
#include "engine_fixture.h"
#include "failing_new.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

PrefixEntry entry_of(PrefixKey key, Position floor = 0) {
  PrefixEntry entry{std::move(key), {}};
  entry.blob.length = static_cast<Position>(entry.key.size());
  entry.blob.floor = floor;
  return entry;
}

PrefixEntry part_of(PrefixKey key) {
  const auto length = static_cast<Position>(key.size());
  PrefixEntry part = entry_of(std::move(key), length);
  part.is_part = true;
  return part;
}

// Few different ones, so that many begin alike; some with images or adapters.
PrefixKey random_key(Random& random) {
  PrefixKey key;
  key.adapters = random.chance(20) ? 1 : kNoAdapters;
  for (int i = random.between(1, 8); i > 0; --i) {
    if (random.chance(80)) {
      key.tokens.push_back(random.below(2));
      continue;
    }
    const auto cells = static_cast<Position>(random.between(1, 3));
    const auto hash = static_cast<std::uint64_t>(random.below(2));
    key.pieces.push_back({static_cast<Position>(key.size()), cells, hash});
    key.tokens.insert(key.tokens.end(), static_cast<std::size_t>(cells), kNoToken);
  }
  return key;
}

// Both hold the same entries.
class TreeAndList {
 public:
  void insert(const PrefixEntry& entry) {
    entries_.reserve(entries_.size() + 1);
    const PrefixEntry* const replaced = tree_.insert(entry);
    const bool was_there = std::erase(entries_, replaced) > 0;
    REQUIRE(was_there == (replaced != nullptr));
    REQUIRE(std::ranges::none_of(entries_,
                                 [&](const PrefixEntry* each) { return is_same(*each, entry); }));
    entries_.push_back(&entry);
  }
  void erase(const PrefixEntry& entry) {
    tree_.erase(entry);
    std::erase(entries_, &entry);
  }
  const std::vector<const PrefixEntry*>& entries() const { return entries_; }

  bool agree(const PrefixView& text, Position limit) const {
    std::vector<StateBlob> parts;
    Position common = 0;
    for (const PrefixEntry* each : entries_) {
      const Position same = common_prefix(each->key, text);
      if (each->is_part && same == each->blob.length && same <= limit) parts.push_back(each->blob);
      common = std::max(common, same);
    }
    std::ranges::sort(parts, {}, &StateBlob::length);
    if (tree_.common(text) != common || !is_same(tree_.parts_of(text, limit), parts)) return false;

    const auto usable = [&](const PrefixEntry& entry) {
      return entry.is_part ? 0 : usable_prefix(entry.key, entry.blob.floor, {text, limit, parts});
    };
    const PrefixTree::Match match = tree_.find(text, limit);
    if (match.entry != nullptr && usable(*match.entry) != match.length) return false;
    return std::ranges::all_of(entries_, [&](const PrefixEntry* each) {
      const Position other = usable(*each);
      return other < match.length || other == 0 ||
             (other == match.length && rank(*match.entry) <= rank(*each));
    });
  }

  bool agree_within(const PrefixEntry& entry) const {
    const PrefixEntry* longest = nullptr;
    for (const PrefixEntry* each : entries_) {
      const Position cells = each->blob.length;
      const bool is_within = each != &entry && !each->is_part && !entry.is_part &&
                             cells >= entry.blob.floor &&
                             common_prefix(each->key, entry.key) == cells;
      if (is_within && (!longest || cells > longest->blob.length)) longest = each;
    }
    return tree_.longest_within(entry) == longest;
  }

 private:
  static std::pair<Position, std::size_t> rank(const PrefixEntry& entry) {
    return {entry.blob.floor, entry.key.size()};
  }
  static bool is_same(const PrefixEntry& a, const PrefixEntry& b) {
    return a.is_part == b.is_part && a.blob.length == b.blob.length &&
           common_prefix(a.key, b.key) == a.blob.length;
  }
  static bool is_same(const std::vector<const PrefixEntry*>& a, const std::vector<StateBlob>& b) {
    return std::ranges::equal(
        a, b, {}, [](const PrefixEntry* each) { return each->blob.length; }, &StateBlob::length);
  }

  PrefixTree tree_;
  std::vector<const PrefixEntry*> entries_;
};

TEST_CASE("tree: any history finds what a walk through all entries does") {
  for_random_cases(300, [](Random& random) {
    std::list<PrefixEntry> made;
    TreeAndList both;
    bool agree = true;
    for (int step = 0; step < 60; ++step) {
      const PrefixKey key = random_key(random);
      const auto length = static_cast<Position>(key.size());
      if (random.chance(60)) {
        const Position floor = random.pick<Position>({0, random.between(0, length), length});
        made.push_back(random.chance(40) ? part_of(key) : entry_of(key, floor));
        both.insert(made.back());
        agree = agree && both.agree_within(made.back());
      } else if (!both.entries().empty() && random.chance(50)) {
        both.erase(*random.pick(both.entries()));
      }
      agree = agree && both.agree(key, random.between(0, length));
      agree = agree && both.agree(random_key(random), 100);
    }
    while (!both.entries().empty()) both.erase(*random.pick(both.entries()));
    agree = agree && both.agree(random_key(random), 100);
    CHECK(agree);
  });
}

TEST_CASE("tree: of several that serve as well it finds the shortest") {
  PrefixTree tree;
  std::list<PrefixEntry> made;
  for (const Tokens& tokens : {Tokens{1, 2, 3, 4}, Tokens{1, 2, 4}, Tokens{1, 2, 5, 6, 7}}) {
    tree.insert(made.emplace_back(entry_of(tokens)));
  }
  CHECK(tree.find(Tokens{1, 2, 9}, 3).entry->key.tokens == Tokens{1, 2, 4});
  CHECK(tree.find(Tokens{1, 2, 3, 9}, 4).entry->key.tokens == Tokens{1, 2, 3, 4});
}

TEST_CASE("tree: an entry that there is no memory for changes nothing") {
  const std::vector<Tokens> texts = {{1, 2, 3, 4}, {1, 2, 5}, {7}};
  // One that goes on after another, one that ends inside, one that parts there, a new one, an old.
  const std::vector<Tokens> all_more = {{1, 2, 3, 4, 5}, {1}, {1, 2, 3, 9}, {8}, {7}};
  for (const Tokens& more : all_more) {
    bool failed = true;
    for (int allocations = 0; failed; ++allocations) {
      std::list<PrefixEntry> made;
      TreeAndList both;
      for (const Tokens& text : texts) both.insert(made.emplace_back(entry_of(text)));
      const PrefixEntry entry = entry_of(more);
      failed = runs_out_of_memory(allocations, [&] { both.insert(entry); });
      for (const Tokens& text : texts) CHECK(both.agree(text, 100));
      CHECK(both.agree(more, 100));
      if (failed) both.insert(entry);
      CHECK(both.agree(more, 100));
    }
  }
}

}  // namespace
}  // namespace llmlocal::testing
