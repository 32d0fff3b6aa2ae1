// The loss of a batch and its gradient.
#pragma once

#include "train/network.h"

namespace plimsoll::train {

struct GradientOptions {
  float weight = 1;        // of each scored token's loss in what is differentiated
  bool recompute = false;  // activation checkpointing: a layer keeps its input alone, and is
                           // computed again on the way back (arXiv:1604.06174)
  Dropout dropout;
};

/// Sum of the scored tokens' losses, in nats, and its gradient, times the weight, added to the
/// parameters' gradients. The head is computed a few rows at a time: all logits are never held.
double loss_and_gradient(const Network& network, const TrainingBatch& batch,
                         const Parameters& parameters, const GradientOptions& options);
/// The loss alone.
double loss(const Network& network, const TrainingBatch& batch);

}  // namespace plimsoll::train
