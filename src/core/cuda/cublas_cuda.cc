#include "core/cuda/cublas_cuda.h"

#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "core/cuda/open_library.h"
#include "core/error.h"
#include "core/rng.h"

namespace plimsoll::cuda {

namespace {

// The functions that are used, by the names under which the library has them.
struct Library {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtMatmulDescCreate) create_product;
  decltype(&cublasLtMatmulDescDestroy) destroy_product;
  decltype(&cublasLtMatmulDescSetAttribute) set_product;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
  decltype(&cublasLtMatrixLayoutSetAttribute) set_layout;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatmulAlgoGetHeuristic) choose;
  decltype(&cublasLtMatmul) multiply;
};

template <class Function>
void find(void* library, Function& function, const char* name) {
  if (!find_function(library, function, name))
    throw InputError(fmt::format("cuBLASLt has no {}", name));
}

// Stays open until the process ends. InputError where there is none.
const Library& library() {
  static const Library kLibrary = [] {
    const std::vector<std::string> names{"libcublasLt.so.13", "libcublasLt.so.12",
                                         "libcublasLt.so"};
    void* const handle =
        open_library("products of many rows need NVIDIA's cuBLASLt of CUDA 12 or 13", names);
    Library found{};
    find(handle, found.create, "cublasLtCreate");
    find(handle, found.create_product, "cublasLtMatmulDescCreate");
    find(handle, found.destroy_product, "cublasLtMatmulDescDestroy");
    find(handle, found.set_product, "cublasLtMatmulDescSetAttribute");
    find(handle, found.create_layout, "cublasLtMatrixLayoutCreate");
    find(handle, found.destroy_layout, "cublasLtMatrixLayoutDestroy");
    find(handle, found.set_layout, "cublasLtMatrixLayoutSetAttribute");
    find(handle, found.create_preference, "cublasLtMatmulPreferenceCreate");
    find(handle, found.destroy_preference, "cublasLtMatmulPreferenceDestroy");
    find(handle, found.set_preference, "cublasLtMatmulPreferenceSetAttribute");
    find(handle, found.choose, "cublasLtMatmulAlgoGetHeuristic");
    find(handle, found.multiply, "cublasLtMatmul");
    return found;
  }();
  return kLibrary;
}

void check(cublasStatus_t status, const char* what) {
  PLIMSOLL_CHECK(status == CUBLAS_STATUS_SUCCESS, "{} failed with cuBLAS status {}", what,
                 static_cast<int>(status));
}

cublasLtHandle_t handle() {
  static cublasLtHandle_t made = [] {
    cublasLtHandle_t fresh = nullptr;
    check(library().create(&fresh), "cublasLtCreate");
    return fresh;
  }();
  return made;
}

template <class T, class Destroy>
auto owned(T* object, Destroy destroy) {
  return std::unique_ptr<T, Destroy>(object, destroy);
}

cudaDataType_t data_type(Element element) {
  return element == Element::f16 ? CUDA_R_16F : element == Element::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

// `count` matrices, `step` elements from one to the next.
auto make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t stride,
                 std::int64_t count, std::int64_t step) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(library().create_layout(&layout, type, static_cast<std::uint64_t>(rows),
                                static_cast<std::uint64_t>(columns), stride),
        "cublasLtMatrixLayoutCreate");
  auto made = owned(layout, library().destroy_layout);
  if (count > 1) {
    const auto matrices = static_cast<std::int32_t>(count);
    check(library().set_layout(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &matrices,
                               sizeof matrices),
          "cublasLtMatrixLayoutSetAttribute");
    check(library().set_layout(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                               sizeof step),
          "cublasLtMatrixLayoutSetAttribute");
  }
  return made;
}

