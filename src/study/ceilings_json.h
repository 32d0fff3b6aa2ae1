// The machine's ceilings as every JSON of ours has them.
#pragma once

#include <nlohmann/json.hpp>

#include "eval/ceilings.h"

namespace plimsoll::study {

/// {"threads", "bytes_per_thread", "read_gbps": the best pattern's median, "reads": [{"probe",
/// "streams", "gbps": {"median", "best", "samples"}}], "units": [{"unit", "probe", "isa", "gops":
/// {...}}]}
nlohmann::ordered_json ceilings_json(const Ceilings& ceilings);

}  // namespace plimsoll::study
