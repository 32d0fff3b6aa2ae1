#include "train/network.h"

#include <algorithm>

namespace plimsoll::train {

void TrainingBatch::add(std::span<const std::int32_t> new_ids,
                        std::span<const std::uint8_t> scored) {
  PLIMSOLL_CHECK(new_ids.size() >= 2 && (scored.empty() || scored.size() == new_ids.size()));
  for (std::size_t i = 0; i < new_ids.size(); ++i) {
    const bool counts = i + 1 < new_ids.size() && (scored.empty() || scored[i + 1] != 0);
    ids.push_back(new_ids[i]);
    targets.push_back(counts ? new_ids[i + 1] : -1);
    positions.push_back(static_cast<std::int64_t>(i));
  }
  bounds.push_back(rows());
}

std::int64_t TrainingBatch::scored() const {
  return std::ranges::count_if(targets, [](std::int32_t target) { return target >= 0; });
}

std::unique_ptr<Network> make_network(const Model& model) {
  return model.config().architecture == Architecture::gpt2 ? make_gpt2_network(model)
                                                           : make_llama_network(model);
}

}  // namespace plimsoll::train
