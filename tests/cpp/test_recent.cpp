#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/steps/recent.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("recent: it holds the last values, and knows their median") {
  for_random_cases(200, [](Random& random) {
    Recent<int, 5> recent;
    std::vector<int> all;
    CHECK(recent.size() == 0);
    for (int n = random.between(1, 20); n > 0; --n) {
      all.push_back(random.below(100));
      recent.push(all.back());
      std::vector<int> last(
          all.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(all.size(), 5)), all.end());
      std::ranges::sort(last);
      std::vector<int> held(recent.values().begin(), recent.values().end());
      std::ranges::sort(held);
      CHECK(held == last);
      CHECK(recent.median() == last[last.size() / 2]);
    }
    recent.clear();
    CHECK(recent.size() == 0);
  });
}

}  // namespace
}  // namespace llmlocal::testing
