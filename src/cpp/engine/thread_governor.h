// How many threads the next step should use, from how long steps took.
//
// The threads of a step meet at a barrier after each operation.  Where another process keeps a core
// busy, every barrier waits for the one thread that shares it, and fewer threads are faster than
// all.  So the governor now and then tries another count for a few steps and keeps it if it is
// clearly faster: soon after a step time has jumped, rarely while nothing changes.  One thread less
// is no faster where two cores are busy, so it tries half of them too.  On a machine that gives the
// threads all the time they ask for, fewer are not tried: trials cost a few percent of short
// answers.  No clock of its own.
#pragma once

#include <cstddef>
#include <vector>

namespace llmlocal {

class ThreadGovernor {
 public:
  explicit ThreadGovernor(int max_threads);

  // For steps that only evaluate answers; a step with prompts takes all threads.
  int threads() const { return ladder_[current_]; }

  // A step of `rows` answers took so long with threads(), and the process got so much time of CPUs
  // in it; 0 where that is not known.
  void observe(std::size_t rows, double seconds, double cpu_seconds = 0);

 private:
  static constexpr std::size_t kWindow = 5;       // Steps whose median stands for a count.
  static constexpr int kFirstProbe = 16;          // Steps before the first trial.
  static constexpr int kRarestProbe = 1024;       // Steps between trials that keep failing.
  static constexpr int kSoonestProbe = 8;         // Steps between a trial and one after a jump.
  static constexpr double kClearlyFaster = 0.92;  // Of the present time: worth a change.
  static constexpr double kLostCores = 0.3;       // Missing from threads(): somebody else has them.
  static constexpr double kJump = 1.4;            // Times the best seen: something has changed.

  enum class Trial { kFewer, kHalf, kMore };
  static Trial after(Trial trial);
  std::size_t rung_of(Trial trial) const;
  bool is_worth_a_probe() const;

  void forget();
  void start_probe();
  void end_probe(double probed);

  std::vector<int> ladder_;    // The counts to choose from, ascending.
  std::size_t current_;        // Where threads() is.
  std::size_t home_;           // Where it goes back to when a trial fails.
  std::size_t row_class_ = 0;  // Step times are compared among batches of like size only.
  std::vector<double> window_;
  double crowding_ = 0;  // The share of recent steps in which cores were missing.
  double usual_ = 0;     // The median at home_ when the trial began.
  double best_ = 0;      // The lowest median at home_; 0: none yet.
  bool probing_ = false;
  Trial trial_ = Trial::kFewer;  // The next one, or the one in hand.
  int interval_ = kFirstProbe;
  int since_probe_ = 0;
};

}  // namespace llmlocal
