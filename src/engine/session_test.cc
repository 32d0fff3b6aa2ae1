#include "engine/session.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;

/// 60 ids that do not repeat soon: more than the tiny Mistral's sliding window and three cache
/// blocks.
Ids conversation() {
  Ids ids;
  for (std::int32_t i = 0; i < 60; ++i) ids.push_back(3 + i * 37 % 300);
  return ids;
}

Ids front(const Ids& ids, std::size_t count) {
  return {ids.begin(), ids.begin() + count};
}

class SessionTiny : public testing::TestWithParam<const char*> {
 protected:
  Tensor read_at_once(const Ids& ids) { return Session(*model_, {}, 96).read(ids); }
  /// The passes have other shapes, so sums may be rounded otherwise: a few units of float's 6e-8,
  /// grown over the layers.
  void expect_same(const Tensor& actual, const Tensor& expected) {
    EXPECT_LT(test::relative_to_largest(actual.span<float>(), expected.span<float>()), 1e-5);
  }

  std::unique_ptr<Model> model_ = load_model(test::golden(GetParam()).string());
  Ids ids_ = conversation();
};

TEST_P(SessionTiny, TurnsGiveTheLogitsOfOneGo) {
  Session session(*model_, {}, 96);
  for (const std::size_t end : {7u, 8u, 33u, 60u}) {
    expect_same(session.read(front(ids_, end)), read_at_once(front(ids_, end)));
  }
}

TEST_P(SessionTiny, WhatDiffersIsForgotten) {
  Session session(*model_, {}, 96);
  session.read(ids_);
  Ids other = front(ids_, 40);
  other[21] = 17;  // in the middle of a block
  expect_same(session.read(other), read_at_once(other));
  EXPECT_EQ(Ids(session.ids().begin(), session.ids().end()), other);
  // The same again, and less than was read.
  expect_same(session.read(other), read_at_once(other));
  expect_same(session.read(front(other, 5)), read_at_once(front(other, 5)));
}

TEST_P(SessionTiny, ALongTextInSmallChunksTakesTheSameTurns) {
  ops::Context context;
  context.prefill_chunk = 8;
  Session session(*model_, context, 96);
  session.read(ids_);
  expect_same(session.read(front(ids_, 59)), read_at_once(front(ids_, 59)));
  // So far back that a sliding window has dropped what is needed: all is read again.
  expect_same(session.read(front(ids_, 30)), read_at_once(front(ids_, 30)));
}

TEST_P(SessionTiny, AnAnswerIsKnownInTheNextTurn) {
  GenerateOptions options;
  options.max_new_tokens = 6;
  options.ignore_eos = true;
  Session session(*model_, {}, 96);
  Ids text = front(ids_, 20);
  const Generation first = session.generate(text, options);
  EXPECT_EQ(first.known_tokens, 0);
  EXPECT_EQ(first.ids, generate(*model_, {}, text, options).ids);

  text.insert(text.end(), first.ids.begin(), first.ids.end());
  text.push_back(9);
  const Generation second = session.generate(text, options);
  EXPECT_EQ(second.known_tokens, 25);  // the last of six was chosen, but never read
  EXPECT_EQ(second.ids, generate(*model_, {}, text, options).ids);

  session.reset();
  EXPECT_EQ(session.generate(text, options).known_tokens, 0);
}

TEST_P(SessionTiny, AFullSessionSaysSoAndGoesOnAfterAReset) {
  GenerateOptions options;
  options.max_new_tokens = 50;
  options.ignore_eos = true;
  Session session(*model_, {}, 32);
  const Generation cut = session.generate(front(ids_, 30), options);
  EXPECT_EQ(cut.ids.size(), 3u);  // the third needs no room
  EXPECT_EQ(cut.stop, StopReason::context_full);
  EXPECT_EQ(test::message_of<InputError>([&] { session.generate(front(ids_, 33), options); }),
            "the prompt: length: found 33 tokens, expected at most 32, the room of the session");
  EXPECT_THROW(session.read(ids_), InputError);
  const Ids little = front(ids_, 4);
  expect_same(session.read(little), read_at_once(little));
}

INSTANTIATE_TEST_SUITE_P(Architectures, SessionTiny,
                         testing::Values("gpt2-tiny", "mistral-tiny", "qwen2-tiny"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           name.resize(name.find('-'));
                           return name;
                         });

}  // namespace
}  // namespace plimsoll
