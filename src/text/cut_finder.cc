#include "text/cut_finder.h"

#include "text/utf8.h"

namespace plimsoll {

void CutFinder::add_piece(std::string_view piece) {
  if (piece.empty()) return;
  utf8::Step before = utf8::next(piece);
  piece.remove_prefix(before.length);
  while (!piece.empty()) {
    const utf8::Step after = utf8::next(piece);
    const std::uint64_t bit = hash(before.code_point, after.code_point);
    forbidden_[bit / 64] |= std::uint64_t{1} << bit % 64;
    piece.remove_prefix(after.length);
    before = after;
  }
}

}  // namespace plimsoll
