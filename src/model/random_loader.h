// Weights made up: the exact shapes of a model, for speed and memory.
#pragma once

#include "core/progress.h"
#include "model/checkpoint_loader.h"

namespace plimsoll {

/// Matrices are made directly in the plan's format (bf16 when it has none), so that a 7B model in 4
/// bits never takes 14 GB. Values are small and seeded by the tensor's name: activations stay
/// finite, every run is the same.
class RandomLoader : public WeightLoader {
 public:
  RandomLoader(WeightPlan plan, Progress progress, std::int64_t matrices)
      : plan_(std::move(plan)), progress_(std::move(progress)), matrices_(matrices) {}

  ops::Linear linear(const LinearSpec& spec) override;
  quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) override;
  Tensor vector(const std::string& name, std::int64_t size) override;

 private:
  /// Of what is not quantised.
  quant::WeightFormat dense_format() const;

  WeightPlan plan_;
  Progress progress_;
  std::int64_t matrices_;
  std::int64_t done_ = 0;
};

}  // namespace plimsoll
