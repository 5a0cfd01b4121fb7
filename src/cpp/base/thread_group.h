// Some of the threads of this process, and how much time on CPUs they have had.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace llmlocal {

class ThreadGroup {
 public:
  // Those that `start` starts, directly; it is called in this thread.  A thread is told by its
  // name, which it has from the one that started it: so the others of the process may start
  // threads meanwhile.
  template <typename Start>
  static ThreadGroup started_by(Start&& start) {
    const Naming naming;
    std::forward<Start>(start)();
    return ThreadGroup(naming.named());
  }

  // Seconds on CPUs of these threads and of the one that calls.  Where the system does not tell
  // threads apart (all but Linux), it is that of the whole process; nothing if not even that is
  // known.
  std::optional<double> cpu_seconds() const;

 private:
  // While it lives, this thread has a name like no other.
  class Naming {
   public:
    Naming();
    ~Naming();
    Naming(const Naming&) = delete;
    Naming& operator=(const Naming&) = delete;
    // The ids of the other threads with this name.
    std::vector<int> named() const;

   private:
    std::string before_;
    std::string name_;
  };

  explicit ThreadGroup(std::vector<int> ids) : ids_(std::move(ids)) {}

  std::vector<int> ids_;
};

}  // namespace llmlocal
