#include "engine/streams/prefix_tree.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace llmlocal {

PrefixTree::Match PrefixTree::find(const PrefixView& text, Position limit) const {
  auto [node, length] = place_of(text, limit);
  while (length > 0) {
    // Others below may have more in common with the text, but can't be cut back to it.
    const bool has_part = node->part != nullptr && node->depth == length;
    const bool is_there = has_part || node->best->blob.floor <= length;
    if (is_there && !node->best->is_part) return {node->best, length};
    node = node->parent;
    length = node->depth;
  }
  return {};
}

std::vector<const PrefixEntry*> PrefixTree::parts_of(const PrefixView& text, Position limit) const {
  std::vector<const PrefixEntry*> parts;
  const Place place = place_of(text, limit);
  for (const Node* node = place.node; node != nullptr; node = node->parent) {
    if (node->part != nullptr && node->depth <= place.length) parts.push_back(node->part);
  }
  std::ranges::reverse(parts);
  return parts;
}

Position PrefixTree::common(const PrefixView& text) const {
  return place_of(text).length;
}

const PrefixEntry* PrefixTree::longest_within(const PrefixEntry& entry) const {
  const Node* node = entry.is_part ? nullptr : descend(entry.key)->parent;
  while (node != nullptr && node->depth >= entry.blob.floor) {
    if (node->entry != nullptr) return node->entry;
    node = node->parent;
  }
  return nullptr;
}

const PrefixEntry* PrefixTree::insert(const PrefixEntry& entry) {
  const auto [node, length] = place_of(entry.key);
  const bool is_new = length < static_cast<Position>(entry.key.size());
  Node* own = node;
  if (node->depth > length) {
    own = fork(*node, length, entry);
  } else if (is_new) {
    own = append(*node, entry);
  }
  const PrefixEntry* const replaced = std::exchange(own->of_kind(entry), &entry);
  for (Node* each = own; each != nullptr; each = each->parent) {
    if (each->best == nullptr || comes_before(entry, *each->best)) each->best = &entry;
    if (each->best == replaced) each->choose_best();
  }
  return replaced;
}

void PrefixTree::erase(const PrefixEntry& entry) noexcept {
  Node* node = descend(entry.key);
  node->of_kind(entry) = nullptr;
  if (node->parent != nullptr && node->is_empty() && node->children.empty()) {
    Node* const parent = node->parent;
    parent->children.erase(cell_at(entry.key, parent->depth));
    node = parent;
  }
  if (node->parent != nullptr && node->is_empty() && node->children.size() == 1) {
    node = pull_up_child(*node);
  }
  for (; node != nullptr; node = node->parent) {
    if (node->best == &entry) node->choose_best();
  }
}

// A new node below this one, for the entry.
PrefixTree::Node* PrefixTree::append(Node& node, const PrefixEntry& entry) {
  auto leaf = std::make_unique<Node>();
  leaf->parent = &node;
  leaf->depth = static_cast<Position>(entry.key.size());
  return node.children.emplace(cell_at(entry.key, node.depth), std::move(leaf)).first->second.get();
}

// A new node above this one, `depth` cells deep; and one below that for the entry, if it goes on.
PrefixTree::Node* PrefixTree::fork(Node& node, Position depth, const PrefixEntry& entry) {
  auto above = std::make_unique<Node>();
  above->parent = node.parent;
  above->depth = depth;
  above->best = node.best;
  std::unique_ptr<Node>& below = above->children[cell_at(node.best->key, depth)];
  const bool goes_on = depth < static_cast<Position>(entry.key.size());
  Node* const own = goes_on ? append(*above, entry) : above.get();
  // From here on nothing can fail.
  std::unique_ptr<Node>& slot = slot_of(node);
  node.parent = above.get();
  below = std::exchange(slot, std::move(above));
  return own;
}

// Where no texts part any more: puts the only child in the node's place.
PrefixTree::Node* PrefixTree::pull_up_child(Node& node) noexcept {
  Node* const parent = node.parent;
  std::unique_ptr<Node> child = std::move(node.children.begin()->second);
  child->parent = parent;
  slot_of(node) = std::move(child);
  return parent;
}

std::unique_ptr<PrefixTree::Node>& PrefixTree::slot_of(const Node& node) {
  const auto place = node.parent->children.find(cell_at(node.best->key, node.parent->depth));
  return place->second;
}

void PrefixTree::Node::choose_best() noexcept {
  best = entry != nullptr ? entry : part;
  for (const auto& [cell, child] : children) {
    if (best == nullptr || comes_before(*child->best, *best)) best = child->best;
  }
}

bool PrefixTree::comes_before(const PrefixEntry& entry, const PrefixEntry& other) {
  return std::tuple(entry.is_part, entry.blob.floor, entry.key.size()) <
         std::tuple(other.is_part, other.blob.floor, other.key.size());
}

PrefixTree::Cell PrefixTree::cell_at(const PrefixView& text, Position place) {
  Cell cell{text.adapters, text.tokens[static_cast<std::size_t>(place)], 1, 0};
  const auto piece = std::ranges::lower_bound(text.pieces, place, {}, &Piece::first);
  if (piece != text.pieces.end() && piece->first == place) {
    cell.cells = piece->cells;
    cell.hash = piece->hash;
  }
  return cell;
}

PrefixTree::Node* PrefixTree::descend(const PrefixView& text) const {
  Node* node = root_.get();
  while (node->depth < static_cast<Position>(text.size())) {
    const auto child = node->children.find(cell_at(text, node->depth));
    if (child == node->children.end()) break;
    node = child->second.get();
  }
  return node;
}

PrefixTree::Place PrefixTree::place_of(const PrefixView& text, Position limit) const {
  Node* node = descend(text);
  if (node->best == nullptr) return {node, 0};
  const Position length = common_prefix(node->best->key, text, limit);
  while (node->parent != nullptr && node->parent->depth >= length) node = node->parent;
  return {node, length};
}

}  // namespace llmlocal
