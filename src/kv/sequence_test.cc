#include "kv/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/rng.h"
#include "kv/kv_format.h"
#include "kv/kv_layout.h"
#include "support/support.h"

namespace plimsoll::kv {
namespace {

const KvShape kShape{2, 3, 8};

/// What a token's keys and values are filled with.
std::vector<float> marked(std::int64_t tokens, float mark) {
  std::vector<float> rows(static_cast<std::size_t>(tokens * kShape.kv_heads * kShape.head_dim));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = mark + static_cast<float>(i);
  return rows;
}

TEST(Sequence, TokensOfManySequencesNeverShareASlot) {
  BlockPool pool(kShape, 160);
  Sequence a(pool);
  Sequence b(pool);
  a.extend(17);
  b.extend(40);
  a.extend(30);
  write_tokens(a.view(0), 0, 47, marked(47, 0).data(), marked(47, 1e4f).data());
  write_tokens(b.view(0), 0, 40, marked(40, 2e4f).data(), marked(40, 3e4f).data());
  std::vector<float> row(static_cast<std::size_t>(kShape.head_dim));
  const auto expect = [&](const Sequence& sequence, float key_mark, float value_mark) {
    const KvView view = sequence.view(0);
    for (std::int64_t token = 0; token < view.length; ++token) {
      for (std::int64_t head = 0; head < kShape.kv_heads; ++head) {
        const auto at = static_cast<float>((token * kShape.kv_heads + head) * kShape.head_dim);
        read_key(view, token, head, row.data());
        for (std::size_t e = 0; e < row.size(); ++e) {
          ASSERT_EQ(row[e], key_mark + at + static_cast<float>(e));
        }
        read_value(view, token, head, row.data());
        for (std::size_t e = 0; e < row.size(); ++e) {
          ASSERT_EQ(row[e], value_mark + at + static_cast<float>(e));
        }
      }
    }
  };
  expect(a, 0, 1e4f);
  expect(b, 2e4f, 3e4f);
}

TEST(Sequence, AFullPoolSaysHowManyTokensFitAndLeavesTheSequenceAsItWas) {
  BlockPool pool(kShape, 32);
  Sequence a(pool);
  a.extend(16);
  EXPECT_EQ(test::message_of<InputError>([&] { a.extend(17); }),
            "the KV cache is full: room for 32 tokens in all, 16 free, 32 needed");
  EXPECT_EQ(a.length(), 16);
  EXPECT_EQ(pool.free_blocks(), 1);
  a.extend(16);
}

TEST(Sequence, TruncatingAndDyingGiveBlocksBack) {
  BlockPool pool(kShape, 64);
  {
    Sequence a(pool);
    a.extend(60);
    EXPECT_EQ(pool.free_blocks(), 0);
    a.truncate(17);
    EXPECT_EQ(pool.free_blocks(), 2);
    Sequence moved = std::move(a);
    EXPECT_EQ(moved.length(), 17);
  }
  EXPECT_EQ(pool.free_blocks(), 4);
}

TEST(Sequence, SequencesThatGrowInTurnLieInRuns) {
  constexpr std::int64_t kSequences = 8, kTokens = 640;
  BlockPool pool(kShape, kSequences * kTokens);
  std::vector<Sequence> sequences;
  for (std::int64_t i = 0; i < kSequences; ++i) sequences.emplace_back(pool);
  for (std::int64_t token = 0; token < kTokens; ++token) {
    for (Sequence& sequence : sequences) sequence.extend(1);
  }
  EXPECT_EQ(pool.free_blocks(), 0);
  for (const Sequence& sequence : sequences) {
    const std::int32_t* table = sequence.view(0).table;
    std::int64_t runs = 1;
    for (std::int64_t i = 1; i < blocks_for(kTokens); ++i) runs += table[i] != table[i - 1] + 1;
    EXPECT_EQ(runs, 1);
  }
  // What a fork writes goes on elsewhere; what was given back is found again.
  sequences.erase(sequences.begin() + 3);
  Sequence fork = sequences.front().fork();
  fork.extend(kTokens / 2);
  EXPECT_EQ(pool.free_blocks(), blocks_for(kTokens / 2));
}

TEST(Sequence, AForkCopiesOnlyTheBlockThatItWritesInto) {
  BlockPool pool(kShape, 96);
  Sequence a(pool);
  a.extend(40);
  Sequence b = a.fork();
  EXPECT_EQ(pool.free_blocks(), 3);
  b.extend(1);
  EXPECT_EQ(pool.free_blocks(), 2);
  a.extend(1);  // its last block is its own again
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_EQ(a.view(0).table[1], b.view(0).table[1]);
  EXPECT_NE(a.view(0).table[2], b.view(0).table[2]);
}

TEST(Sequence, AWindowKeepsTheCacheSmallHoweverLongTheText) {
  KvShape shape = kShape;
  shape.window = 20;
  constexpr std::int64_t kStep = 7;
  BlockPool pool(shape, shape.tokens_held(10000, kStep));
  EXPECT_EQ(pool.capacity_tokens(), 64);
  Sequence a(pool);
  while (a.length() < 9000) {
    const std::int64_t position = a.length();
    a.extend(kStep);
    ASSERT_LE(a.first(), std::max<std::int64_t>(0, position - shape.window + 1));
    ASSERT_TRUE(a.can_truncate(position));
  }
  EXPECT_FALSE(a.can_truncate(8900));
  EXPECT_TRUE(a.can_truncate(0));
  a.truncate(0);
  EXPECT_EQ(pool.free_blocks(), 4);
  EXPECT_EQ(a.first(), 0);
}

/// Sequences with, beside each, its tokens as plain numbers.
class RandomSequences : public testing::TestWithParam<std::tuple<KvFormat, std::int64_t>> {
 protected:
  struct Pair {
    Sequence sequence;
    std::vector<int> tokens;
  };

