#pragma once

namespace plimsoll::kernels {

/// What training computes beside matrix products: attention's forward and backward, verified, then
/// timed, and the kernels that memory bounds, which kernels_cuda_test verifies. `ceiling`: the copy
/// bandwidth in GB/s. Prints a table.
int bench_training(double ceiling);

}  // namespace plimsoll::kernels
