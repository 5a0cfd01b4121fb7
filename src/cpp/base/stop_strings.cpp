#include "base/stop_strings.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "base/errors.h"

namespace llmlocal {
namespace {

// A beginning of a string.
struct Node {
  std::uint32_t first_child = 0;  // Children stand in a row, by their bytes.
  std::uint32_t fallback = 0;     // The longest end of it that is a beginning of a string too.
  std::uint32_t depth = 0;
  std::uint32_t matched = 0;
  std::uint16_t children = 0;
  unsigned char byte = 0;  // Its last.
};

std::vector<std::string_view> sorted(const std::vector<std::string>& strings) {
  std::vector<std::string_view> views(strings.begin(), strings.end());
  std::ranges::sort(views);
  const auto twice = std::ranges::unique(views);
  views.erase(twice.begin(), twice.end());
  if (!views.empty() && views.front().empty()) views.erase(views.begin());
  return views;
}

}  // namespace

struct StopStrings::Automaton {
  explicit Automaton(std::vector<std::string> given) : strings(std::move(given)) {
    const std::vector<std::string_view> views = sorted(strings);
    std::size_t bytes = 1;
    for (const std::string_view view : views) bytes += view.size();
    nodes.reserve(bytes);
    add_all(views);
    add_fallbacks();
  }

  // Level by level, so that a node comes after its fallback.
  void add_all(std::span<const std::string_view> views) {
    struct Group {
      std::size_t node;
      std::span<const std::string_view> views;  // Those that begin like this.
    };
    nodes.emplace_back();
    std::vector<Group> level;
    if (!views.empty()) level.push_back({0, views});
    for (std::uint32_t depth = 0; !level.empty(); ++depth) {
      std::vector<Group> deeper;
      for (auto [node, left] : level) {
        nodes[node].first_child = static_cast<std::uint32_t>(nodes.size());
        if (left.front().size() == depth) left = left.subspan(1);  // It ends here.
        while (!left.empty()) {
          const char byte = left.front()[depth];
          const auto other = std::ranges::find_if(
              left, [&](std::string_view view) { return view[depth] != byte; });
          const auto alike = left.first(static_cast<std::size_t>(other - left.begin()));
          const bool is_whole = alike.front().size() == depth + 1;
          deeper.push_back({nodes.size(), alike});
          ++nodes[node].children;
          nodes.push_back(
              {0, 0, depth + 1, is_whole ? depth + 1 : 0, 0, static_cast<unsigned char>(byte)});
          left = left.subspan(alike.size());
        }
      }
      level = std::move(deeper);
    }
  }

  void add_fallbacks() {
    for (std::size_t parent = 0; parent < nodes.size(); ++parent) {
      for (std::uint32_t i = 0; i < nodes[parent].children; ++i) {
        Node& node = nodes[nodes[parent].first_child + i];
        if (parent != 0) node.fallback = next(nodes[parent].fallback, node.byte);
        if (node.matched == 0) node.matched = nodes[node.fallback].matched;
      }
    }
  }

  State next(State state, unsigned char byte) const {
    for (;;) {
      const std::span children(nodes.data() + nodes[state].first_child, nodes[state].children);
      const auto child = std::ranges::lower_bound(children, byte, {}, &Node::byte);
      if (child != children.end() && child->byte == byte) {
        return static_cast<State>(&*child - nodes.data());
      }
      if (state == 0) return 0;
      state = nodes[state].fallback;
    }
  }

  std::vector<std::string> strings;
  std::vector<Node> nodes;
};

StopStrings::StopStrings(std::vector<std::string> strings) {
  if (strings.empty()) return;
  const std::size_t bytes = std::transform_reduce(
      strings.begin(), strings.end(), std::size_t{0}, std::plus(), [](const std::string& each) {
        return each.size();
      });
  if (bytes > kMostBytes) {
    throw ParameterError("stop holds " + std::to_string(bytes) + " bytes of text; at most " +
                         std::to_string(kMostBytes) + " can be");
  }
  automaton_ = std::make_shared<const Automaton>(std::move(strings));
}

const std::vector<std::string>& StopStrings::strings() const {
  static const std::vector<std::string> none;
  return automaton_ ? automaton_->strings : none;
}

StopStrings::State StopStrings::next(State state, char byte) const {
  return automaton_ ? automaton_->next(state, static_cast<unsigned char>(byte)) : 0;
}

std::size_t StopStrings::begun(State state) const {
  return automaton_ ? automaton_->nodes[state].depth : 0;
}

std::size_t StopStrings::matched(State state) const {
  return automaton_ ? automaton_->nodes[state].matched : 0;
}

}  // namespace llmlocal
