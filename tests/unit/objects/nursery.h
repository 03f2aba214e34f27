// SPDX-License-Identifier: Apache-2.0
//
// A process of one thread that forks children, so that each begins as a program begins, whatever
// threads the test has; and ways for a child to be killed where it does not expect it. The test's
// thread, except where it says so.
#ifndef CLUSTIX_TESTS_UNIT_OBJECTS_NURSERY_H_
#define CLUSTIX_TESTS_UNIT_OBJECTS_NURSERY_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "lib/base/unique_fd.h"

namespace clustix {

class Nursery {
 public:
  // What a child does; its exit status.
  using Life = std::function<int(uint64_t seed)>;
  struct Death {
    uint64_t seed = 0;
    int status = 0;  // as of waitpid(2)
  };

  // While the test has one thread.
  explicit Nursery(const Life& life);
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;
  // Ends the nursery, and children that live.
  ~Nursery();

  // The deaths of `count` children with the seeds from `first` on, `at_once` at a time. Fewer: the
  // nursery has failed, which is a failure of the test.
  std::vector<Death> Raise(uint64_t first, uint64_t count, uint64_t at_once);

 private:
  base::UniqueFd socket_;
  pid_t pid_ = 0;
};

// Whether this build can do DieAfterInstructions(): on x86, where the processor steps, and without
// sanitizers, whose own instructions are none of a program's.
bool CanStep();
// The calling process is killed after so many more instructions of the calling thread.
void DieAfterInstructions(uint64_t instructions);
// The same after a time, wherever its threads are then.
void DieAfter(std::chrono::nanoseconds time);

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_OBJECTS_NURSERY_H_
