// llama-bench's grammar for numbers: comma lists and ranges.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plimsoll::cli {

/// "512", "1,2,8", "128-512+128" (128, 256, 384, 512), "1-16*2" (1, 2, 4, 8, 16), "1-4" (every
/// one), and comma lists of these. Each of `texts` is one use of the flag; the results follow each
/// other. InputError naming `flag` for anything else, for a number outside [min, max], and for more
/// than a thousand of them.
std::vector<std::int64_t> parse_int_list(const std::vector<std::string>& texts,
                                         const std::string& flag, std::int64_t min,
                                         std::int64_t max);

/// Comma lists of words: "int8,nf4-dq". InputError naming `flag` for an empty word.
std::vector<std::string> parse_word_list(const std::vector<std::string>& texts,
                                         const std::string& flag);

}  // namespace plimsoll::cli
