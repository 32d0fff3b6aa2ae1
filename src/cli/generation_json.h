#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/generate.h"
#include "ops/context.h"
#include "text/tokenizer.h"

namespace plimsoll::cli {

/// One generation as --format json prints it; "text" only where there is a tokenizer.
nlohmann::json generation_json(const Generation& generation, const Tokenizer* tokenizer,
                               const std::string& model, const ops::Context& context);

}  // namespace plimsoll::cli
