#include "storage/json.h"

#include "support/support.h"

namespace plimsoll {
namespace {

std::string parse_message(std::string_view text) {
  return test::message_of<InputError>([&] { parse_json(text, "f.json"); });
}

TEST(ParseJson, BuildsTheValueThatTheTextSays) {
  const std::string text =
      R"( {"a": [1, -2, 2.5, "x\n", true, null, [], {}], "b": {"c": {"d": 1}}} )";
  EXPECT_EQ(parse_json(text, "f.json"), Json::parse(text));
  EXPECT_EQ(parse_json("3", "f.json"), Json(3));
}

TEST(ParseJson, SaysWhereTheSyntaxBreaks) {
  EXPECT_EQ(parse_message("{\"a\": 1,\n \"b\": ?}"),
            "f.json: JSON: found a syntax error at line 2, column 7, expected valid JSON in UTF-8");
  EXPECT_EQ(parse_message(""),
            "f.json: JSON: found a syntax error at line 1, column 1, expected valid JSON in UTF-8");
  EXPECT_NE(parse_message("{} {}").find("line 1, column 4"), std::string::npos);
  EXPECT_NE(parse_message("\"\xff\"").find("line 1, column 2"), std::string::npos);
  EXPECT_NE(parse_message("[1e999]").find("a number beyond a double's range at line 1, column"),
            std::string::npos);
}

TEST(ParseJson, RefusesAKeyTwiceInOneObjectButNotInTwo) {
  EXPECT_EQ(parse_message(R"({"x": {"k\n": 1, "k\n": 2}})"),
            R"(f.json: "k\n": found it twice in one object, expected it once)");
  EXPECT_NO_THROW(parse_json(R"([{"k": 1}, {"k": {"k": 2}}])", "f.json"));
}

TEST(ParseJson, RefusesNestingBombsWithoutOverflowingTheStack) {
  const std::string expected = "f.json: JSON: found more than 100 nested levels, expected fewer";
  EXPECT_EQ(parse_message(std::string(1 << 20, '[')), expected);
  std::string objects;
  for (int i = 0; i < 1 << 18; ++i) objects += R"({"":)";
  EXPECT_EQ(parse_message(objects), expected);
  EXPECT_EQ(parse_message(std::string(101, '[') + std::string(101, ']')), expected);
  EXPECT_NO_THROW(parse_json(std::string(100, '[') + std::string(100, ']'), "f.json"));
}

// nlohmann's callback parser looks through all earlier siblings after every object.
TEST(ParseJson, TakesTimeInProportionToTheText) {
  std::string text = "[{}";
  for (int i = 0; i < 200'000; ++i) text += ",{}";
  EXPECT_EQ(parse_json(text + "]", "f.json").size(), 200'001u);
}

TEST(Describe, IsShortAndOnOneLine) {
  EXPECT_EQ(describe(Json(nullptr)), "null");
  EXPECT_EQ(describe(Json(-3)), "-3");
  EXPECT_EQ(describe(Json(2.5)), "2.5");
  EXPECT_EQ(describe(Json("a\x1b")), R"("a\u001b")");
  EXPECT_EQ(describe(Json::array({1, 2})), "an array of 2");
  EXPECT_EQ(describe(Json::object()), "an object");
}

class Fields : public ::testing::Test {
 protected:
  template <class F>
  std::string message(F&& statement) {
    return test::message_of<InputError>(statement);
  }
  const Json json_ = parse_json(
      R"({"n": 7, "negative": -1, "huge": 18446744073709551615, "half": 0.5, "whole": 64.0,
          "yes": true, "text": "t", "list": [1], "map": {"k": 1}, "nothing": null})",
      "c.json");
};

TEST_F(Fields, AreReadWithTheirTypes) {
  EXPECT_EQ(require_int(json_, "n", "c.json", 7, 7), 7);
  EXPECT_EQ(require_int(json_, "negative", "c.json"), -1);
  EXPECT_EQ(require_number(json_, "half", "c.json"), 0.5);
  EXPECT_EQ(require_number(json_, "n", "c.json"), 7.0);
  EXPECT_TRUE(require_bool(json_, "yes", "c.json"));
  EXPECT_EQ(require_string(json_, "text", "c.json"), "t");
  EXPECT_EQ(require_array(json_, "list", "c.json").size(), 1u);
  EXPECT_EQ(require_object(json_, "map", "c.json").size(), 1u);
  EXPECT_EQ(find_int(json_, "n", "c.json"), 7);
  EXPECT_EQ(find_number(json_, "half", "c.json"), 0.5);
  EXPECT_EQ(find_bool(json_, "yes", "c.json"), true);
  EXPECT_EQ(find_string(json_, "text", "c.json"), "t");
  EXPECT_NE(find_array(json_, "list", "c.json"), nullptr);
  EXPECT_NE(find_object(json_, "map", "c.json"), nullptr);
}

TEST_F(Fields, AreAbsentWhenNull) {
  for (const char* field : {"nothing", "no such"}) {
    EXPECT_EQ(find_field(json_, field), nullptr);
    EXPECT_EQ(find_int(json_, field, "c.json"), std::nullopt);
    EXPECT_EQ(find_string(json_, field, "c.json"), std::nullopt);
    EXPECT_EQ(find_object(json_, field, "c.json"), nullptr);
  }
  EXPECT_EQ(find_field(Json(3), "n"), nullptr);  // not an object
  EXPECT_EQ(message([&] { require_int(json_, "nothing", "c.json", 1, 9); }),
            "c.json: nothing: found nothing, expected an integer from 1 to 9");
}

TEST_F(Fields, OfAnotherTypeAreNamedWithWhatWasExpected) {
  EXPECT_EQ(message([&] { require_int(json_, "text", "c.json"); }),
            R"(c.json: text: found "t", expected an integer)");
  EXPECT_EQ(message([&] { require_int(json_, "whole", "c.json"); }),
            "c.json: whole: found 64.0, expected an integer");
  EXPECT_EQ(message([&] { find_number(json_, "yes", "c.json"); }),
            "c.json: yes: found true, expected a number");
  EXPECT_EQ(message([&] { find_bool(json_, "n", "c.json"); }),
            "c.json: n: found 7, expected true or false");
  EXPECT_EQ(message([&] { find_string(json_, "map", "c.json"); }),
            "c.json: map: found an object, expected a string");
  EXPECT_EQ(message([&] { find_array(json_, "map", "c.json"); }),
            "c.json: map: found an object, expected an array");
  EXPECT_EQ(message([&] { find_object(json_, "list", "c.json"); }),
            "c.json: list: found an array of 1, expected an object");
}

TEST_F(Fields, OutOfBoundsAreRefused) {
  EXPECT_EQ(message([&] { require_int(json_, "n", "c.json", 8, 9); }),
            "c.json: n: found 7, expected an integer from 8 to 9");
  EXPECT_EQ(message([&] { require_int(json_, "negative", "c.json", 0); }),
            "c.json: negative: found -1, expected an integer of at least 0");
  EXPECT_EQ(message([&] { require_int(json_, "huge", "c.json"); }),
            "c.json: huge: found 18446744073709551615, expected an integer");
  EXPECT_EQ(message([&] { require_number(json_, "half", "c.json", 1, 2); }),
            "c.json: half: found 0.5, expected a number from 1 to 2");
}

TEST(JsonValue, QuotesKeysThatCouldBeAnything) {
  EXPECT_EQ(test::message_of<InputError>([] { int_value(Json("x"), "a\nb", "v.json"); }),
            R"(v.json: "a\nb": found "x", expected an integer)");
}

}  // namespace
}  // namespace plimsoll
