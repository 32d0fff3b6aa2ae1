// What the copy engine knows of a matrix that it takes boxes of (PTX ISA 8.4, "tensor-map").
#pragma once

#include <cuda.h>

#include <cstdint>

namespace plimsoll::kernels {

/// Of a matrix [rows, words] of 32-bit words on the device, rows after each other, 16-byte aligned;
/// boxes have `box_rows` rows of `box_words` words, up to 256 of each and a multiple of 16 bytes.
/// In shared memory a box's rows lie after each other; what is beyond the matrix comes as zeros.
/// sm_90 and later.
CUtensorMap tensor_map(const void* matrix, std::uint64_t rows, std::uint64_t words,
                       std::uint32_t box_rows, std::uint32_t box_words);

}  // namespace plimsoll::kernels
