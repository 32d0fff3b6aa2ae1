// Weights from a Hugging Face checkpoint.
#pragma once

#include <functional>

#include "core/progress.h"
#include "model/stored_quantization.h"
#include "model/weight_plan.h"
#include "storage/checkpoint.h"

namespace plimsoll {

/// Told of every matrix that is encoded while loading, with the weights that it was encoded from.
using OnEncoded = std::function<void(const std::string& module, const Tensor& weights,
                                     const quant::Matrix& matrix)>;

class CheckpointLoader : public WeightLoader {
 public:
  /// `matrices` is how many linear() calls will come, for the progress.
  CheckpointLoader(const Checkpoint& checkpoint, const StoredQuantization& stored, WeightPlan plan,
                   Progress progress, OnEncoded on_encoded, std::int64_t matrices)
      : checkpoint_(checkpoint),
        stored_(stored),
        plan_(std::move(plan)),
        progress_(std::move(progress)),
        on_encoded_(std::move(on_encoded)),
        matrices_(matrices) {}

  // All three: InputError naming file and tensor when it is missing, wrongly shaped or wrongly
  // typed.
  ops::Linear linear(const LinearSpec& spec) override;
  quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) override;
  Tensor vector(const std::string& name, std::int64_t size) override;

 private:
  /// The tensor's name in this checkpoint: base-model checkpoints leave out "model." or
  /// "transformer.".
  std::string resolved(const std::string& name) const;
  Tensor floating_point(const std::string& name, const Shape& shape) const;
  /// `values` in the plan's dense format, or as they are; InputError naming `name` when one is not
  /// finite (looked at only where weights are converted or quantised, not where a file is mapped).
  quant::Matrix dense(const Tensor& values, const std::string& name) const;
  std::string blamed(const std::string& name) const;
  /// In the plan's format, or as stored.
  quant::Matrix matrix(const LinearSpec& spec) const;
  /// Rearranges `matrix` when the plan says so, and lets go of what it was made from.
  void pack(quant::Matrix& matrix, const Tensor& source) const;
  /// A matrix that is quantised already, dequantised where the plan wants a dense format.
  quant::Matrix stored_matrix(const LinearSpec& spec, const std::string& module) const;

  const Checkpoint& checkpoint_;
  StoredQuantization stored_;
  WeightPlan plan_;
  Progress progress_;
  OnEncoded on_encoded_;
  std::int64_t matrices_;
  std::int64_t done_ = 0;
};

}  // namespace plimsoll
