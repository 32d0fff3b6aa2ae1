#pragma once

#include <cstdint>

#include "quant/codec.h"

namespace plimsoll::quant {

/// Bytes that a matrix [rows, columns] takes in a format, scales and statistics counted, without
/// encoding one. Equals matrix_bytes(encode(...)).
std::int64_t stored_bytes(WeightFormat format, std::int64_t rows, std::int64_t columns,
                          const EncodeOptions& options = {});

}  // namespace plimsoll::quant
