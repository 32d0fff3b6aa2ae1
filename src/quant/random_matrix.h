#pragma once

#include <cstdint>

#include "quant/codec.h"

namespace plimsoll::quant {

/// A matrix of random weights (standard deviation 0.02) directly in `format`: for speed and memory,
/// not for quality. A few dozen rows are encoded and then repeated, so that seven billion weights
/// take seconds. The same for every number of threads.
Matrix random_matrix(WeightFormat format, std::int64_t rows, std::int64_t columns,
                     const EncodeOptions& options, std::uint64_t seed);

}  // namespace plimsoll::quant
