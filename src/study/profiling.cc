#include "study/profiling.h"

#include "eval/kernel_profile.h"
#include "eval/slow_paths.h"

namespace plimsoll::study {

VariantProfile profile_of(const Runnable& variant, const Material& material,
                          const StudyOptions& options, CeilingMeter& meter) {
  constexpr int kRounds = 2;  // before and after
  meter.restart();
  for (int i = 0; i < kRounds; ++i) meter.round();
  const Workload workload{static_cast<std::int64_t>(material.prefill.size()), options.new_tokens, 0,
                          1};
  const TracedRun run = traced_run(*variant.model, variant.context, workload);
  for (int i = 0; i < kRounds; ++i) meter.round();
  KernelProfile profile = kernel_profile(run.events, run.wall_seconds, workload, meter.result());
  profile.clock = run.clock;
  profile.timeline = run.timeline;
  return {as_json(profile), trace_json(run.events), bound_by_launches(profile)};
}

}  // namespace plimsoll::study
