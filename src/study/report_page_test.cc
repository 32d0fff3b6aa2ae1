#include "study/report_page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace plimsoll::study {
namespace {

const std::string kAttack = "</script><!--<script> \xe2\x80\xa8 \xe2\x80\xa9 \xe2\x80\xaa & \"";

TEST(ReportPage, ScriptSafeJsonEndsNoScriptAndKeepsItsValues) {
  const std::string safe = script_safe(nlohmann::json{{"text", kAttack}}.dump());
  EXPECT_EQ(safe.find('<'), std::string::npos);
  EXPECT_EQ(safe.find("\xe2\x80\xa8"), std::string::npos);
  EXPECT_EQ(safe.find("\xe2\x80\xa9"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(safe).at("text"), kAttack);
}

TEST(ReportPage, ScriptSafeLeavesOtherTextAlone) {
  EXPECT_EQ(script_safe(""), "");
  EXPECT_EQ(script_safe(R"({"a": [1, 2.5, null], "é": "…"})"),
            R"({"a": [1, 2.5, null], "é": "…"})");
}

TEST(ReportPage, HoldsTheResultsOnceInTheirScript) {
  if (!report_page_available()) GTEST_SKIP() << "built without the report page";
  const std::string page = report_page(nlohmann::json{{"text", kAttack}}.dump());
  const std::string open = R"(<script type="application/json" id="results">)";
  const std::size_t begin = page.find(open);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = page.find("</script>", begin);
  const std::string json = page.substr(begin + open.size(), end - begin - open.size());
  EXPECT_EQ(nlohmann::json::parse(json).at("text"), kAttack);
  EXPECT_EQ(page.find("/*RESULTS*/"), std::string::npos);
}

TEST(ReportPage, LoadsNothing) {
  if (!report_page_available()) GTEST_SKIP() << "built without the report page";
  const std::string page = report_page("{}");
  for (const char* loads : {" src=\"", "rel=\"stylesheet\"", "@import", "url(http"}) {
    EXPECT_EQ(page.find(loads), std::string::npos) << loads;
  }
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

}  // namespace
}  // namespace plimsoll::study
