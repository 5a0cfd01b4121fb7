#include "engine/streams/prefix_files.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "base/big_block.h"
#include "base/checksum.h"
#include "base/system_memory.h"
#include "engine/streams/prefix_file.h"
#include "engine/streams/stream_choice.h"

namespace llmlocal {
namespace {

constexpr std::size_t kPiece = 1 << 20;              // What is written at a time.
constexpr std::chrono::seconds kAbandoned{60 * 60};  // A file that nobody writes on any more.
constexpr std::uint64_t kLeftFree = 256ULL << 20;    // On the disk, for others.

std::int64_t now_s() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

// The front of a file, read from its beginning.
std::optional<PrefixFront> read_front(ReadableFile& file) {
  std::vector<std::byte> bytes(kPrefixHeaderBytes);
  if (file.read(bytes) != bytes.size()) return std::nullopt;
  const auto header = decode_header(bytes, file.size());
  if (!header) return std::nullopt;
  bytes.resize(header->front_bytes());
  const std::span<std::byte> rest = std::span(bytes).subspan(kPrefixHeaderBytes);
  if (file.read(rest) != rest.size()) return std::nullopt;
  return decode_front(*header, bytes);
}

StateBlob without_bytes(const PrefixHeader& header) {
  return {nullptr, header.state_bytes, static_cast<Position>(header.tokens), header.floor};
}

std::optional<StateBlob> read_state(ReadableFile& file, const PrefixHeader& header) {
  StateBlob blob = without_bytes(header);
  // Mapped, where that can be had: memory to read it into would have to be cleared first, which
  // takes longer than all the rest.
  if (const std::shared_ptr<const std::byte[]> mapped = file.map()) {
    blob.data = {mapped, mapped.get() + header.front_bytes()};
  } else {
    const std::shared_ptr<std::byte[]> block = make_big_block(blob.size);
    blob.data = block;
    if (file.read({block.get(), blob.size}) != blob.size) return std::nullopt;
  }
  const std::span<const std::byte> state(blob.data.get(), blob.size);
  if (checksum_of_pieces(state, Helper::kThread) != header.state_sum) return std::nullopt;
  return blob;
}

}  // namespace

PrefixFiles::PrefixFiles(std::unique_ptr<PrivateFolder> folder, PrefixFilesOptions options)
    : folder_(std::move(folder)), options_(std::move(options)), index_(options_.identity) {
  refresh();
}

void PrefixFiles::refresh() {
  const std::lock_guard lock(refreshing_);
  try {
    const std::int64_t stamp = folder_->stamp();
    if (stamp_ == stamp) return;
    refresh_index();
    stamp_ = stamp;
    said_unreadable_ = false;
  } catch (const FileError& error) {
    if (!std::exchange(said_unreadable_, true)) options_.log(error.what());
  }
}

void PrefixFiles::refresh_index() {
  std::vector<FileFacts> files = folder_->list();
  std::erase_if(files, [this](const FileFacts& file) {
    return !is_prefix_file(file.name, options_.identity);
  });
  std::vector<std::pair<std::string, std::optional<PrefixEntry>>> found;
  for (const FileFacts& file : unknown_of(files)) found.emplace_back(file.name, entry_of(file));
  std::set<std::string> there;
  for (FileFacts& file : files) there.insert(std::move(file.name));
  const std::lock_guard lock(mutex_);
  for (auto& [name, entry] : found) {
    if (index_.knows(name)) continue;  // This process wrote it meanwhile.
    if (entry) {
      index_.add(std::move(*entry));
    } else {
      index_.reject(name);
    }
  }
  index_.keep_only(there);
}

std::vector<FileFacts> PrefixFiles::unknown_of(const std::vector<FileFacts>& files) const {
  const std::lock_guard lock(mutex_);
  std::vector<FileFacts> unknown;
  std::ranges::copy_if(files, std::back_inserter(unknown), [this](const FileFacts& file) {
    return !index_.knows(file.name);
  });
  return unknown;
}

// Nothing: it can't be adopted.
std::optional<PrefixEntry> PrefixFiles::entry_of(const FileFacts& file) {
  try {
    const std::unique_ptr<ReadableFile> opened = folder_->open(file.name);
    if (!opened) return std::nullopt;
    std::optional<PrefixFront> front = read_front(*opened);
    if (front && front->identity == options_.identity &&
        prefix_file_name(front->identity, front->key) == file.name) {
      return PrefixEntry{std::move(front->key), without_bytes(front->header)};
    }
    options_.log("the prefix file " + file.name + " is damaged or foreign, and is not used");
  } catch (const FileError& error) {
    options_.log(error.what());
  }
  return std::nullopt;
}

PrefixFiles::Match PrefixFiles::find(const PrefixView& prompt, Position limit) const {
  const std::lock_guard lock(mutex_);
  const auto [entry, length] = index_.find(prompt, limit);
  if (entry == nullptr) return {};
  return {prefix_file_name(options_.identity, entry->key), length};
}

Position PrefixFiles::covered(const PrefixView& key) const {
  const std::lock_guard lock(mutex_);
  return index_.find(key, static_cast<Position>(key.size())).length;
}

PrefixFiles::Latest PrefixFiles::latest() const {
  std::vector<FileFacts> files;
  try {
    files = folder_->list();
  } catch (const FileError&) {
    return {};  // refresh() has said so.
  }
  const std::lock_guard lock(mutex_);
  Latest latest;
  std::int64_t used_s = 0;
  for (const FileFacts& file : files) {
    const Position length = index_.length_of(file.name);
    if (length == 0) continue;
    if (std::pair(file.used_s, length) <= std::pair(used_s, latest.length)) continue;
    latest = {length, file.bytes};
    used_s = file.used_s;
  }
  return latest;
}

std::optional<StateBlob> PrefixFiles::load(const Match& match, const PrefixView& prompt) {
  try {
    const std::unique_ptr<ReadableFile> file = folder_->open(match.name);
    if (!file) {
      drop(match.name, "");  // Another process removed it.
      return std::nullopt;
    }
    const std::optional<PrefixFront> front = read_front(*file);
    const bool is_it =
        front && front->identity == options_.identity &&
        usable_prefix(front->key, front->header.floor, {prompt, match.length}) >= match.length;
    if (is_it && !fits_in_memory(front->header.state_bytes, free_memory())) return std::nullopt;
    std::optional<StateBlob> blob;
    if (is_it) blob = read_state(*file, front->header);
    if (!blob || !front) {
      drop(match.name, "the prefix file " + match.name + " is damaged and was removed");
      folder_->remove(match.name);
      return std::nullopt;
    }
    folder_->touch(match.name);
    const std::lock_guard lock(mutex_);
    read_bytes_ += front->header.file_bytes();
    return blob;
  } catch (const FileError& error) {
    drop(match.name, error.what());
    return std::nullopt;
  }
}

void PrefixFiles::drop(const std::string& name, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    index_.reject(name);
  }
  if (!why.empty()) options_.log(why);
}

