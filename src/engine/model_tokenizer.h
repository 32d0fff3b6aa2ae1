// The tokenizer that belongs to a model.
#pragma once

#include <memory>
#include <string>

#include "storage/model_config.h"
#include "text/tokenizer.h"

namespace plimsoll {

/// The tokenizer of the checkpoint folder `model`, whose config is `config`. InputError when it is
/// another model's: it has more tokens than the model, or far fewer.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& model, const ModelConfig& config);
/// Whether the folder has a file that load_tokenizer() reads.
bool has_tokenizer(const std::string& model);

}  // namespace plimsoll
