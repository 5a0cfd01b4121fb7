#include <doctest/doctest.h>

#include <ctime>
#include <utility>

#include "engine/streams/prefix_file.h"
#include "engine/streams/prefix_files.h"
#include "engine/streams/prefix_writer.h"
#include "fake_folder.h"
#include "prefix_states.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

struct Shelf {
  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  std::vector<std::string> log;

  PrefixFiles open(std::string identity = "model a", std::uint64_t most_bytes = 1 << 20) {
    disk->now_s = static_cast<std::int64_t>(std::time(nullptr));
    return PrefixFiles(std::make_unique<FakeFolder>(disk),
                       {.identity = std::move(identity),
                        .most_bytes = most_bytes,
                        .most_age = std::chrono::hours(24),
                        .log = [this](const std::string& line) { log.push_back(line); }});
  }
};

TEST_CASE("prefix files: another process finds what one wrote") {
  Shelf shelf;
  const Tokens text = counting(1, 100);
  CHECK(shelf.open().write(text, state_of(text)));
  PrefixFiles other = shelf.open();
  CHECK(adopted(other, text, text) == 100);
  Tokens parted(text.begin(), text.begin() + 60);
  parted.push_back(7);
  CHECK(adopted(other, parted, text) == 60);
  CHECK(adopted(other, counting(2, 50), text) == 0);
  CHECK(shelf.log.empty());
}

TEST_CASE("prefix files: one that was opened before finds it, too") {
  Shelf shelf;
  const Tokens text = counting(1, 100);
  PrefixFiles reader = shelf.open();
  CHECK(adopted(reader, text, text) == 0);
  shelf.open().write(text, state_of(text));
  CHECK(adopted(reader, text, text) == 100);
}

TEST_CASE("prefix files: what is of another model, or can't be cut back, is not adopted") {
  Shelf shelf;
  const Tokens text = counting(1, 100);
  shelf.open("model a").write(text, state_of(text, 100));
  PrefixFiles other = shelf.open("model b");
  CHECK(adopted(other, text, text) == 0);
  PrefixFiles same = shelf.open("model a");
  CHECK(same.find(counting(1, 99), 99).length == 0);
  CHECK(same.find(counting(1, 120), 119).length == 100);
}

TEST_CASE("prefix files: a longer one takes the place of what it covers") {
  Shelf shelf;
  PrefixFiles files = shelf.open();
  files.write(counting(1, 50), state_of(counting(1, 50)));
  files.write(counting(1, 80), state_of(counting(1, 80)));
  CHECK(shelf.disk->files.size() == 1);
  CHECK(files.covered(counting(1, 80)) == 80);
  // A state that stands for all of its tokens or for none covers nothing.
  files.write(counting(1, 90), state_of(counting(1, 90), 90));
  CHECK(shelf.disk->files.size() == 2);
}

TEST_CASE("prefix files: the least recently used goes first, whoever used it") {
  Shelf shelf;
  const Tokens a = counting(1, 100);
  const Tokens b = counting(1000, 100);
  const Tokens c = counting(2000, 100);
  const std::uint64_t two = 2 * (100 * kBytesPerToken + 600);
  PrefixFiles files = shelf.open("model", two);
  files.write(a, state_of(a));
  files.write(b, state_of(b));
  for (auto& [name, file] : shelf.disk->files) file.used_s -= 100;
  PrefixFiles other = shelf.open("model", two);
  CHECK(adopted(other, a, a) == 100);
  files.write(c, state_of(c));
  CHECK(adopted(files, a, a) == 100);
  CHECK(adopted(files, b, b) == 0);
  CHECK(adopted(files, c, c) == 100);
  CHECK(shelf.log.empty());
}

TEST_CASE("prefix files: the one that was used last is known, and the longest of several") {
  Shelf shelf;
  PrefixFiles files = shelf.open();
  CHECK(files.latest().length == 0);
  const Tokens first = counting(1, 200);
  const Tokens second = counting(5000, 100);
  CHECK(files.write(first, state_of(first)));
  CHECK(files.write(second, state_of(second)));
  CHECK(files.latest().length == 200);
  ++shelf.disk->now_s;
  CHECK(adopted(files, second, second) == 100);
  CHECK(files.latest().length == 100);
  CHECK(files.latest().bytes > 100 * kBytesPerToken);
  CHECK(shelf.open("model b").latest().length == 0);
}

TEST_CASE("prefix files: what is too old goes, and what is not ours stays") {
  Shelf shelf;
  PrefixFiles files = shelf.open();
  files.write(counting(1, 100), state_of(counting(1, 100)));
  for (auto& [name, file] : shelf.disk->files) file.used_s -= 25 * 60 * 60;
  shelf.disk->files["letter.txt"];
  shelf.disk->files["left-behind.part"];
  files.write(counting(500, 100), state_of(counting(500, 100)));
  CHECK(shelf.disk->files.size() == 2);
  CHECK(shelf.disk->files.contains("letter.txt"));
}