  /// Row of a token: small whole numbers, of which the first is 127, so that every format holds
  /// them exactly.
  std::vector<float> row_of(int token, std::int64_t layer, bool value) const {
    std::vector<float> row(static_cast<std::size_t>(kShape.kv_heads * kShape.head_dim));
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto at = static_cast<int>(i);
      row[i] =
          at % kShape.head_dim == 0
              ? 127.0f
              : static_cast<float>(
                    (token * 13 + at * 7 + static_cast<int>(layer) * 31 + (value ? 57 : 0)) % 127);
    }
    return row;
  }

  void extend(Pair& pair, std::int64_t count) {
    const std::int64_t begin = pair.sequence.length();
    pair.sequence.extend(count);
    for (std::int64_t i = 0; i < count; ++i) {
      const int token = next_token_++;
      pair.tokens.push_back(token);
      for (std::int64_t layer = 0; layer < kShape.layers; ++layer) {
        write_tokens(pair.sequence.view(layer), begin + i, 1, row_of(token, layer, false).data(),
                     row_of(token, layer, true).data());
      }
    }
  }

  void expect_same(const Pair& pair) const {
    ASSERT_EQ(pair.sequence.length(), static_cast<std::int64_t>(pair.tokens.size()));
    std::vector<float> row(static_cast<std::size_t>(kShape.head_dim));
    for (std::int64_t layer = 0; layer < kShape.layers; ++layer) {
      const KvView view = pair.sequence.view(layer);
      for (std::int64_t token = view.first; token < view.length; ++token) {
        for (const bool value : {false, true}) {
          const auto expected = row_of(pair.tokens[static_cast<std::size_t>(token)], layer, value);
          for (std::int64_t head = 0; head < kShape.kv_heads; ++head) {
            (value ? read_value : read_key)(view, token, head, row.data());
            ASSERT_TRUE(
                std::equal(row.begin(), row.end(), expected.begin() + head * kShape.head_dim))
                << "token " << token << " layer " << layer << " head " << head;
          }
        }
      }
    }
  }

  int next_token_ = 0;
};

TEST_P(RandomSequences, HoldWhatAPlainListWould) {
  KvShape shape = kShape;
  std::tie(shape.format, shape.window) = GetParam();
  BlockPool pool(shape, 30 * kBlockTokens);
  Rng rng(5);
  std::vector<Pair> pairs;
  int refused = 0;
  int forked = 0;
#ifdef PLIMSOLL_SLOW_BUILD
  constexpr int kSteps = 200;
#else
  constexpr int kSteps = 400;
#endif
  for (int step = 0; step < kSteps; ++step) {
    if (pairs.empty()) pairs.push_back({Sequence(pool), {}});
    const std::size_t at = rng.below(pairs.size());
    Pair& pair = pairs[at];
    const std::uint64_t action = rng.below(8);
    if (action < 4) {
      const std::int64_t free = pool.free_blocks();
      const std::int64_t length = pair.sequence.length();
      try {
        extend(pair, static_cast<std::int64_t>(rng.below(40)));
      } catch (const InputError&) {
        ++refused;
        ASSERT_EQ(pool.free_blocks(), free);
        ASSERT_EQ(pair.sequence.length(), length);
        pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(at));
      }
    } else if (action < 6 && pairs.size() < 8) {
      ++forked;
      Pair child{pair.sequence.fork(), pair.tokens};
      pairs.push_back(std::move(child));
    } else if (action == 6) {
      const auto length = static_cast<std::int64_t>(rng.below(pair.tokens.size() + 1));
      if (pair.sequence.can_truncate(length)) {
        pair.sequence.truncate(length);
        pair.tokens.resize(static_cast<std::size_t>(length));
      }
    } else {
      pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(at));
    }
    std::set<std::int32_t> used;
    for (const Pair& each : pairs) {
      expect_same(each);
      if (HasFatalFailure()) return;
      const KvView view = each.sequence.view(0);
      for (std::int64_t i = view.first / kBlockTokens; i < blocks_for(view.length); ++i) {
        used.insert(view.table[i]);
      }
    }
    ASSERT_EQ(pool.free_blocks() + static_cast<std::int64_t>(used.size()), 30);
  }
  EXPECT_GT(refused, kSteps / 200);
  EXPECT_GT(forked, 30);
}

INSTANTIATE_TEST_SUITE_P(Formats, RandomSequences,
                         testing::Combine(testing::Values(KvFormat::f32, KvFormat::bf16,
                                                          KvFormat::fp16, KvFormat::int8),
                                          testing::Values(0, 37)),
                         [](const auto& tested) {
                           return std::string(kv_format_name(std::get<0>(tested.param))) +
                                  "Window" + std::to_string(std::get<1>(tested.param));
                         });

}  // namespace
}  // namespace plimsoll::kv
