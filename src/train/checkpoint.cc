#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "core/device_memory.h"
#include "storage/json.h"
#include "storage/safetensors.h"
#include "storage/safetensors_writer.h"

namespace plimsoll::train {

namespace {

namespace fs = std::filesystem;

struct Part {
  const char* prefix;
  Tensor Parameter::*tensor;
};
constexpr std::array<Part, 3> kParts{
    {{"value.", &Parameter::value}, {"mean.", &Parameter::mean}, {"square.", &Parameter::square}}};

std::string metadata(const SafetensorsFile& file, const std::string& key) {
  const auto at = file.metadata().find(key);
  if (at == file.metadata().end())
    throw InputError(file.path().string(), key, "nothing", "a checkpoint of plimsoll finetune");
  return at->second;
}

/// InputError naming the first setting that differs.
void check_recipe(const std::string& where, const std::string& stored, const std::string& now) {
  const Json then = parse_json(stored, where), wanted = parse_json(now, "the recipe");
  for (const auto& [key, value] : wanted.items()) {
    const Json* before = find_field(then, key);
    if (before == nullptr || *before != value) {
      throw InputError(where, key, before == nullptr ? "nothing" : before->dump(),
                       fmt::format("{}, as this run was asked for", value.dump()));
    }
  }
}

}  // namespace

fs::path checkpoint_file(const fs::path& folder) {
  return folder / "training-state.safetensors";
}

void write_checkpoint(const fs::path& folder, const Parameters& parameters, std::int64_t step,
                      const std::string& recipe) {
  TensorSpecs specs;
  for (const Part& part : kParts) {
    for (const Parameter& parameter : parameters.all())
      specs.push_back({part.prefix + parameter.name, {DType::f32, parameter.value.shape()}});
  }
  SafetensorsWriter writer(checkpoint_file(folder), specs,
                           {{"step", std::to_string(step)}, {"recipe", recipe}});
  for (const Part& part : kParts) {
    for (const Parameter& parameter : parameters.all())
      writer.write(part.prefix + parameter.name, (parameter.*part.tensor).to_host());
  }
  writer.finish();
}

std::optional<std::int64_t> read_checkpoint(const fs::path& folder, Parameters& parameters,
                                            const std::string& recipe) {
  const fs::path path = checkpoint_file(folder);
  if (!fs::exists(path)) return std::nullopt;
  const SafetensorsFile file = SafetensorsFile::open(path);
  check_recipe(path.string(), metadata(file, "recipe"), recipe);
  const std::string text = metadata(file, "step");
  std::int64_t step = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc{} || stop != text.data() + text.size() || step < 0)
    throw InputError(path.string(), "step", quote(text), "a whole number");
  for (const Part& part : kParts) {
    for (const Parameter& parameter : parameters.all()) {
      const std::string name = part.prefix + parameter.name;
      const TensorInfo& info = file.info(name);
      if (info.dtype != DType::f32 || info.shape != parameter.value.shape()) {
        throw InputError(path.string(), name, "shape " + to_string(info.shape),
                         "F32 " + to_string(parameter.value.shape()));
      }
    }
  }
  for (const Part& part : kParts) {
    for (Parameter& parameter : parameters.all()) {
      const Tensor stored = file.tensor(part.prefix + parameter.name);
      Tensor& to = parameter.*part.tensor;
      if (to.device() != nullptr) {
        to.device()->upload(stored.raw(), to.raw(), to.bytes());
      } else {
        std::ranges::copy(stored.span<float>(), to.span<float>().begin());
      }
    }
  }
  return step;
}

}  // namespace plimsoll::train
