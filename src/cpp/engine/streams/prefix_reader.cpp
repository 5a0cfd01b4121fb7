#include "engine/streams/prefix_reader.h"

#include <algorithm>
#include <utility>

namespace llmlocal {

PrefixReader::PrefixReader(std::shared_ptr<PrefixFiles> files, std::function<void()> on_read)
    : files_(std::move(files)), on_read_(std::move(on_read)), thread_(&PrefixReader::run, this) {}

PrefixReader::~PrefixReader() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::shared_ptr<PrefixReading> PrefixReader::start(PrefixFiles::Match match,
                                                   const PrefixView& prompt) {
  auto reading = std::make_shared<PrefixReading>(std::move(match), prompt);
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(readings_, [](const auto& each) { return each.expired(); });
    readings_.push_back(reading);
  }
  changed_.notify_all();
  return reading;
}

bool PrefixReader::is_under_way(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(readings_, [&](const auto& each) {
    const std::shared_ptr<PrefixReading> reading = each.lock();
    return reading && reading->name() == name;
  });
}

// Nothing: all are read.
std::shared_ptr<PrefixReading> PrefixReader::next_locked() {
  for (const auto& each : readings_) {
    std::shared_ptr<PrefixReading> reading = each.lock();
    if (reading && !reading->is_done()) return reading;
  }
  return nullptr;
}

void PrefixReader::run() noexcept {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    std::shared_ptr<PrefixReading> reading = next_locked();
    if (!reading) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    try {
      reading->blob_ = files_->load(reading->match_, reading->prompt_);
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for it; it is evaluated then
    }
    reading->done_.store(true, std::memory_order_release);
    reading.reset();  // Who is told finds that nobody else holds it.
    on_read_();
    lock.lock();
  }
}

}  // namespace llmlocal
