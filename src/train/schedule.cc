#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/quote.h"

namespace plimsoll::train {

Schedule schedule_from_name(const std::string& name) {
  for (const Schedule schedule : {Schedule::cosine, Schedule::linear, Schedule::constant})
    if (schedule_name(schedule) == name) return schedule;
  throw InputError("--schedule", "name", quote(name), "cosine, linear or constant");
}

std::string schedule_name(Schedule schedule) {
  switch (schedule) {
    case Schedule::cosine:
      return "cosine";
    case Schedule::linear:
      return "linear";
    case Schedule::constant:
      return "constant";
  }
  PLIMSOLL_CHECK(false);
}

double rate_of_step(Schedule schedule, double rate, std::int64_t step, std::int64_t steps,
                    std::int64_t warmup) {
  if (step <= warmup) return rate * static_cast<double>(step) / static_cast<double>(warmup);
  const double done = static_cast<double>(step - 1 - warmup) /
                      static_cast<double>(std::max<std::int64_t>(1, steps - warmup));
  switch (schedule) {
    case Schedule::cosine:
      return rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
    case Schedule::linear:
      return rate * (1 - done);
    case Schedule::constant:
      return rate;
  }
  PLIMSOLL_CHECK(false);
}

}  // namespace plimsoll::train
