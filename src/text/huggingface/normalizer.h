// The "normalizer" of a tokenizer.json: what happens to a text before it is split.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/json.h"
#include "text/aligned_text.h"

namespace plimsoll {

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual AlignedText apply(const AlignedText& text) const = 0;
};

/// Steps in order; none: the text stays as it is.
class Normalizer {
 public:
  Normalizer() = default;
  /// Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip and StripAccents.
  /// InputError for any other type.
  Normalizer(const Json& json, const std::string& where);
  /// Unicode's canonical composition alone.
  static Normalizer nfc();

  bool empty() const { return steps_.empty(); }
  AlignedText apply(AlignedText text) const;

 private:
  std::vector<std::shared_ptr<const NormalizerStep>> steps_;
};

}  // namespace plimsoll
