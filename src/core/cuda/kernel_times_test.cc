#include "core/cuda/kernel_times.h"

#include <gtest/gtest.h>

namespace plimsoll::cuda {
namespace {

TEST(KernelTimes, NamesAreShort) {
  EXPECT_EQ(readable_kernel_name("_ZN8plimsoll7kernels12_GLOBAL__N_111norm_kernelILb1EEEvNS0_"
                                 "14DeviceNormArgsE"),
            "norm_kernel<true>");
  EXPECT_EQ(readable_kernel_name("_ZN8plimsoll7kernels12_GLOBAL__N_113decode_kernelILNS_2kv8"
                                 "KvFormatE2ELi8EEEvNS1_4PlanENS1_12SharedLayoutE"),
            "decode_kernel<fp16, 8>");
  EXPECT_EQ(readable_kernel_name("_ZN8plimsoll7kernels12_GLOBAL__N_113append_kernelENS0_"
                                 "16DeviceAppendArgsE"),
            "append_kernel");
  EXPECT_EQ(readable_kernel_name("sm90_xmma_gemm_f16"), "sm90_xmma_gemm_f16");
}

}  // namespace
}  // namespace plimsoll::cuda
