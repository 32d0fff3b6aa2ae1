#include "study/build_commit.h"

#include "study/commit.h"

namespace plimsoll::study {

std::string_view build_commit() {
  return kCommit;
}

}  // namespace plimsoll::study
