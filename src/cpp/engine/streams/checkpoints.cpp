#include "engine/streams/checkpoints.h"

#include <algorithm>

namespace llmlocal {
namespace {

constexpr std::size_t kLastMessages = 3;

}  // namespace

std::vector<Position> choose_checkpoints(std::span<const Token> prompt,
                                         Position reused,
                                         Position parting,
                                         const std::function<bool(Token)>& ends_message) {
  const auto length = static_cast<Position>(prompt.size());
  std::vector<Position> ends;
  for (Position i = reused; i + 1 < length; ++i) {
    if (ends_message(prompt[static_cast<std::size_t>(i)])) ends.push_back(i + 1);
  }
  if (ends.size() > kLastMessages + 1) ends.erase(ends.begin() + 1, ends.end() - kLastMessages);
  if (parting > reused && parting < length) ends.push_back(parting);
  std::ranges::sort(ends);
  std::vector<Position> chosen;
  Position last = reused;
  for (const Position end : ends) {
    if (end < last + kCheckpointGap) continue;
    chosen.push_back(end);
    last = end;
  }
  return chosen;
}

}  // namespace llmlocal
