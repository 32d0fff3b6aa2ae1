#pragma once

#include <span>

#include "quant/matrix.h"

namespace plimsoll::kernels {

/// Products of 16, 64 and 256 rows at Mistral-7B's shapes beside cuBLAS's with fp16 weights: each
/// verified against the kernel of one row, then timed. Prints a table for each format, which is one
/// of integers or of a table.
void bench_many_rows(std::span<const quant::WeightFormat> formats);

}  // namespace plimsoll::kernels
