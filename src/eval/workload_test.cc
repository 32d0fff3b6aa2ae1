#include "eval/workload.h"

#include <gtest/gtest.h>

#include "core/trace.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(Workload, IsNamedAsLlamaBenchNamesIt) {
  EXPECT_EQ((Workload{512, 0, 0, 1}).name(), "pp512");
  EXPECT_EQ((Workload{0, 128, 1024, 1}).name(), "tg128 @ d1024");
  EXPECT_EQ((Workload{512, 128, 0, 1}).name(), "pp512+tg128");
  EXPECT_EQ((Workload{16, 4, 100, 3}).tokens(), 60);
}

/// Operations that a run declares, attention left out: they go with the tokens, not with the depth.
std::int64_t linear_operations(const Model& model, const Workload& workload) {
  WorkloadRun run(model, {}, workload);
  trace::start();
  EXPECT_GT(run.seconds(), 0);
  std::int64_t operations = 0;
  for (const trace::Event& event : trace::stop()) {
    if (event.name.starts_with("gemm")) operations += event.operations;
  }
  return operations;
}

TEST(Workload, DoesTheWorkItSays) {
  const auto model = load_model(test::golden("llama-tiny").string());
  const std::int64_t step = linear_operations(*model, {0, 1, 0, 1});
  EXPECT_GT(step, 0);
  EXPECT_EQ(linear_operations(*model, {0, 5, 0, 1}), 5 * step);
  EXPECT_EQ(linear_operations(*model, {0, 5, 0, 3}), 15 * step);
  EXPECT_EQ(linear_operations(*model, {0, 2, 33, 3}), 6 * step);  // the depth is read beforehand
  // A prompt's pass wants the logits of each sequence's last token only.
  const auto& c = model->config();
  const std::int64_t head = 2 * c.vocab_size * c.hidden_size;
  EXPECT_EQ(linear_operations(*model, {20, 0, 0, 2}), 40 * (step - head) + 2 * head);
}

TEST(Workload, CanBeRepeated) {
  const auto model = load_model(test::golden("llama-tiny").string());
  WorkloadRun run(*model, {}, {17, 3, 5, 2});
  for (int i = 0; i < 4; ++i) EXPECT_GT(run.seconds(), 0);  // the pool would run out otherwise
}

TEST(Workload, LearnedPositionsEnd) {
  const auto model = load_model(test::golden("gpt2-tiny").string());
  const std::int64_t positions = model->config().max_positions;
  EXPECT_NE(test::message_of<InputError>([&] {
              WorkloadRun(*model, {}, {0, 1, positions, 1});
            }).find("positions that the model has learned"),
            std::string::npos);
}

}  // namespace
}  // namespace plimsoll