bool PrefixFiles::write(const PrefixView& key, const StateBlob& blob) {
  const std::string name = prefix_file_name(options_.identity, key);
  try {
    write_file(name, key, blob);
    remove_covered(key);
    make_room(name);
    return true;
  } catch (const FileError& error) {
    options_.log(std::string("an evaluated prefix was not kept: ") + error.what());
    return false;
  }
}

void PrefixFiles::write_file(const std::string& name,
                             const PrefixView& key,
                             const StateBlob& blob) {
  const std::span<const std::byte> state(blob.data.get(), blob.size);
  const std::vector<std::byte> front = encode_front(options_.identity, key, blob.floor, state);
  const std::uint64_t bytes = front.size() + state.size();
  if (bytes > options_.most_bytes) throw FileError("it is larger than all may be together");
  if (folder_->free_bytes() < bytes + kLeftFree) throw FileError("the disk is almost full");
  // Two processes may write the same entry.
  const std::string part =
      name + "." +
      std::to_string(reinterpret_cast<std::uintptr_t>(this) ^  // NOLINT
                     static_cast<std::uintptr_t>(
                         std::chrono::steady_clock::now().time_since_epoch().count())) +
      kPartEnding;
  try {
    {
      const std::unique_ptr<WritableFile> file = folder_->create(part);
      file->write(front);
      for (std::size_t done = 0; done < state.size(); done += kPiece) {
        file->write(state.subspan(done, std::min(kPiece, state.size() - done)));
      }
      file->sync();
    }
    folder_->rename(part, name);
  } catch (const FileError&) {
    try {
      folder_->remove(part);
    } catch (const FileError&) {  // NOLINT(bugprone-empty-catch): make_room() will
    }
    throw;
  }
  const std::lock_guard lock(mutex_);
  index_.add({PrefixKey(key), {nullptr, blob.size, blob.length, blob.floor}});
  written_bytes_ += bytes;
}

// What could serve nothing that the new entry can't.
void PrefixFiles::remove_covered(const PrefixView& key) {
  std::vector<std::string> covered;
  {
    const std::lock_guard lock(mutex_);
    covered = index_.reject_covered_by(key);
  }
  for (const std::string& name : covered) folder_->remove(name);
}

// All models share the folder, so all files count.
void PrefixFiles::make_room(const std::string& newest) {
  std::vector<FileFacts> files;
  std::uint64_t bytes = 0;
  const std::int64_t now = now_s();
  for (FileFacts& file : folder_->list()) {
    const std::chrono::seconds age(now - file.used_s);
    const bool is_part = file.name.ends_with(kPartEnding);
    if (!is_part && !file.name.ends_with(kPrefixEnding)) continue;  // Not ours to remove.
    if (age > (is_part ? kAbandoned : options_.most_age)) {
      folder_->remove(file.name);
      continue;
    }
    bytes += file.bytes;
    if (!is_part && file.name != newest) files.push_back(std::move(file));
  }
  std::ranges::sort(files, {}, &FileFacts::used_s);
  for (const FileFacts& file : files) {
    if (bytes <= options_.most_bytes) return;
    folder_->remove(file.name);
    bytes -= file.bytes;
  }
}

void PrefixFiles::report(EngineStats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.disk_entries = index_.count_adoptable();
  stats.disk_hits = hits_;
  stats.disk_tokens = hit_tokens_;
  stats.disk_read_bytes = read_bytes_;
  stats.disk_written_bytes = written_bytes_;
}

void PrefixFiles::count_hit(Position tokens) {
  const std::lock_guard lock(mutex_);
  ++hits_;
  hit_tokens_ += static_cast<std::uint64_t>(tokens);
}

}  // namespace llmlocal
