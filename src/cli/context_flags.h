// Flags that say how to compute: on what, in which arithmetic, with which attention.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "ops/context.h"

namespace plimsoll::cli {

struct ContextFlags {
  std::string attention = "sdpa";
  std::string kv = "fp32";
  std::int64_t prefill_chunk = 0;  // 0: by the cache's size
  std::string compute = "fast";
  std::string numerics = "fast";
  bool explain = false;
  std::string device = "cpu";
  std::string isa;  // empty: the best
  int threads = 0;  // 0: every core

  /// Checks the flags and sets up threads and instruction set. InputError naming the flag.
  ops::Context context() const;
};

/// All of them. A command that takes a list where others take one value adds the groups below.
void add_context_flags(CLI::App& command, ContextFlags& flags, const std::string& default_compute);
/// --attention, --kv.
void add_attention_flags(CLI::App& command, ContextFlags& flags);
/// --compute, --numerics, --prefill-chunk, --explain.
void add_arithmetic_flags(CLI::App& command, ContextFlags& flags,
                          const std::string& default_compute);
/// --device, --isa.
void add_device_flags(CLI::App& command, ContextFlags& flags);
/// These and --threads.
void add_machine_flags(CLI::App& command, ContextFlags& flags);

}  // namespace plimsoll::cli
