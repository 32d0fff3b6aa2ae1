// One operation, several implementations: the scalar oracle and one a CPU generation. A kernel's
// folder exports its list, best first; ops chooses, `doctor` prints.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/cpu.h"
#include "core/error.h"

namespace plimsoll {

/// Yes, or why not.
struct Support {
  bool ok = true;
  std::string reason;
  static Support yes() { return {}; }
  static Support no(std::string why) { return {false, std::move(why)}; }
  explicit operator bool() const { return ok; }
};

template <class Args>
struct KernelVariant {
  std::string_view name;  // operation_format_device: "gemm_nf4_avx512"
  Isa isa;                // what the CPU must have
  /// Shapes and dtypes that it takes; nullptr: all that the operation's contract allows.
  Support (*accepts)(const Args&);
  void (*run)(const Args&);

  /// Whether the CPU (as limited by --isa) can run it at all.
  Support available() const {
    if (isa <= current_isa()) return Support::yes();
    return Support::no("needs " + std::string(isa_name(isa)));
  }
  Support supports(const Args& args) const {
    Support support = available();
    return support && accepts != nullptr ? accepts(args) : support;
  }
};

/// The first variant that supports `args`. The last of a list is the scalar one, which supports all
/// that the contract allows, so nothing falls through: an InternalError otherwise.
template <class Args>
const KernelVariant<Args>& choose_variant(std::span<const KernelVariant<Args>> variants,
                                          const Args& args) {
  std::string reasons;
  for (const KernelVariant<Args>& variant : variants) {
    const Support support = variant.supports(args);
    if (support) return variant;
    reasons += std::string(variant.name) + ": " + support.reason + "; ";
  }
  PLIMSOLL_CHECK(false, "no variant: {}", reasons);
}

}  // namespace plimsoll
