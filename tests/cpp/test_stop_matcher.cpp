#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/stop_matcher.h"
#include "property.h"
#include "slow_text.h"

namespace llmlocal::testing {
namespace {

std::string random_text(Random& random, int least, int most) {
  std::string text;
  for (int length = random.between(least, most); length > 0; --length) {
    text += static_cast<char>('a' + random.below(2));
  }
  return text;
}

std::vector<std::string> random_stops(Random& random) {
  std::vector<std::string> stops;
  for (int count = random.below(4); count > 0; --count) {
    stops.push_back(random_text(random, 1, 6));
  }
  return stops;
}

TEST_CASE("stop: any text in any pieces gives what a search of the whole text gives") {
  for_random_cases(3000, [](Random& random) {
    const std::vector<std::string> stops = random_stops(random);
    const std::string text = random_text(random, 0, 40);
    StopMatcher matcher(stops);
    std::string released;
    std::optional<std::string> match;
    for (const std::string& piece : random.cut(text)) {
      StopMatcher::Result result = matcher.push(piece);
      released += result.text;
      match = std::move(result.match);
      if (match) break;
    }
    if (!match) released += matcher.flush();
    const SlowStop expected = slow_stop(text, stops);
    CHECK(match == expected.match);
    CHECK(released == expected.text);
  });
}

TEST_CASE("stop: what is held back is the longest end that may become a stop string, no more") {
  for_random_cases(3000, [](Random& random) {
    const std::vector<std::string> stops = random_stops(random);
    const std::string text = random_text(random, 0, 40);
    StopMatcher matcher(stops);
    std::string seen;
    std::string released;
    bool exact = true;
    for (const std::string& piece : random.cut(text)) {
      const StopMatcher::Result result = matcher.push(piece);
      if (result.match) break;
      seen += piece;
      released += result.text;
      exact = exact && seen.size() - released.size() == slow_held_back(seen, stops);
    }
    CHECK(exact);
  });
}

TEST_CASE("stop: the match that is complete first wins, even if another began earlier") {
  StopMatcher matcher({"bcde", "cd"});
  const StopMatcher::Result result = matcher.push("abcde");
  CHECK(result.match == "cd");
  CHECK(result.text == "ab");
}

TEST_CASE("stop: of two matches with the same end the longer one wins, in either order") {
  CHECK(StopMatcher({"b", "ab"}).push("xab").match == "ab");
  CHECK(StopMatcher({"ab", "b"}).push("xab").match == "ab");
}

TEST_CASE("stop: a partial match that fails is text after all") {
  StopMatcher matcher({"</s>"});
  CHECK(matcher.push("a</").text == "a");
  CHECK(matcher.push("sup>").text == "</sup>");
  CHECK(matcher.push("<").text.empty());
  CHECK(matcher.flush() == "<");
  CHECK(matcher.flush().empty());
}

TEST_CASE("stop: without stop strings all text passes at once") {
  StopMatcher matcher({});
  CHECK(matcher.push("anything").text == "anything");
  CHECK(matcher.flush().empty());
}

TEST_CASE("stop: stop strings may hold any bytes") {
  const std::string zero("\0\xFF", 2);
  StopMatcher matcher({zero});
  CHECK(matcher.push(std::string("a\0", 2)).text == "a");
  CHECK(matcher.push("\xFF").match == zero);
}

TEST_CASE("stop: a byte of text takes no longer for a hundred thousand strings") {
  std::vector<std::string> stops;
  for (int i = 0; i < 100'000; ++i) stops.push_back("stop " + std::to_string(i) + "!");
  stops.emplace_back("");
  stops.push_back(stops.front());
  StopMatcher matcher(stops);
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "stop 9999";
  StopMatcher::Result result = matcher.push(text);
  CHECK_FALSE(result.match);
  CHECK(result.text.size() == text.size() - std::string("stop 9999").size());
  result = matcher.push("7!");
  CHECK(result.match == "stop 99997!");
  CHECK(result.text.empty());
}

TEST_CASE("stop: one of a million bytes that falls back all the time") {
  const std::string stop = std::string(1'000'000, 'a') + "b";
  StopMatcher matcher(std::vector<std::string>{stop});
  const std::string text = std::string(2'000'000, 'a') + "c";
  CHECK(matcher.push(text).text == text);
  CHECK(matcher.push(stop).match == stop);
}

TEST_CASE("stop: there is a limit to all of them together") {
  const std::vector<std::string> stops(17, std::string(std::size_t{1} << 20U, 'a'));
  CHECK_THROWS_AS(StopStrings{stops}, ParameterError);
}

}  // namespace
}  // namespace llmlocal::testing
