// A trace of work on a GPU, with the times of the kernels themselves.
#pragma once

#include <span>
#include <vector>

#include "core/cuda/kernel_times.h"
#include "core/trace.h"

namespace plimsoll {

/// Each event begins, within what it was, with the first of the kernels that ran in it (a kernel
/// belongs to the innermost event that its middle lies in) and lasts as long as some of them ran:
/// launches and the host's waits are nobody's time then. Events without a kernel are left as they
/// are, and so are those that hold other events.
void take_kernel_times(std::vector<trace::Event>& events, std::span<const cuda::KernelRun> runs);

/// The time in which at least one of them ran.
double busy_seconds(std::span<const cuda::KernelRun> runs);

}  // namespace plimsoll
