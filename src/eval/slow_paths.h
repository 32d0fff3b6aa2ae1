// Where a model runs slower than the machine would allow, and why: what a careful colleague would
// point out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"

namespace plimsoll {

/// One line for each reason, none where all is well: an instruction set that --isa holds back;
/// linear layers whose kernel leaves a faster unit of the CPU unused (a format that has no such
/// kernel, --compute exact, a shape that a kernel refuses) or is of an older instruction set than
/// one that refused; attention that fell back to whole score matrices. Of passes over a prompt of
/// `rows` tokens and over single tokens. InputError when context.attention cannot run.
std::vector<std::string> slow_paths(Model& model, const ops::Context& context,
                                    std::int64_t rows = 512);

}  // namespace plimsoll
