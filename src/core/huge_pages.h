// Memory for what is large and read from end to end again and again: weights, keys and values.
#pragma once

#include "core/tensor.h"

namespace plimsoll {

/// Uninitialised, on huge pages where the kernel gives them (madvise): a stream through 4 KiB pages
/// asks the TLB for a new one every 64 cache lines. InputError when the machine has not the memory.
Tensor empty_on_huge_pages(DType dtype, Shape shape);

/// The same for what lives as long as its neighbours, such as a model's matrices: several lie on
/// one huge page, so that neither small ones nor the ends of large ones lie on small pages. What
/// they share is given back when all of them are gone.
Tensor empty_on_shared_huge_pages(DType dtype, Shape shape);

}  // namespace plimsoll
