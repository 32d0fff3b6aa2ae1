#pragma once

#include "core/tensor.h"

namespace plimsoll {

/// Tells the kernel that a mapped tensor's pages will not be read again soon: they leave this
/// process's memory (and come back from the file should they be read after all). For views into
/// mapped files only. Loading a checkpoint in another format then never holds both.
void release_pages(const Tensor& mapped);

}  // namespace plimsoll
