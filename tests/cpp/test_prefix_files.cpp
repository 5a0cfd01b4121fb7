#include <doctest/doctest.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <utility>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#endif

#include "base/checksum.h"
#include "engine/streams/prefix_file.h"
#include "engine/streams/prefix_files.h"
#include "engine/streams/prefix_writer.h"
#include "fake_folder.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

constexpr std::size_t kBytesPerToken = 40;

Tokens counting(Token first, std::size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Made of nothing but its tokens, so that a wrong one shows.
StateBlob state_of(const Tokens& tokens, Position floor = 0) {
  StateBlob blob;
  blob.size = tokens.size() * kBytesPerToken;
  auto bytes = std::make_unique<std::byte[]>(blob.size);
  for (std::size_t i = 0; i < blob.size; ++i) {
    bytes[i] = static_cast<std::byte>(tokens[i / kBytesPerToken] * 31 + static_cast<Token>(i));
  }
  blob.data = std::move(bytes);
  blob.length = static_cast<Position>(tokens.size());
  blob.floor = floor;
  return blob;
}

bool is_state_of(const StateBlob& blob, const Tokens& tokens) {
  const StateBlob expected = state_of(tokens);
  return blob.size == expected.size && blob.length == expected.length &&
         std::memcmp(blob.data.get(), expected.data.get(), blob.size) == 0;
}

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

// What is found for the prompt is what was written for its tokens, or nothing.
Position adopted(PrefixFiles& files, const Tokens& prompt, const Tokens& written) {
  files.refresh();
  const PrefixFiles::Match match = files.find(prompt, static_cast<Position>(prompt.size()));
  if (match.length == 0) return 0;
  const auto blob = files.load(match, prompt);
  if (!blob) return 0;
  CHECK(is_state_of(*blob, written));
  return match.length;
}

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

TEST_CASE("checksum: a word that changed is noticed wherever it is") {
  for_random_cases(200, [](Random& random) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(random.between(1, 200)));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
    const std::uint64_t sum = checksum(bytes);
    std::vector<std::byte> changed = bytes;
    changed[static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())))] ^=
        static_cast<std::byte>(random.between(1, 255));
    CHECK(checksum(changed) != sum);
    bytes.push_back(std::byte{0});
    CHECK(checksum(bytes) != sum);
  });
}

#ifndef _WIN32
// A folder on a real disk, of the test's own.
class RealFolder {
 public:
  RealFolder() { std::filesystem::create_directory(path_); }
  ~RealFolder() { std::filesystem::remove_all(path_); }
  RealFolder(const RealFolder&) = delete;
  RealFolder& operator=(const RealFolder&) = delete;
  std::filesystem::path path() const { return path_; }
  PrefixFiles open() const {
    return PrefixFiles(open_private_folder(path_ / "cache"),
                       {.identity = "m", .most_bytes = 4 << 20, .most_age = std::chrono::hours(1)});
  }

 private:
  std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                ("llmlocal-prefix-" + std::to_string(std::random_device{}()));
};

unsigned mode_of(const std::filesystem::path& path) {
  return static_cast<unsigned>(std::filesystem::status(path).permissions());
}

TEST_CASE("private folder: only its user can look into it, and links are not followed") {
  const RealFolder real;
  PrefixFiles files = real.open();
  const Tokens text = counting(1, 100);
  CHECK(files.write(text, state_of(text)));
  CHECK(mode_of(real.path() / "cache") == 0700);
  const auto file = std::filesystem::directory_iterator(real.path() / "cache")->path();
  CHECK(mode_of(file) == 0600);
  CHECK(adopted(files, text, text) == 100);

  std::filesystem::create_directory_symlink(real.path() / "cache", real.path() / "link");
  CHECK_THROWS_AS(open_private_folder(real.path() / "link"), FileError);
  // A link in the place of an entry is none.
  std::filesystem::rename(file, real.path() / "elsewhere");
  std::filesystem::create_symlink(real.path() / "elsewhere", file);
  PrefixFiles again = real.open();
  CHECK(adopted(again, text, text) == 0);
  // One that others could look into is made private.
  ::chmod((real.path() / "cache").c_str(), 0755);
  open_private_folder(real.path() / "cache");
  CHECK(mode_of(real.path() / "cache") == 0700);
}

#ifdef __linux__
TEST_CASE("private folder: what is mapped can't be cut short while it is held") {
  const RealFolder real;
  PrefixFiles files = real.open();
  const Tokens text = counting(1, 1000);
  REQUIRE(files.write(text, state_of(text)));
  const auto path = std::filesystem::directory_iterator(real.path() / "cache")->path();
  const std::string name = path.filename();
  const auto can_cut = [&] {
    const int file = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_NONBLOCK);
    if (file >= 0) ::close(file);
    return file >= 0;
  };
  std::shared_ptr<const std::byte[]> mapped =
      open_private_folder(real.path() / "cache")->open(name)->map();
  if (!mapped) return;  // This file system has no leases: files are read then.
  std::optional<StateBlob> blob = files.load({name, 1000}, text);
  REQUIRE(blob);
  mapped.reset();
  CHECK_FALSE(can_cut());
  CHECK(is_state_of(*blob, text));
  blob.reset();
  CHECK(can_cut());
  CHECK_FALSE(files.load({name, 1000}, text));
}
#endif

// Writes and adopts until it is killed; 1 if anything was wrong.
[[noreturn]] void work_until_killed(const RealFolder& real, int seed) {
  int status = 0;
  try {
    PrefixFiles files = real.open();
    for (int i = 0;; ++i) {
      const Tokens text =
          counting((seed * 7 + i) % 40 * 1000, static_cast<std::size_t>(50 + i % 900));
      files.write(text, state_of(text));
      const PrefixFiles::Match match = files.find(text, static_cast<Position>(text.size()));
      const auto blob = files.load(match, text);
      if (!blob) continue;
      if (!is_state_of(*blob, counting(text[0], static_cast<std::size_t>(blob->length))))
        status = 1;
      if (status != 0) break;
    }
  } catch (...) {
    status = 2;
  }
  ::_exit(status);
}

TEST_CASE("prefix files: processes that are killed at any moment leave nothing wrong behind") {
  const RealFolder real;
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    std::vector<pid_t> children;
    for (int i = 0; i < 2; ++i) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) work_until_killed(real, round * 2 + i);
      children.push_back(child);
    }
    ::usleep(static_cast<useconds_t>(random() % 8000));
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const pid_t child : children) {
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(WIFSIGNALED(status));  // And did not end by itself, with something wrong.
    }
  }
  PrefixFiles files = real.open();
  int there = 0;
  for (Token first = 0; first < 40; ++first) {
    const Tokens text = counting(first * 1000, 950);
    const PrefixFiles::Match match = files.find(text, 950);
    if (match.length == 0) continue;
    const auto blob = files.load(match, text);
    REQUIRE(blob);
    CHECK(is_state_of(*blob, counting(first * 1000, static_cast<std::size_t>(blob->length))));
    ++there;
  }
  CHECK(there > 0);
}
#endif

}  // namespace
}  // namespace llmlocal::testing
