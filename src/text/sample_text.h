#pragma once

#include <string_view>

namespace plimsoll {

/// The sea story of models/demo/sample.txt, built into the program so that every model can be
/// evaluated, calibrated and fine-tuned without a network. CC0.
std::string_view sample_text();

/// Its first chapters, from which calibration draws, and the others, on which quality is judged
/// unless the user gives a text: no weight is ever chosen by the text that judges it.
std::string_view calibration_sample();
std::string_view evaluation_sample();

}  // namespace plimsoll