TEST_CASE("prefix files: one too large for the folder or the disk is not kept") {
  Shelf shelf;
  const Tokens text = counting(1, 100);
  PrefixFiles small = shelf.open("model", 1000);
  CHECK(!small.write(text, state_of(text)));
  PrefixFiles files = shelf.open();
  shelf.disk->free_bytes = 1000;
  CHECK(!files.write(text, state_of(text)));
  CHECK(shelf.disk->files.empty());
  CHECK(shelf.log.size() == 2);
}

TEST_CASE("prefix files: a damaged byte anywhere costs that entry only") {
  for_random_cases(1000, [](Random& random) {
    Shelf shelf;
    const Tokens text = counting(1, 40);
    const Tokens other = counting(100, 40);
    {
      PrefixFiles files = shelf.open();
      files.write(text, state_of(text));
      files.write(other, state_of(other));
    }
    auto& bytes = shelf.disk->files.at(prefix_file_name("model a", text)).bytes;
    const auto place = static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())));
    const int kind = random.below(3);
    if (kind == 0) {
      bytes[place] ^= static_cast<std::byte>(random.between(1, 255));
    } else if (kind == 1) {
      bytes.resize(place);
    } else {
      bytes.resize(bytes.size() + 1 + place);
    }
    PrefixFiles files = shelf.open();
    CHECK(adopted(files, text, text) == 0);
    CHECK(adopted(files, other, other) == 40);
    CHECK(shelf.log.size() == 1);
    CHECK(adopted(files, text, text) == 0);
    CHECK(shelf.log.size() == 1);
  });
}

TEST_CASE("prefix files: nothing in a file of our name is taken on trust") {
  for_random_cases(300, [](Random& random) {
    Shelf shelf;
    const Tokens text = counting(1, 40);
    auto& file = shelf.disk->files[prefix_file_name("model a", text)];
    file.bytes.resize(static_cast<std::size_t>(random.below(400)));
    for (std::byte& byte : file.bytes) byte = static_cast<std::byte>(random.below(256));
    PrefixFiles files = shelf.open();
    CHECK(adopted(files, text, text) == 0);
  });
}

TEST_CASE("prefix files: one that has the name of another is not adopted") {
  Shelf shelf;
  const Tokens text = counting(1, 40);
  const Tokens other = counting(100, 40);
  shelf.open().write(text, state_of(text));
  auto file = shelf.disk->files.extract(prefix_file_name("model a", text));
  file.key() = prefix_file_name("model a", other);
  shelf.disk->files.insert(std::move(file));
  PrefixFiles files = shelf.open();
  CHECK(adopted(files, text, text) == 0);
  CHECK(shelf.log.size() == 1);
}

// Writes some, with a fault at each operation in turn; then all is read again.
void harm_each_operation(FakeDisk::Harm harm) {
  const Tokens old = counting(1, 30);
  const Tokens longer = counting(1, 60);
  const Tokens other = counting(500, 40);
  for (int at = 0; at < 60; ++at) {
    Shelf shelf;
    shelf.disk->harm = harm;
    shelf.open().write(old, state_of(old));
    shelf.disk->operations = 0;
    shelf.disk->fails_at = at;
    bool wrote = false;
    try {
      PrefixFiles files = shelf.open();
      files.load(files.find(old, 30), old);
      wrote = files.write(longer, state_of(longer));
      files.write(other, state_of(other));
      files.load(files.find(longer, 60), longer);
    } catch (const PowerCut&) {
      shelf.disk->restart(static_cast<std::size_t>(at % 11));
    }
    shelf.disk->fails_at = -1;
    PrefixFiles files = shelf.open();
    // The old one is covered by the longer one, or still there.
    const PrefixFiles::Match match = files.find(old, 30);
    if (wrote) CHECK(match.length == 30);
    for (const Tokens* text : {&old, &longer, &other}) {
      const auto whole = static_cast<Position>(text->size());
      const PrefixFiles::Match found = files.find(*text, whole);
      if (found.length == 0) continue;
      const auto blob = files.load(found, *text);
      if (!blob) continue;
      const Tokens& written = blob->length == 60 ? longer : blob->length == 30 ? old : other;
      CHECK(is_state_of(*blob, written));
    }
    // And it goes on.
    CHECK(files.write(other, state_of(other)));
    CHECK(adopted(files, other, other) == 40);
  }
}

TEST_CASE("prefix files: a fault at any operation costs an entry at most") {
  harm_each_operation(FakeDisk::Harm::kError);
}

TEST_CASE("prefix files: a power cut at any operation leaves nothing wrong behind") {
  harm_each_operation(FakeDisk::Harm::kPowerCut);
}

TEST_CASE("prefix writer: writes what it took before it ends") {
  Shelf shelf;
  const std::shared_ptr<PrefixFiles> files(new PrefixFiles(shelf.open()));  // NOLINT
  const Tokens a = counting(1, 50);
  const Tokens b = counting(500, 50);
  {
    PrefixWriter writer(files);
    writer.take(a, state_of(a));
    writer.take(b, state_of(b));
    writer.wait_for_place();
    CHECK(writer.has_place());
  }
  CHECK(adopted(*files, a, a) == 50);
  CHECK(adopted(*files, b, b) == 50);
}

}  // namespace
}  // namespace llmlocal::testing
