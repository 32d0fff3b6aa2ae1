// The "decoder" of a tokenizer.json: token strings to text. It is made of stages that strings flow
// through one by one, so that whole decoding and streaming are the same code; a stage holds back
// what later tokens could still change.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/json.h"

namespace plimsoll {

class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void push(std::string token) = 0;
  virtual void finish() { next_->finish(); }
  void set_next(DecodeStage* next) { next_ = next; }

 protected:
  DecodeStage* next_ = nullptr;
};

class Decoder {
 public:
  /// No decoder at all: tokens joined by spaces.
  Decoder();
  /// Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and BPEDecoder.
  /// InputError for any other type.
  Decoder(const Json& json, const std::string& where);
  static Decoder byte_level();

  /// Fresh stages, first to last, not yet linked.
  std::vector<std::unique_ptr<DecodeStage>> stages() const;

 private:
  using Factory = std::function<std::unique_ptr<DecodeStage>()>;
  template <class Stage, class... Args>
  void add(const Args&... args);
  void read_part(const Json& part, const std::string& type, const std::string& where);

  std::vector<Factory> factories_;
  bool fused_ = false;  // while reading: the stages so far end in one token, which comes in parts
};

}  // namespace plimsoll
