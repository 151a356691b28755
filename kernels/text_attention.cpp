#include "text_attention.h"

#include <cstring>
#include <stdexcept>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

// Compiled for these processors alone, whatever the rest is compiled for; `can_attend` asks before.
#define LODEX_AMX __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")))
#define LODEX_INLINE LODEX_AMX __attribute__((always_inline)) inline

namespace lodex {
namespace {

constexpr std::size_t kLanes = 16;
// A tile: 16 rows of 64 bytes, which are 32 bfloat16 or 16 float32. A product takes 32 numbers of a row at a time.
constexpr std::size_t kRows = 16, kDepth = 32, kRowBytes = 64;
constexpr float kLog2E = 1.44269504088896341f;

/// 2 to the x for x <= 0, to about a unit in the last place: a Taylor polynomial over [-1/2, 1/2].
LODEX_INLINE __m512 exp2_of(__m512 x) {
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 part = _mm512_sub_ps(x, whole);
  __m512 y = _mm512_set1_ps(1.5403530e-4f);
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(1.3333558e-3f));
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(9.6181291e-3f));
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(5.5504109e-2f));
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(2.4022651e-1f));
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(6.9314718e-1f));
  y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(y, whole);
}

/// What one text needs of one head, laid out as the second factors of tile products; what lies beyond the text is zero.
///
/// keys: for 16 keys and a pair of dimensions, 16 lanes of two numbers. values: for a pair of keys and 16 dimensions,
/// 16 lanes of two numbers.
struct Scratch {
  std::vector<std::uint16_t> keys, values, weights, queries;
  std::vector<float> scores;
  alignas(64) float answers[kRows * kLanes];
  std::size_t padded = 0;  // keys, a multiple of 32

  void reserve(std::size_t tokens, std::size_t width) {
    padded = (tokens + kDepth - 1) / kDepth * kDepth;
    keys.resize(padded * width);
    values.resize(padded * width);
    weights.resize(padded * kRows);
    scores.resize(padded * kRows);
    queries.resize(kRows * width);
  }
};

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

template <std::size_t kWidth>
LODEX_AMX void lay_out(Scratch& to, const std::uint16_t* keys, std::size_t key_stride, const std::uint16_t* values,
                        std::size_t value_stride, std::size_t tokens) {
  constexpr std::size_t kPairs = kWidth / 2;
  for (std::size_t block = 0; block < to.padded; block += kLanes) {
    const std::size_t left = tokens > block ? tokens - block : 0;
    const std::size_t real = left < kLanes ? left : kLanes;
    auto* const into = reinterpret_cast<std::uint32_t*>(to.keys.data() + block * kWidth);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const auto* const row = reinterpret_cast<const std::uint32_t*>(keys + (block + i) * key_stride);
      for (std::size_t pair = 0; pair < kPairs; ++pair) into[pair * kLanes + i] = i < real ? row[pair] : 0;
    }
  }
  for (std::size_t key = 0; key < to.padded; key += 2) {
    for (std::size_t from = 0; from < kWidth; from += kLanes) {
      const auto load = [&](std::size_t row) LODEX_AMX {
        if (row >= tokens) return _mm512_setzero_si512();
        const auto* const at = values + row * value_stride + from;
        return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
      };
      const __m512i pairs = _mm512_or_si512(load(key), _mm512_slli_epi32(load(key + 1), 16));
      _mm512_storeu_si512(to.values.data() + key * kWidth + 2 * from, pairs);
    }
  }
}

/// Lanes of the block that are keys of the text.
LODEX_INLINE __mmask16 real_lanes(std::size_t tokens, std::size_t block) {
  if (tokens <= block) return 0;
  return tokens - block < kLanes ? static_cast<__mmask16>((1u << (tokens - block)) - 1) : static_cast<__mmask16>(0xFFFF);
}