// What the heuristic may count on: a power of two that divides every address of the matrix.
std::uint32_t alignment_of(const void* data, std::int64_t bytes_apart) {
  constexpr std::uintptr_t kMost = 256;
  const auto bits =
      reinterpret_cast<std::uintptr_t>(data) | static_cast<std::uintptr_t>(bytes_apart) | kMost;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

// What the choice of an algorithm depends on.
auto key_of(const GemmArgs& args) {
  const std::int64_t bytes = element_bytes(args.element);
  return std::tuple(args.element, args.tf32, args.a_transposed, args.b_transposed, args.m, args.n,
                    args.k, args.lda, args.ldb, args.ldc, args.count, args.a_step, args.b_step,
                    args.c_step, alignment_of(args.a, args.a_step * bytes),
                    alignment_of(args.b, args.b_step * bytes),
                    alignment_of(args.c, args.c_step * 4));
}

// One shape's product as cuBLASLt wants it. It counts along columns: our c [m, n] is its [n, m],
// and it multiplies b, as it sees it, by a.
class Product {
 public:
  explicit Product(const GemmArgs& args) {
    const bool rounded = args.element == Element::f32 && args.tf32;
    cublasLtMatmulDesc_t made = nullptr;
    check(library().create_product(
              &made, rounded ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    product_.reset(made);
    const auto set_transposed = [&](cublasLtMatmulDescAttributes_t of, bool transposed) {
      const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
      check(library().set_product(made, of, &operation, sizeof operation),
            "cublasLtMatmulDescSetAttribute");
    };
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSA, args.b_transposed);
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSB, args.a_transposed);
    const cudaDataType_t type = data_type(args.element);
    const auto layout_of = [&](bool transposed, std::int64_t rows, std::int64_t columns,
                               std::int64_t stride, std::int64_t step) {
      if (transposed) std::swap(rows, columns);
      return make_layout(type, columns, rows, stride, args.count, step).release();
    };
    a_.reset(layout_of(args.a_transposed, args.m, args.k, args.lda, args.a_step));
    b_.reset(layout_of(args.b_transposed, args.k, args.n, args.ldb, args.b_step));
    c_.reset(make_layout(CUDA_R_32F, args.n, args.m, args.ldc, args.count, args.c_step).release());

    cublasLtMatmulPreference_t wanted = nullptr;
    check(library().create_preference(&wanted), "cublasLtMatmulPreferenceCreate");
    const auto preference = owned(wanted, library().destroy_preference);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      check(library().set_preference(wanted, what, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
    };
    const std::int64_t bytes = element_bytes(args.element);
    const std::uint32_t c_alignment = alignment_of(args.c, args.c_step * 4);
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMatmulWorkspace);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(args.b, args.b_step * bytes));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(args.a, args.a_step * bytes));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c_alignment);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    check(library().choose(handle(), made, b_.get(), a_.get(), c_.get(), c_.get(), wanted, 1, &best,
                           &found),
          "cublasLtMatmulAlgoGetHeuristic");
    PLIMSOLL_CHECK(found == 1, "cuBLASLt has no product of [{}, {}] and [{}, {}]", args.m, args.k,
                   args.k, args.n);
    algorithm_ = best.algo;
  }

  void run(const GemmArgs& args, cudaStream_t stream) const {
    check(library().multiply(handle(), product_.get(), &args.alpha, args.b, b_.get(), args.a,
                             a_.get(), &args.beta, args.c, c_.get(), args.c, c_.get(), &algorithm_,
                             args.workspace, kMatmulWorkspace, stream),
          "cublasLtMatmul");
  }

 private:
  struct Destroy {
    void operator()(cublasLtMatmulDesc_t made) const { library().destroy_product(made); }
    void operator()(cublasLtMatrixLayout_t made) const { library().destroy_layout(made); }
  };
  std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy> product_;
  std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy> a_;
  std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy> b_;
  std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy> c_;
  cublasLtMatmulAlgo_t algorithm_{};
};

const Product& product_of(const GemmArgs& args) {
  static std::mutex mutex;
  const auto key = key_of(args);
  static std::map<std::remove_const_t<decltype(key)>, Product> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  return known.emplace(key, args).first->second;
}

}  // namespace

void gemm(const GemmArgs& args, cudaStream_t stream) {
  PLIMSOLL_CHECK(args.m > 0 && args.n > 0 && args.k > 0 && args.count > 0, "[{}, {}] by [{}, {}]",
                 args.m, args.k, args.k, args.n);
  product_of(args).run(args, stream);
}

void matmul(const MatmulArgs& args, cudaStream_t stream) {
  gemm({.element = args.element,
        .b_transposed = true,
        .m = args.m,
        .n = args.n,
        .k = args.k,
        .a = args.x,
        .lda = args.k,
        .b = args.w,
        .ldb = args.k,
        .beta = args.add ? 1.0f : 0.0f,
        .c = args.y,
        .ldc = args.y_stride == 0 ? args.n : args.y_stride,
        .count = args.count,
        .a_step = args.x_step,
        .b_step = args.w_step,
        .c_step = args.y_step,
        .workspace = args.workspace},
       stream);
}

double cublas_rate(std::int64_t size, int repeats) {
  PLIMSOLL_CHECK(size > 0 && repeats > 0);
  const auto count = static_cast<std::size_t>(size * size);
  // Random values: zeros take less power, so that the clock stays higher. Values of +-1 to 2.
  std::vector<std::uint16_t> values(count);
  Rng rng(1);
  for (std::size_t i = 0; i < count; i += 4) {
    const std::uint64_t bits = rng.next();
    for (std::size_t j = 0; j < 4 && i + j < count; ++j) {
      values[i + j] = static_cast<std::uint16_t>((bits >> (16 * j) & 0x83ff) | 0x3c00);
    }
  }
  const Buffer x = Buffer::of<std::uint16_t>(values, "measuring the cuBLAS rate");
  const Buffer w = Buffer::of<std::uint16_t>(values, "measuring the cuBLAS rate");
  const Buffer y(count * 4, "measuring the cuBLAS rate");
  const Buffer workspace(kMatmulWorkspace, "measuring the cuBLAS rate");
  MatmulArgs args;
  args.x = x.data();
  args.w = w.data();
  args.y = y.data<float>();
  args.m = args.n = args.k = size;
  args.workspace = workspace.data();
  const Stream stream;
  Event begin;
  Event end;
  std::vector<double> seconds;
  seconds.reserve(static_cast<std::size_t>(repeats));
  for (int repeat = -2; repeat < repeats; ++repeat) {  // the first warm up
    begin.record(stream);
    matmul(args, stream.get());
    end.record(stream);
    const double elapsed = seconds_between(begin, end);
    if (repeat >= 0) seconds.push_back(elapsed);
  }
  const auto middle = seconds.begin() + repeats / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  const auto edge = static_cast<double>(size);
  return 2e-12 * edge * edge * edge / *middle;
}

}  // namespace plimsoll::cuda
