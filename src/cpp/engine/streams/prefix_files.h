// Evaluated prefixes on disk: what this process and others keep for later ones.
//
// One file is one entry.  It is written beside its place and renamed, so that an entry is whole or
// not there, and it is verified before it is adopted; a file that is damaged, foreign or gone costs
// itself and a line in the log.  Several processes may share the folder: each finds what the others
// wrote, and what any of them used lately is the last to be removed.
// Any thread may call.  Files are read and written outside the lock, so that who asks for what is
// known never waits for a disk.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/prefix_key.h"
#include "base/private_folder.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/stats.h"
#include "engine/streams/prefix_entry.h"
#include "engine/streams/prefix_index.h"

namespace llmlocal {

struct PrefixFilesOptions {
  std::string identity;  // Of all that a state depends on but for its key.
  std::uint64_t most_bytes = 0;
  std::chrono::seconds most_age{0};  // Since its last use.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class PrefixFiles {
 public:
  // Knows what is in the folder then.
  PrefixFiles(std::unique_ptr<PrivateFolder> folder, PrefixFilesOptions options);

  struct Match {
    std::string name;
    Position length = 0;  // Tokens of the prompt that it can stand for.
  };
  // Learns of the files that came and went since the last time; reads the fronts of new ones.
  void refresh();

  // The longest usable prefix of `prompt`, at most `limit` tokens, among the files that are known.
  // Does not touch the disk.
  Match find(const PrefixView& prompt, Position limit) const;

  // The state in this file, if its entry still begins with these cells and is as it was written.
  std::optional<StateBlob> load(const Match& match, const PrefixView& prompt);

  // How many of these cells an entry can serve already, as find() sees it.
  Position covered(const PrefixView& key) const;

  struct Latest {
    Position length = 0;
    std::uint64_t bytes = 0;  // Of its file.
  };
  // The entry that was used last, by any process; of length 0: there is none.
  Latest latest() const;

  // Keeps the state, and removes what it covers and what is too old or too much.  What fails is
  // logged and leaves no trace; false then.
  bool write(const PrefixView& key, const StateBlob& blob);

  void report(EngineStats& stats) const;
  // A match was adopted: so many tokens did not have to be evaluated.
  void count_hit(Position tokens);

 private:
  void refresh_index();
  std::vector<FileFacts> unknown_of(const std::vector<FileFacts>& files) const;
  std::optional<PrefixEntry> entry_of(const FileFacts& file);
  void drop(const std::string& name, const std::string& why);
  void write_file(const std::string& name, const PrefixView& key, const StateBlob& blob);
  void remove_covered(const PrefixView& key);
  void make_room(const std::string& newest);

  const std::unique_ptr<PrivateFolder> folder_;
  const PrefixFilesOptions options_;
  std::mutex refreshing_;              // Guards the next two; taken before the other mutex.
  std::optional<std::int64_t> stamp_;  // Of the folder as it was indexed.
  bool said_unreadable_ = false;
  mutable std::mutex mutex_;  // Guards everything below.
  PrefixIndex index_;
  std::uint64_t hits_ = 0;
  std::uint64_t hit_tokens_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace llmlocal
