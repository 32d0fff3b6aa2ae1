#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/command.h"

namespace {

/// By default libgomp's threads spin for milliseconds at every barrier. On a machine with other
/// work that takes the processor from the very thread that is waited for: decoding then runs at a
/// tenth of its speed or less. A few microseconds of spinning cost an idle machine nothing. The
/// setting is read when the library is loaded, before main: so the program starts itself once more
/// with it. What the user has set holds.
void start_with_short_spins(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "10000", 0);
  execv("/proc/self/exe", argv);  // where that fails, all works as before, but for the speed
}

}  // namespace

int main(int argc, char** argv) {
  start_with_short_spins(argv);
  // A limit on file sizes is then a failed write, told and cleaned up after like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  return plimsoll::cli::run_program(argc, argv);
}
