#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file_watch.h"

namespace llmlocal::testing {
namespace {

namespace fs = std::filesystem;

// A folder of its own for each test.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("llmlocal-file-watch-" + std::to_string(tag()))) {
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string write(const std::string& name, const std::string& text) const {
    const fs::path file = path_ / name;
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }

 private:
  static std::uintptr_t tag() {
    static int count = 0;
    return reinterpret_cast<std::uintptr_t>(&count) + static_cast<std::uintptr_t>(++count);
  }
  fs::path path_;
};

// As a clock with coarse ticks may give the same time to two writes.
void touch(const std::string& path, int seconds) {
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(seconds));
}

const std::string kText(10'000, 'x');

#ifndef _WIN32

TEST_CASE("a file that is cut short is told, also when it has grown again") {
  const Folder folder;
  const std::string first = folder.write("first", kText);
  const std::string second = folder.write("second", kText);
  const FileWatch watch({first, second});
  CHECK(!watch.damage());
  fs::resize_file(second, 9'999);
  CHECK(watch.damage() == second + " was cut short while in use, from 10000 to 9999 bytes");
  fs::resize_file(second, 10'000);
  CHECK(watch.damage() == second + " was cut short while in use, from 10000 to 9999 bytes");
}

TEST_CASE("a file that is overwritten is told") {
  const Folder folder;
  const auto change = [](std::size_t at) {
    std::string other = kText;
    other[at] = 'y';
    return other;
  };
  for (const std::string& other : {change(0), change(9'999), change(4) + "more"}) {
    const std::string path = folder.write("model", kText);
    const FileWatch watch({path});
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file << other;
    }
    touch(path, 5);
    CHECK(watch.damage() == path + " was overwritten while in use");
  }
}

#endif

TEST_CASE("what leaves the bytes of a file alone is nothing") {
  const Folder folder;
  const std::string path = folder.write("model", kText);
  const FileWatch watch({path, path + ".absent"});
  SUBCASE("touched, again and again") {
    for (int i = 1; i < 4; ++i) {
      touch(path, i);
      CHECK(!watch.damage());
    }
  }
  SUBCASE("longer") {
    std::ofstream(path, std::ios::binary | std::ios::app) << "more";
  }
  SUBCASE("deleted") {
    fs::remove(path);
  }
  SUBCASE("another in its place") {
    fs::rename(folder.write("other", "short"), path);
  }
  CHECK(!watch.damage());
}

TEST_CASE("short and empty files are watched too") {
  const Folder folder;
  const std::string path = folder.write("model", "");
  const FileWatch watch({path});
  touch(path, 1);
  CHECK(!watch.damage());
}

}  // namespace
}  // namespace llmlocal::testing
