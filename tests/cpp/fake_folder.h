// A private folder in memory that fails where a test wants, or stops as a machine does that loses
// its power.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/private_folder.h"
#include "step_gate.h"

namespace llmlocal::testing {

// The power went: nobody catches this but the test.
struct PowerCut : std::runtime_error {
  PowerCut() : std::runtime_error("the power went") {}
};

// What is on the disk; it outlives those who use it.
class FakeDisk {
 public:
  struct File {
    std::vector<std::byte> bytes;
    std::size_t synced = 0;  // Only these survive a power cut.
    std::int64_t used_s = 0;
  };
  enum class Harm { kError, kPowerCut };

  std::mutex mutex;  // Of those who use it from several threads.
  std::map<std::string, File> files;
  std::int64_t stamp = 0;
  std::int64_t now_s = 1;
  std::uint64_t free_bytes = std::numeric_limits<std::uint64_t>::max();
  int operations = 0;
  int fails_at = -1;  // The operation that is harmed; -1: none.
  Harm harm = Harm::kError;
  StepGate reads;  // Each read passes it.

  void operation() {
    if (operations++ != fails_at) return;
    if (harm == Harm::kPowerCut) throw PowerCut();
    throw FileError("a fault of the disk");
  }

  // What is found after a power cut: of what was not brought to the disk some part.
  void restart(std::size_t part_in_ten) {
    for (auto& [name, file] : files) {
      const std::size_t unsure = file.bytes.size() - file.synced;
      file.bytes.resize(file.synced + unsure * part_in_ten / 10);
    }
    fails_at = -1;
    ++stamp;
  }
};

class FakeFolder final : public PrivateFolder {
 public:
  explicit FakeFolder(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)) {}

  std::vector<FileFacts> list() override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    std::vector<FileFacts> facts;
    for (const auto& [name, file] : disk_->files) {
      facts.push_back({name, file.bytes.size(), file.used_s});
    }
    return facts;
  }
  std::int64_t stamp() override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    return disk_->stamp;
  }
  std::unique_ptr<WritableFile> create(const std::string& name) override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    if (disk_->files.contains(name)) throw FileError("there is such a file");
    disk_->files[name].used_s = disk_->now_s;
    ++disk_->stamp;
    return std::make_unique<Writable>(disk_, name);
  }
  std::unique_ptr<ReadableFile> open(const std::string& name) override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    if (!disk_->files.contains(name)) return nullptr;
    return std::make_unique<Readable>(disk_, disk_->files.at(name).bytes);
  }
  void rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    auto file = disk_->files.extract(from);
    if (file.empty()) throw FileError("there is no such file");
    disk_->files.insert_or_assign(to, std::move(file.mapped()));
    ++disk_->stamp;
  }
  void remove(const std::string& name) override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    disk_->files.erase(name);
    ++disk_->stamp;
  }
  void touch(const std::string& name) override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    if (!disk_->files.contains(name)) throw FileError("there is no such file");
    disk_->files[name].used_s = disk_->now_s;
  }
  std::uint64_t free_bytes() override {
    const std::lock_guard lock(disk_->mutex);
    disk_->operation();
    return disk_->free_bytes;
  }

 private:
  class Writable final : public WritableFile {
   public:
    Writable(std::shared_ptr<FakeDisk> disk, std::string name)
        : disk_(std::move(disk)), name_(std::move(name)) {}
    void write(std::span<const std::byte> bytes) override {
      const std::lock_guard lock(disk_->mutex);
      auto& to = disk_->files.at(name_).bytes;
      // What fails has written a part.
      to.insert(to.end(), bytes.begin(), bytes.begin() + std::ssize(bytes) / 2);
      disk_->operation();
      to.insert(to.end(), bytes.begin() + std::ssize(bytes) / 2, bytes.end());
    }
    void sync() override {
      const std::lock_guard lock(disk_->mutex);
      disk_->operation();
      FakeDisk::File& file = disk_->files.at(name_);
      file.synced = file.bytes.size();
    }

   private:
    std::shared_ptr<FakeDisk> disk_;
    std::string name_;
  };
  class Readable final : public ReadableFile {
   public:
    Readable(std::shared_ptr<FakeDisk> disk, std::vector<std::byte> bytes)
        : disk_(std::move(disk)), bytes_(std::move(bytes)) {}
    std::uint64_t size() override { return bytes_.size(); }
    std::size_t read(std::span<std::byte> into) override {
      disk_->reads.pass([] { return false; });
      const std::lock_guard lock(disk_->mutex);
      disk_->operation();
      const std::size_t count = std::min(into.size(), bytes_.size() - at_);
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
      at_ += count;
      return count;
    }

   private:
    std::shared_ptr<FakeDisk> disk_;
    std::vector<std::byte> bytes_;
    std::size_t at_ = 0;
  };

  std::shared_ptr<FakeDisk> disk_;
};

}  // namespace llmlocal::testing
