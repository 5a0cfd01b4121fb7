#include "engine/streams/prefix_index.h"

#include <algorithm>

#include "engine/streams/prefix_file.h"

namespace llmlocal {

void PrefixIndex::add(PrefixEntry entry) {
  File& file = files_[name_of(entry.key)];
  take_from_tree(file);
  file = std::move(entry);
  try {
    tree_.insert(*file);
  } catch (...) {
    file.reset();
    throw;
  }
}

void PrefixIndex::reject(const std::string& name) {
  take_from_tree(files_[name]);
}

std::vector<std::string> PrefixIndex::reject_covered_by(const PrefixView& key) {
  std::vector<std::string> covered;
  const PrefixEntry* const entry = adoptable(name_of(key));
  if (entry == nullptr) return covered;
  while (const PrefixEntry* const shorter = tree_.longest_within(*entry)) {
    covered.push_back(name_of(shorter->key));
    reject(covered.back());
  }
  return covered;
}

void PrefixIndex::keep_only(const std::set<std::string>& names) {
  for (auto& [name, file] : files_) {
    if (!names.contains(name)) take_from_tree(file);
  }
  std::erase_if(files_, [&](const auto& file) { return !names.contains(file.first); });
}

Position PrefixIndex::length_of(const std::string& name) const {
  const PrefixEntry* const entry = adoptable(name);
  return entry != nullptr ? static_cast<Position>(entry->key.size()) : 0;
}

std::size_t PrefixIndex::count_adoptable() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(files_, [](const auto& file) { return file.second.has_value(); }));
}

// Nothing: it is not known, or rejected.
const PrefixEntry* PrefixIndex::adoptable(const std::string& name) const {
  const auto file = files_.find(name);
  return file != files_.end() && file->second ? &*file->second : nullptr;
}

std::string PrefixIndex::name_of(const PrefixView& key) const {
  return prefix_file_name(identity_, key);
}

void PrefixIndex::take_from_tree(File& file) noexcept {
  if (file) tree_.erase(*file);
  file.reset();
}

}  // namespace llmlocal
