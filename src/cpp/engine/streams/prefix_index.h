// What is known of the files in a folder, so that nobody looks into one twice: the texts of those
// that can be adopted, and the names of the others.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/streams/prefix_entry.h"
#include "engine/streams/prefix_tree.h"

namespace llmlocal {

class PrefixIndex {
 public:
  using Match = PrefixTree::Match;

  // Each file is named after this and its key; see prefix_file_name().
  explicit PrefixIndex(std::string identity) : identity_(std::move(identity)) {}

  bool knows(const std::string& name) const { return files_.contains(name); }
  // A file that can be adopted; its blob has no bytes.  Throws std::bad_alloc; it can't be then.
  void add(PrefixEntry entry);
  // A file that can't be adopted, or can't any more.
  void reject(const std::string& name);
  // Rejects what could serve nothing that the file with this key can't, and returns the names.
  std::vector<std::string> reject_covered_by(const PrefixView& key);
  // All other files are gone.
  void keep_only(const std::set<std::string>& names);

  Match find(const PrefixView& prompt, Position limit) const { return tree_.find(prompt, limit); }
  Position length_of(const std::string& name) const;  // 0: it can't be adopted.
  std::size_t count_adoptable() const;

 private:
  using File = std::optional<PrefixEntry>;  // Nothing: rejected.

  const PrefixEntry* adoptable(const std::string& name) const;
  std::string name_of(const PrefixView& key) const;
  void take_from_tree(File& file) noexcept;

  std::string identity_;
  std::map<std::string, File> files_;
  PrefixTree tree_;  // Of those that can be adopted.
};

}  // namespace llmlocal
