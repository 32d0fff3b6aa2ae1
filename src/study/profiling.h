// Where each variant's time goes, against the ceilings of the same minutes.
#pragma once

#include <optional>
#include <string>

#include "study/judging.h"

namespace plimsoll::study {

struct VariantProfile {
  RawJson profile;                  // by kernel and by part, "trace_file" null
  std::string trace;                // every call, for Perfetto
  std::optional<std::string> slow;  // what the profile tells of a slow path
};

/// One traced run of the study's prefill and new tokens, after one that warms up.
VariantProfile profile_of(const Runnable& variant, const Material& material,
                          const StudyOptions& options, CeilingMeter& meter);

}  // namespace plimsoll::study
