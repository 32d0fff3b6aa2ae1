#include "model/weight_loader.h"

#include <array>

namespace plimsoll {

std::string_view part_name(Part part) {
  constexpr std::array<std::string_view, 5> kNames{"embedding", "attention", "mlp", "norm", "head"};
  return kNames[static_cast<std::size_t>(part)];
}

}  // namespace plimsoll
