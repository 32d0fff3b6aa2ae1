// Weights made up: the exact shapes of a model, for speed and memory.
#pragma once

#include <map>
#include <tuple>

#include "core/progress.h"
#include "model/checkpoint_loader.h"

namespace plimsoll {

/// Matrices are made directly in the plan's format (bf16 when it has none), so that a 7B model in 4
/// bits never takes 14 GB. Values are small and seeded by the tensor's name: activations stay
/// finite, every run is the same.
class RandomLoader : public WeightLoader {
 public:
  /// `alike`: layers of one shape share their memory, for who copies them elsewhere.
  RandomLoader(WeightPlan plan, Progress progress, std::int64_t matrices, bool alike = false)
      : plan_(std::move(plan)),
        progress_(std::move(progress)),
        matrices_(matrices),
        alike_(alike) {}

  ops::Linear linear(const LinearSpec& spec) override;
  quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) override;
  Tensor vector(const std::string& name, std::int64_t size) override;

 private:
  quant::Matrix matrix(const LinearSpec& spec);
  /// Of what is not quantised.
  quant::WeightFormat dense_format() const;

  WeightPlan plan_;
  Progress progress_;
  std::int64_t matrices_;
  std::int64_t done_ = 0;
  bool alike_;
  std::map<std::tuple<quant::WeightFormat, std::int64_t, std::int64_t>, quant::Matrix> made_;
};

}  // namespace plimsoll
