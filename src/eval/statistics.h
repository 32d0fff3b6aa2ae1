// What a few repeats of a measurement say.
#pragma once

#include <vector>

namespace plimsoll {

double mean(const std::vector<double>& values);
/// Of the sample (n - 1); 0 for one value.
double standard_deviation(const std::vector<double>& values);
/// The value at share `q` of the sorted values, linear between neighbours (numpy's default).
double quantile(std::vector<double> values, double q);
double median(std::vector<double> values);
/// Half the distance between the first and third quartile, over the median.
double relative_spread(const std::vector<double>& values);

}  // namespace plimsoll
