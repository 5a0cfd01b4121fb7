// Prefix files in a real folder, of a user who has it alone.
#ifndef _WIN32
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/private_folder.h"
#include "engine/streams/prefix_files.h"
#include "prefix_states.h"

namespace llmlocal::testing {
namespace {

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

}  // namespace
}  // namespace llmlocal::testing
#endif