/// Attention of 16 queries, of which `rows` are real, to all keys of their text.
template <std::size_t kWidth>
LODEX_AMX void attend_rows(Scratch& scratch, const std::uint16_t* queries, std::size_t stride, std::size_t rows,
                           std::size_t tokens, float scale, std::uint16_t* out, std::size_t out_stride) {
  const std::size_t padded = scratch.padded;
  for (std::size_t block = 0; block < padded; block += 2 * kLanes) {
    const std::uint16_t* const keys = scratch.keys.data() + block * kWidth;
    _tile_zero(0);
    _tile_zero(1);
    for (std::size_t from = 0; from < kWidth; from += kDepth) {
      _tile_loadd(2, queries + from, stride * sizeof(std::uint16_t));
      _tile_loadd(3, keys + from * kLanes, kRowBytes);
      _tile_loadd(4, keys + kLanes * kWidth + from * kLanes, kRowBytes);
      _tile_dpbf16ps(0, 2, 3);
      _tile_dpbf16ps(1, 2, 4);
    }
    _tile_stored(0, scratch.scores.data() + block, padded * sizeof(float));
    _tile_stored(1, scratch.scores.data() + block + kLanes, padded * sizeof(float));
  }

  float total[kRows] = {};
  const __m512 factor = _mm512_set1_ps(scale * kLog2E);
  for (std::size_t row = 0; row < rows; ++row) {
    const float* const scores = scratch.scores.data() + row * padded;
    std::uint16_t* const weights = scratch.weights.data() + row * padded;
    __m512 largest = _mm512_set1_ps(-__builtin_inff());
    for (std::size_t block = 0; block < padded; block += kLanes) {
      largest = _mm512_mask_max_ps(largest, real_lanes(tokens, block), largest, _mm512_loadu_ps(scores + block));
    }
    const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
    __m512 sum = _mm512_setzero_ps();
    for (std::size_t block = 0; block < padded; block += kLanes) {
      const __m512 below = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(scores + block), top), factor);
      const __m512 weight = _mm512_maskz_mov_ps(real_lanes(tokens, block), exp2_of(below));
      sum = _mm512_add_ps(sum, weight);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + block), (__m256i)_mm512_cvtneps_pbh(weight));
    }
    total[row] = _mm512_reduce_add_ps(sum);
  }

  for (std::size_t from = 0; from < kWidth; from += kLanes) {
    _tile_zero(5);
    for (std::size_t key = 0; key < padded; key += kDepth) {
      _tile_loadd(6, scratch.weights.data() + key, padded * sizeof(std::uint16_t));
      _tile_loadd(7, scratch.values.data() + key * kWidth + 2 * from, 2 * kWidth * sizeof(std::uint16_t));
      _tile_dpbf16ps(5, 6, 7);
    }
    _tile_stored(5, scratch.answers, kRowBytes);
    for (std::size_t row = 0; row < rows; ++row) {
      const __m512 share = _mm512_set1_ps(1.0f / total[row]);
      const __m512 answer = _mm512_mul_ps(_mm512_loadu_ps(scratch.answers + row * kLanes), share);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + row * out_stride + from),
                          (__m256i)_mm512_cvtneps_pbh(answer));
    }
  }
}

template <std::size_t kWidth>
LODEX_AMX void attend_all(const TextAttention& task) {
  const TileConfig config;
  _tile_loadconfig(&config);
  const std::size_t stride = task.queries.stride, out_stride = task.heads * kWidth;
  Scratch scratch;
  for (std::size_t text = 0; text < task.texts; ++text) {
    const std::size_t begin = static_cast<std::size_t>(task.offsets[text]);
    const std::size_t tokens = static_cast<std::size_t>(task.offsets[text + 1]) - begin;
    scratch.reserve(tokens, kWidth);
    for (std::size_t head = 0; head < task.heads; ++head) {
      const std::size_t key_head = head * task.key_heads / task.heads;
      if (head == 0 || key_head != (head - 1) * task.key_heads / task.heads) {
        lay_out<kWidth>(scratch, task.keys.data + begin * task.keys.stride + key_head * kWidth, task.keys.stride,
                        task.values.data + begin * task.values.stride + key_head * kWidth, task.values.stride, tokens);
      }
      const std::uint16_t* const queries = task.queries.data + begin * stride + head * kWidth;
      std::uint16_t* const out = task.out + begin * out_stride + head * kWidth;
      for (std::size_t row = 0; row < tokens; row += kRows) {
        const std::size_t rows = tokens - row < kRows ? tokens - row : kRows;
        const std::uint16_t* first = queries + row * stride;
        std::size_t step = stride;
        if (rows < kRows) {  // a tile reads 16 rows, and fewer stand there
          for (std::size_t i = 0; i < rows; ++i) {
            std::memcpy(scratch.queries.data() + i * kWidth, first + i * stride, kWidth * sizeof(std::uint16_t));
          }
          first = scratch.queries.data();
          step = kWidth;
        }
        attend_rows<kWidth>(scratch, first, step, rows, tokens, task.scale, out + row * out_stride, out_stride);
      }
    }
  }
  _tile_release();
}

/// Linux gives the registers of tiles to those who ask.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool tiles = (d >> 22 & 1) && (d >> 24 & 1);  // AMX-BF16 and AMX-TILE
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  return tiles && (a >> 5 & 1) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

bool can_attend() {
  static const bool can = has_instructions() && may_use_tiles();
  return can;
}

bool has_width(std::size_t width) { return width == 32 || width == 64 || width == 128; }

void attend(const TextAttention& task) {
  switch (task.width) {
    case 32: return attend_all<32>(task);
    case 64: return attend_all<64>(task);
    case 128: return attend_all<128>(task);
    default: throw std::invalid_argument("heads are 32, 64 or 128 wide");
  }
}

}  // namespace lodex

#else

namespace lodex {

bool can_attend() { return false; }
bool has_width(std::size_t) { return false; }
void attend(const TextAttention&) { throw std::logic_error("this processor has no tiles of bfloat16"); }

}  // namespace lodex

#endif
