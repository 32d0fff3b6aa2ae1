// Where a model runs slower than the machine would allow, and why: what a careful colleague would
// point out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/kernel_profile.h"
#include "model/model.h"

namespace plimsoll {

/// One line for each reason, none where all is well: an instruction set that --isa holds back;
/// linear layers whose kernel leaves a faster unit of the CPU unused (a format that has no such
/// kernel, --compute exact, a shape that a kernel refuses) or is of an older instruction set than
/// one that refused; attention that fell back to whole score matrices. Of passes over a prompt of
/// `rows` tokens and over single tokens. InputError when context.attention cannot run.
std::vector<std::string> slow_paths(Model& model, const ops::Context& context,
                                    std::int64_t rows = 512);

/// A line where a GPU's kernels are so short, and their work at the ceilings so little of the run's
/// time, that launching them bounds it; nullopt where not, or where it is not known.
std::optional<std::string> bound_by_launches(const KernelProfile& profile);

}  // namespace plimsoll
