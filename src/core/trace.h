// What ran, how long, and how much work it declared: the ground for profiles and shares of a
// ceiling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::trace {

/// The unit of whatever says no other.
inline constexpr std::string_view kDefaultUnit = "fp32";

/// One finished scope.
struct Event {
  std::string_view name;  // the kernel variant: "gemm_dense_avx512"
  std::string_view part;  // part of the model: "attention", "mlp", "head", "norm", ...
  std::int64_t begin_ns = 0;
  std::int64_t duration_ns = 0;
  std::int64_t bytes = 0;       // that must move to and from memory, each input and output once
  std::int64_t operations = 0;  // multiply and add count as two
  std::string_view unit = kDefaultUnit;  // whose peak judges the operations: "fp32", "bf16", "int8"
};

/// Starts recording on this process, dropping what was recorded before.
void start();
/// Stops and gives what was recorded since start().
std::vector<Event> stop();
bool recording();

/// Names the part of the model that the scopes inside belong to, for as long as it lives: a model
/// names "attention", "mlp" and "head"; norms and embeddings name their own wherever they stand.
class Part {
 public:
  explicit Part(std::string_view name);
  ~Part();
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

 private:
  std::string_view outer_;
};

/// Times its own life. Costs one load when nothing records. Strings must be literals.
class Scope {
 public:
  Scope(std::string_view name, std::int64_t bytes, std::int64_t operations,
        std::string_view unit = kDefaultUnit);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Event event_;
  bool on_;
};

}  // namespace plimsoll::trace
