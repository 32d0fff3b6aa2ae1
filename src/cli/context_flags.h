// Flags that say how to compute: on what, in which arithmetic, with which attention.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "ops/context.h"

namespace plimsoll::cli {

struct ContextFlags {
  std::string attention = "sdpa";
  std::string kv;                  // empty: fp32 on the CPU, fp16 on a GPU
  std::int64_t prefill_chunk = 0;  // 0: by the cache's size
  std::string compute;             // empty: what the command does on the CPU, fast on a GPU
  std::string default_compute = "fast";
  std::string numerics = "auto";
  bool explain = false;
  std::string device = "cpu";
  std::string isa;  // empty: the best
  int threads = 0;  // 0: every core

  /// Checks the flags and sets up threads, instruction set and device. InputError naming the flag.
  ops::Context context() const;
};

/// What --device names; nullptr: the CPU. InputError where it cannot be used.
ops::Device* opened_device(const std::string& name);

/// Of --kv.
inline constexpr const char* kKvHelp =
    "How keys and values are stored: fp32, bf16, fp16 or int8 (default: fp32, on a GPU fp16)";

/// All of them. A command that takes a list where others take one value adds the groups below.
void add_context_flags(CLI::App& command, ContextFlags& flags, const std::string& default_compute);
/// --attention, --kv.
void add_attention_flags(CLI::App& command, ContextFlags& flags);
/// --compute, --numerics, --prefill-chunk, --explain.
void add_arithmetic_flags(CLI::App& command, ContextFlags& flags,
                          const std::string& default_compute);
/// --device alone.
void add_device_flag(CLI::App& command, std::string& device);
/// --device, --isa.
void add_device_flags(CLI::App& command, ContextFlags& flags);
/// --device for a command that computes on the CPU alone; another one is refused with what it can
/// be used for instead.
void add_cpu_device_flag(CLI::App& command, const std::string& instead);
/// These and --threads.
void add_machine_flags(CLI::App& command, ContextFlags& flags);

}  // namespace plimsoll::cli
