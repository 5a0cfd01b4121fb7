// What is known of a folder's files, against a plain list of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/streams/prefix_file.h"
#include "engine/streams/prefix_index.h"
#include "engine/streams/stream_choice.h"
#include "failing_new.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

PrefixEntry entry_of(const Tokens& tokens, Position floor = 0) {
  PrefixEntry entry{tokens, {}};
  entry.blob.length = static_cast<Position>(tokens.size());
  entry.blob.floor = floor;
  return entry;
}

std::string name_of(const Tokens& tokens) {
  return prefix_file_name("a model", tokens);
}

Tokens few_tokens(Random& random) {
  Tokens tokens;
  for (int i = random.between(1, 6); i > 0; --i) tokens.push_back(random.below(2));
  return tokens;
}

class IndexAndList {
 public:
  void add(const Tokens& tokens, Position floor) {
    index_.add(entry_of(tokens, floor));
    list_[name_of(tokens)] = entry_of(tokens, floor);
  }
  void reject(const Tokens& tokens) {
    index_.reject(name_of(tokens));
    list_[name_of(tokens)].reset();
  }
  void keep_only(const std::set<std::string>& names) {
    index_.keep_only(names);
    std::erase_if(list_, [&](const auto& each) { return !names.contains(each.first); });
  }
  void reject_covered_by(const Tokens& tokens) {
    std::set<std::string> covered;
    for (auto& [name, entry] : list_) {
      if (name == name_of(tokens) || !entry || !list_.at(name_of(tokens))) continue;
      const auto length = static_cast<Position>(entry->key.size());
      const Position floor = list_.at(name_of(tokens))->blob.floor;
      if (floor > length || common_prefix(entry->key, tokens) < length) continue;
      covered.insert(name);
      entry.reset();
    }
    const std::vector<std::string> rejected = index_.reject_covered_by(tokens);
    CHECK(std::set(rejected.begin(), rejected.end()) == covered);
  }
  const std::map<std::string, std::optional<PrefixEntry>>& list() const { return list_; }

  void check(const Tokens& prompt, Position limit) const {
    Position best = 0;
    std::size_t adoptable = 0;
    for (const auto& [name, entry] : list_) {
      CHECK(index_.knows(name));
      CHECK(index_.length_of(name) == (entry ? entry->blob.length : 0));
      if (!entry) continue;
      ++adoptable;
      best = std::max(best, usable_prefix(entry->key, entry->blob.floor, {prompt, limit}));
    }
    CHECK(index_.find(prompt, limit).length == best);
    CHECK(index_.count_adoptable() == adoptable);
    CHECK(index_.knows(name_of(prompt)) == list_.contains(name_of(prompt)));
  }

 private:
  PrefixIndex index_{"a model"};
  std::map<std::string, std::optional<PrefixEntry>> list_;
};

TEST_CASE("index: any history finds what a walk through all files does") {
  for_random_cases(60, [](Random& random) {
    IndexAndList both;
    for (int step = 0; step < 40; ++step) {
      const Tokens tokens = few_tokens(random);
      const auto length = static_cast<Position>(tokens.size());
      if (random.chance(60)) {
        both.add(tokens, random.pick<Position>({0, random.between(0, length), length}));
        if (random.chance(30)) both.reject_covered_by(tokens);
      } else if (random.chance(50)) {
        both.reject(tokens);
      } else {
        std::set<std::string> names;
        for (const auto& [name, entry] : both.list()) {
          if (random.chance(70)) names.insert(name);
        }
        both.keep_only(names);
      }
      both.check(few_tokens(random), random.between(0, 6));
    }
  });
}

TEST_CASE("index: a file that there is no memory for is not adopted, and harms no other") {
  bool failed = true;
  for (int allocations = 0; failed; ++allocations) {
    PrefixIndex index("a model");
    index.add(entry_of({1, 2, 3}));
    PrefixEntry entry = entry_of({1, 2, 4});
    failed = runs_out_of_memory(allocations, [&] { index.add(std::move(entry)); });
    CHECK(index.find(Tokens{1, 2, 4, 5}, 4).length == (failed ? 2 : 3));
    CHECK(index.find(Tokens{1, 2, 3, 5}, 4).length == 3);
  }
}

// Conversations over one system prompt, which part at its end or a little later.
std::clock_t time_of_lookups(std::size_t files) {
  const Tokens system(500, 7);
  const auto text_of = [&](std::size_t i) {
    Tokens text = system;
    for (; i > 0; i /= 10) text.push_back(static_cast<Token>(i % 10));
    text.insert(text.end(), 20, 11);
    return text;
  };
  PrefixIndex index("a model");
  for (std::size_t i = 0; i < files; ++i) index.add(entry_of(text_of(i)));
  const std::clock_t start = std::clock();
  for (std::size_t i = 0; i < 300; ++i) {
    const Tokens text = text_of(i % files);
    CHECK(index.find(text, 1000).length == static_cast<Position>(text.size()));
  }
  return std::clock() - start;
}

TEST_CASE("index: a lookup among thousands of files takes what one among a few does") {
  CHECK(time_of_lookups(2000) < 10 * time_of_lookups(20));  // A walk would take 100 times as long.
}

}  // namespace
}  // namespace llmlocal::testing
