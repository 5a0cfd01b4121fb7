#include <doctest/doctest.h>

#include "base/errors.h"
#include "base/fuse.h"

namespace llmlocal {
namespace {

TEST_CASE("fuse: what has aborted is not called again, and each call says why") {
  Fuse fuse;
  int calls = 0;
  const auto abort = [&]() -> int {
    ++calls;
    throw AbortError("x != y");
  };
  CHECK_THROWS_WITH_AS(fuse.run(abort), "x != y", AbortError);
  for (int i = 0; i < 2; ++i) {
    CHECK_THROWS_WITH_AS(
        fuse.run(abort), "x != y; close this model and load it again", EngineError);
  }
  CHECK(calls == 1);
}

TEST_CASE("fuse: other failures leave it whole") {
  Fuse fuse;
  const auto fail = [] { throw EngineError("no room"); };
  CHECK_THROWS_WITH_AS(fuse.run(fail), "no room", EngineError);
  CHECK_THROWS_WITH_AS(fuse.run(fail), "no room", EngineError);
  CHECK(fuse.run([] { return 3; }) == 3);
}

}  // namespace
}  // namespace llmlocal
