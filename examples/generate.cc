// Loads a checkpoint, shows how a prompt is cut into tokens, and streams its continuation.
//
//   generate models/demo "The captain" 60
//
// Built with the project; elsewhere, after `cmake --install`:
//
//   find_package(plimsoll REQUIRED)
//   target_link_libraries(your_program PRIVATE plimsoll::plimsoll)
#include <plimsoll/plimsoll.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: generate MODEL PROMPT [TOKENS]\n";
    return 2;
  }
  try {
    const auto model = plimsoll::LanguageModel::load(argv[1]);
    std::cerr << model.encode(argv[2]).size() << " tokens, vocabulary of " << model.vocab_size()
              << ", context of " << model.context_length() << "\n";

    plimsoll::api::GenerateOptions options;
    options.max_new_tokens = argc > 3 ? std::atoi(argv[3]) : 60;
    options.repetition_penalty = 1.1;
    std::cout << argv[2];
    model.generate(argv[2], options, [](std::string_view piece) {
      std::cout << piece << std::flush;
      return true;  // false would stop
    });
    std::cout << "\n";
  } catch (const plimsoll::api::Error& error) {
    std::cerr << "generate: " << error.what() << "\n";
    return 2;
  }
  return 0;
}
