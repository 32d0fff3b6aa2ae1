// The learning rate step by step.
#pragma once

#include <cstdint>
#include <string>

namespace plimsoll::train {

enum class Schedule { cosine, linear, constant };
/// InputError naming --schedule.
Schedule schedule_from_name(const std::string& name);
std::string schedule_name(Schedule schedule);

/// Of step `step` (from 1) of `steps`: up in a straight line over the first `warmup` steps, then
/// along half a cosine or a straight line to zero behind the last step, or constant.
double rate_of_step(Schedule schedule, double rate, std::int64_t step, std::int64_t steps,
                    std::int64_t warmup);

}  // namespace plimsoll::train
