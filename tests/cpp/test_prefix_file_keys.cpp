// On disk, too, a state is for its own text and adapters only.
#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/streams/prefix_file.h"
#include "engine/streams/prefix_files.h"
#include "fake_folder.h"

namespace llmlocal::testing {
namespace {

PrefixKey with_image(std::uint64_t content, AdapterSet adapters) {
  Tokens tokens(60, 3);
  tokens.insert(tokens.end(), 8, kNoToken);
  return {std::move(tokens), {{60, 8, content}}, adapters};
}

StateBlob state_of(const PrefixKey& key) {
  StateBlob blob;
  blob.size = 100;
  blob.data = std::make_unique<std::byte[]>(blob.size);
  blob.length = static_cast<Position>(key.size());
  return blob;
}

PrefixFiles open(const std::shared_ptr<FakeDisk>& disk) {
  disk->now_s = static_cast<std::int64_t>(std::time(nullptr));
  return PrefixFiles(std::make_unique<FakeFolder>(disk),
                     {.identity = "a model",
                      .most_bytes = 1 << 20,
                      .most_age = std::chrono::hours(24),
                      .log = [](const std::string& line) { FAIL_CHECK(line); }});
}

TEST_CASE("file keys: an entry is read with all that its key has") {
  const PrefixKey key = with_image(5, 7);
  const std::vector<std::byte> bytes = encode_entry("a model", {key, state_of(key)});
  const std::optional<PrefixStore::Entry> entry = decode_entry("a model", bytes);
  REQUIRE(entry);
  CHECK(entry->key.tokens == key.tokens);
  CHECK(entry->key.pieces == key.pieces);
  CHECK(entry->key.adapters == 7);
}

TEST_CASE("file keys: a changed byte of a piece or of the adapters is noticed") {
  const PrefixKey key = with_image(5, 7);
  const std::vector<std::byte> whole = encode_entry("a model", {key, state_of(key)});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::vector<std::byte> bytes = whole;
    bytes[i] ^= std::byte{1};
    CHECK_FALSE(decode_entry("a model", bytes).has_value());
  }
}

TEST_CASE("file keys: pieces that no text can have are not read, whatever their checksum") {
  const std::vector<std::vector<Piece>> wrong = {
      {{60, 9, 5}}, {{-1, 8, 5}}, {{60, 0, 5}}, {{60, 5, 5}, {64, 4, 5}}, {{64, 4, 5}, {60, 4, 5}}};
  for (const std::vector<Piece>& pieces : wrong) {
    PrefixKey key = with_image(5, 7);
    key.pieces = pieces;
    CHECK_FALSE(decode_entry("a model", encode_entry("a model", {key, state_of(key)})));
  }
}

TEST_CASE("file keys: texts that differ in an image or an adapter have files of their own") {
  const auto disk = std::make_shared<FakeDisk>();
  PrefixFiles files = open(disk);
  const std::vector<PrefixKey> keys = {with_image(5, 0), with_image(6, 0), with_image(5, 1)};
  for (const PrefixKey& key : keys) CHECK(files.write(key, state_of(key)));
  CHECK(disk->files.size() == 3);
  PrefixFiles others = open(disk);
  for (const PrefixKey& key : keys) {
    CHECK(files.covered(key) == 68);
    CHECK(others.load(others.find(key, 68), key).has_value());
  }
  CHECK(others.covered(with_image(7, 0)) == 60);
  CHECK(others.covered(with_image(5, 2)) == 0);
}

}  // namespace
}  // namespace llmlocal::testing
