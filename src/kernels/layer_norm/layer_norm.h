// LayerNorm (arXiv:1607.06450): y = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by
// row; the variance is the biased one.
#pragma once

#include "kernels/rms_norm/rms_norm.h"

namespace plimsoll::kernels {

void layer_norm(const NormArgs& args);
void layer_norm_ref(const NormArgs& args);

/// With n = (x - mean) / sqrt(variance + epsilon) = (x - mean) r and g = w dy:
/// dx += r (g - mean(g) - n mean(n g)),  dweight += sum over rows of n dy,  dbias += that of dy.
void layer_norm_backward(const NormGradientArgs& args);

}  // namespace plimsoll::kernels
