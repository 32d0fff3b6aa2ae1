#include "study/ceilings_json.h"

namespace plimsoll::study {

namespace {

using Json = nlohmann::ordered_json;

Json rate_json(const MeasuredRate& rate) {
  return {{"median", rate.median}, {"best", rate.best}, {"samples", rate.samples}};
}

}  // namespace

nlohmann::ordered_json ceilings_json(const Ceilings& ceilings) {
  Json reads = Json::array();
  for (const ReadCeiling& read : ceilings.reads) {
    reads.push_back(
        {{"probe", read.probe}, {"streams", read.streams}, {"gbps", rate_json(read.gbps)}});
  }
  Json units = Json::array();
  for (const UnitCeiling& unit : ceilings.units) {
    units.push_back({{"unit", unit.unit},
                     {"probe", unit.probe},
                     {"isa", isa_name(unit.isa)},
                     {"gops", rate_json(unit.gops)}});
  }
  return {{"threads", ceilings.threads},
          {"bytes_per_thread", ceilings.bytes_per_thread},
          {"read_gbps", ceilings.read().gbps.median},
          {"reads", std::move(reads)},
          {"units", std::move(units)}};
}

}  // namespace plimsoll::study
