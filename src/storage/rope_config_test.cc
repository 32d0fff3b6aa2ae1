#include "storage/rope_config.h"

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

RopeConfig parse(const std::string& json) {
  return parse_rope_config(parse_json(json, "config.json"), "config.json");
}
std::string message(const std::string& json) {
  return test::message_of<InputError>([&] { parse(json); });
}

TEST(RopeConfig, HasTransformersDefaults) {
  for (const char* json : {"{}", R"({"rope_scaling": null})", R"({"rope_parameters": {}})"}) {
    EXPECT_EQ(parse(json).theta, 10000) << json;
    EXPECT_EQ(parse(json).scaling.type, RopeScaling::Type::none) << json;
  }
}

TEST(RopeConfig, ReadsBothSpellings) {
  const std::string settings = R"("factor": 32, "low_freq_factor": 1, "high_freq_factor": 4.5,
                                  "original_max_position_embeddings": 8192)";
  for (const std::string& json :
       {R"({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", )" + settings + "}}",
        R"({"rope_theta": 5e5, "rope_scaling": {"type": "llama3", )" + settings + "}}",
        R"({"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", )" + settings + "}}",
        R"({"rope_theta": 5e5, "rope_parameters": {"rope_type": "llama3", )" + settings + "}}"}) {
    const RopeConfig rope = parse(json);
    EXPECT_EQ(rope.theta, 500000) << json;
    EXPECT_EQ(rope.scaling.type, RopeScaling::Type::llama3) << json;
    EXPECT_EQ(rope.scaling.factor, 32) << json;
    EXPECT_EQ(rope.scaling.low_freq_factor, 1) << json;
    EXPECT_EQ(rope.scaling.high_freq_factor, 4.5) << json;
    EXPECT_EQ(rope.scaling.original_max_positions, 8192) << json;
  }
  const RopeConfig linear = parse(R"({"rope_scaling": {"type": "linear", "factor": 2.5}})");
  EXPECT_EQ(linear.scaling.type, RopeScaling::Type::linear);
  EXPECT_EQ(linear.scaling.factor, 2.5);
  EXPECT_EQ(linear.theta, 10000);
}

TEST(RopeConfig, RefusesTypesThatAreNotImplemented) {
  for (const std::string type : {"yarn", "longrope", "dynamic", "su"}) {
    EXPECT_EQ(message(R"({"rope_scaling": {"type": ")" + type + R"(", "factor": 2}})"),
              "config.json: rope_scaling: type: found \"" + type +
                  "\", expected one of default, linear, llama3");
  }
  EXPECT_EQ(message(R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})"),
            "config.json: rope_parameters: full_attention: found settings for one type of layers, "
            "expected the same for all layers");
  EXPECT_EQ(message(R"({"rope_parameters": {"partial_rotary_factor": 0.5}})"),
            "config.json: rope_parameters: partial_rotary_factor: found 0.5, expected 1: heads are "
            "rotated whole");
  EXPECT_EQ(message(R"({"partial_rotary_factor": 0.5})"),
            "config.json: partial_rotary_factor: found 0.5, expected 1: heads are rotated whole");
}

TEST(RopeConfig, RefusesContradictions) {
  EXPECT_EQ(message(R"({"rope_scaling": {"type": "linear", "factor": 2},
                        "rope_parameters": {"rope_type": "default"}})"),
            "config.json: rope_scaling: found another value than in rope_parameters, expected one "
            "of the two, or the same");
  EXPECT_EQ(message(R"({"rope_theta": 10000, "rope_parameters": {"rope_theta": 500000}})"),
            "config.json: rope_parameters: rope_theta: found 500000, expected the 10000 of "
            "rope_theta outside");
}

TEST(RopeConfig, RefusesValuesThatMakeNoSense) {
  EXPECT_EQ(message(R"({"rope_theta": 0})"),
            "config.json: rope_theta: found 0, expected a number from 1 to 1e+18");
  EXPECT_EQ(message(R"({"rope_theta": "big"})"),
            R"(config.json: rope_theta: found "big", expected a number from 1 to 1e+18)");
  EXPECT_EQ(message(R"({"rope_scaling": "linear"})"),
            R"(config.json: rope_scaling: found "linear", expected an object)");
  EXPECT_EQ(message(R"({"rope_scaling": {"type": "linear"}})"),
            "config.json: rope_scaling: factor: found nothing, expected a number from 1 to "
            "1000000");
  EXPECT_EQ(message(R"({"rope_scaling": {"type": "linear", "factor": 0.5}})"),
            "config.json: rope_scaling: factor: found 0.5, expected a number from 1 to 1000000");
  EXPECT_EQ(message(R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4,
                        "high_freq_factor": 4, "original_max_position_embeddings": 64}})"),
            "config.json: rope_scaling: high_freq_factor: found 4, expected more than the 4 of "
            "low_freq_factor");
  EXPECT_EQ(message(R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1,
                        "high_freq_factor": 4}})"),
            "config.json: rope_scaling: original_max_position_embeddings: found nothing, expected "
            "an integer from 1 to 2147483648");
}

}  // namespace
}  // namespace plimsoll
