// Ops that build features, move rows about and read heads out.
#include "tensor/cuda/narrow.cuh"

// One warp: value l of row r, of c, becomes f(l, what it was). Two at a time where the row has as many.
template <class F>
static __device__ __forceinline__ void change_row(cells to, int64_t r, int64_t c, int lane, const F &f) {
  if (c % 2) {
    for (int64_t l = lane; l < c; l += 32) to.put(r * c + l, f(l, to.get(r * c + l)));
  } else if (to.narrow) {
    uint32_t *two = (uint32_t *)to.data + r * c / 2;
    for (int64_t l = lane; l < c / 2; l += 32) {
      uint32_t was = two[l];
      two[l] = pack_bf16(f(2 * l, bf16_low(was)), f(2 * l + 1, bf16_high(was)));
    }
  } else {
    float2 *two = (float2 *)to.data + r * c / 2;
    for (int64_t l = lane; l < c / 2; l += 32) {
      float2 was = two[l];
      two[l] = float2{f(2 * l, was.x), f(2 * l + 1, was.y)};
    }
  }
}

struct gather_value {
  op_gather a;
  uint32_t c, m, n;
  __device__ void operator()(int64_t at) const {
    uint32_t l = (uint32_t)(at % c), r = (uint32_t)(at / c), b = r / m;
    int32_t from = a.index[r % m];
    float v = from < 0 ? 0.0f : a.x.data[((int64_t)b * n + from) * c + l];
    a.y.data[at] = a.add ? a.y.data[at] + v : v;
  }
};
// Four channels a thread.
struct gather_four {
  op_gather a;
  uint32_t c, m, n;  // c: fours
  __device__ void operator()(int64_t at) const {
    uint32_t l = (uint32_t)at % c, r = (uint32_t)at / c, b = r / m;
    int32_t from = a.index[r % m];
    float4 v = from < 0 ? float4{0, 0, 0, 0} : ((const float4 *)a.x.data)[((int64_t)b * n + from) * c + l], *to = (float4 *)a.y.data + at;
    if (a.add) {
      float4 y = *to;
      v = float4{y.x + v.x, y.y + v.y, y.z + v.z, y.w + v.w};
    }
    *to = v;
  }
};
CUDA_OP(gather) {
  NF_ASSERT(!a->x.narrow && !a->y.narrow);
  if (context->dry) return;
  uint32_t c = (uint32_t)tensor_last(a->y), m = (uint32_t)a->y.shape[1], n = (uint32_t)a->x.shape[1];
  int64_t count = tensor_count(a->y);
  if (c % 4 == 0 && count / 4 < UINT32_MAX) launch_each(count / 4, gather_four{*a, c / 4, m, n});
  else launch_each(count, gather_value{*a, c, m, n});
}

struct copy_value {
  op_copy_columns a;
  int64_t c, wide;
  __device__ void operator()(int64_t at) const {
    int64_t r = at / c, l = at % c;
    a.y.data[r * wide + a.column + l] = a.x.data[at];
  }
};
CUDA_OP(copy_columns) {
  NF_ASSERT(!a->x.narrow && !a->y.narrow);
  if (context->dry) return;
  int64_t c = tensor_last(a->x);
  launch_each(tensor_rows(a->y) * c, copy_value{*a, c, tensor_last(a->y)});
}

struct scale_value {
  op_scale a;
  cells x, y;
  uint32_t c, m_x, p;
  __device__ void operator()(int64_t at) const {
    uint32_t r = (uint32_t)(at / c), l = (uint32_t)(at % c);
    float factor = a.factor * (p ? a.row_factor.data[r % p] : 1.0f), v = factor * x.get((int64_t)(r % m_x) * c + l);
    y.put(at, a.add ? y.get(at) + v : v);
  }
};
struct scale_four {
  op_scale a;
  uint32_t c, m_x, p;  // c: fours
  __device__ void operator()(int64_t at) const {
    uint32_t r = (uint32_t)at / c, l = (uint32_t)at % c;
    float factor = a.factor * (p ? a.row_factor.data[r % p] : 1.0f);
    float4 x = ((const float4 *)a.x.data)[(int64_t)(r % m_x) * c + l], *to = (float4 *)a.y.data + at;
    if (a.add) {
      float4 y = *to;
      *to = float4{y.x + factor * x.x, y.y + factor * x.y, y.z + factor * x.z, y.w + factor * x.w};
    } else {
      *to = float4{factor * x.x, factor * x.y, factor * x.z, factor * x.w};
    }
  }
};
CUDA_OP(scale) {
  if (context->dry) return;
  // Zeros, whatever x holds: memory that nothing has written yet may hold what is not a number.
  if (a->factor == 0 && !a->add) {
    CUDA_CHECK(cudaMemsetAsync(a->y.data, 0, (size_t)tensor_bytes(a->y), cuda_stream));
    return;
  }
  if (a->factor == 1 && !a->add && !tensor_given(a->row_factor) && a->x.narrow == a->y.narrow &&
      tensor_count(a->x) == tensor_count(a->y)) {
    if (a->x.data != a->y.data)
      CUDA_CHECK(cudaMemcpyAsync(a->y.data, a->x.data, (size_t)tensor_bytes(a->y), cudaMemcpyDefault, cuda_stream));
    return;
  }
  uint32_t c = (uint32_t)tensor_last(a->y), m_x = (uint32_t)tensor_rows(a->x), p = tensor_given(a->row_factor) ? (uint32_t)tensor_count(a->row_factor) : 0;
  int64_t count = tensor_count(a->y);
  if (!a->x.narrow && !a->y.narrow && c % 4 == 0 && count / 4 < UINT32_MAX) launch_each(count / 4, scale_four{*a, c / 4, m_x, p});
  else launch_each(count, scale_value{*a, cells_of(a->x), cells_of(a->y), c, m_x, p});
}

struct outer_row {
  const float *left, *right;
  bool add;
  cells pair;
  int64_t n, c;
  __device__ void operator()(int64_t ij, int lane) const {
    const float *x = left + (uint32_t)ij / (uint32_t)n * c, *y = right + (uint32_t)ij % (uint32_t)n * c;
    change_row(pair, ij, c, lane, [&](int64_t l, float was) { return add ? was + (x[l] + y[l]) : x[l] + y[l]; });
  }
};
CUDA_OP(outer_sum) {
  NF_ASSERT(!a->left.narrow && !a->right.narrow);
  if (context->dry) return;
  launch_warps(tensor_rows(a->pair),
               outer_row{a->left.data, a->right.data, a->add, cells_of(a->pair), a->pair.shape[0], a->pair.shape[2]});
}

static __device__ int clip(int x, int most) { return x < 0 ? 0 : x > most ? most : x; }

// The pair's classes: two of one-hot offsets, the flag (-1: not set), the chain offset.
static __device__ void relative_classes(const op_relative &r, int64_t i, int64_t j, int classes[4]) {
  enum { OFFSETS = 2 * RELATIVE_MAX_INDEX + 2 };
  bool same_chain = r.asym_id[i] == r.asym_id[j], same_residue = same_chain && r.residue_index[i] == r.residue_index[j],
       same_entity = r.entity_id[i] == r.entity_id[j];
  classes[0] = same_chain ? clip(r.residue_index[i] - r.residue_index[j] + RELATIVE_MAX_INDEX, 2 * RELATIVE_MAX_INDEX)
                          : OFFSETS - 1;
  classes[1] = OFFSETS + (same_residue ? clip(r.token_index[i] - r.token_index[j] + RELATIVE_MAX_INDEX, 2 * RELATIVE_MAX_INDEX)
                                       : OFFSETS - 1);
  classes[2] = same_entity ? 2 * OFFSETS : -1;
  classes[3] = 2 * OFFSETS + 1 +
               (same_entity ? clip(r.sym_id[i] - r.sym_id[j] + RELATIVE_MAX_CHAIN, 2 * RELATIVE_MAX_CHAIN)
                            : 2 * RELATIVE_MAX_CHAIN + 1);
}

struct relative_row {
  op_relative_embed a;
  cells pair;
  int64_t n, c;
  __device__ void operator()(int64_t ij, int lane) const {
    int classes[4];
    relative_classes(a.relative, (uint32_t)ij / (uint32_t)n, (uint32_t)ij % (uint32_t)n, classes);
    change_row(pair, ij, c, lane, [&](int64_t l, float v) {
      for (int s = 0; s < 4; s++)
        if (classes[s] >= 0) v += a.w.data[classes[s] * c + l];
      return v;
    });
  }
};
CUDA_OP(relative_embed) {
  if (context->dry) return;
  launch_warps(tensor_rows(a->pair), relative_row{*a, cells_of(a->pair), a->pair.shape[0], a->pair.shape[2]});
}

struct concat_row {
  op_relative_concat a;
  cells pair;
  int64_t n, c;
  __device__ void operator()(int64_t ij, int lane) const {
    int classes[4];
    int64_t i = a.first + ij / n, j = ij % n, wide = c + RELATIVE_CLASSES;
    relative_classes(a.relative, i, j, classes);
    for (int64_t l = lane; l < wide; l += 32) {
      int k = (int)(l - c);
      a.out.data[ij * wide + l] =
          l < c ? pair.get((i * n + j) * c + l)
                : (k == classes[0] || k == classes[1] || k == classes[2] || k == classes[3] ? 1.0f : 0.0f);
    }
  }
};
CUDA_OP(relative_concat) {
  NF_ASSERT(!a->out.narrow);
  if (context->dry) return;
  launch_warps(a->n * a->pair.shape[0], concat_row{*a, cells_of(a->pair), a->pair.shape[0], a->pair.shape[2]});
}

struct add_row {
  op_add_rows a;
  cells x;
  int64_t c;
  __device__ void operator()(int64_t at) const {
    int64_t to = a.index[at / c] * c + at % c;
    x.put(to, x.get(to) + a.w.data[at % c]);
  }
};
CUDA_OP(add_rows) {
  if (context->dry) return;
  int64_t c = tensor_last(a->x);
  launch_each(a->n * c, add_row{*a, cells_of(a->x), c});
}

struct msa_value {
  op_msa_embed a;
  cells msa;
  int64_t n, c, n_class;
  __device__ void operator()(int64_t at) const {
    int64_t r = at / c, l = at % c;
    int cls = a.rows[r];
    float deletions = a.deletions[r], has = fminf(fmaxf(deletions, 0.0f), 1.0f);
    float value = atanf(deletions / 3.0f) * 0.636619772f;  // 2 / pi
    float y = a.target.data[r % n * c + l] + has * a.w.data[n_class * c + l] + value * a.w.data[(n_class + 1) * c + l];
    if (cls >= 0 && cls < n_class) y += a.w.data[cls * c + l];
    msa.put(at, y);
  }
};
CUDA_OP(msa_embed) {
  if (context->dry) return;
  launch_each(tensor_count(a->msa), msa_value{*a, cells_of(a->msa), a->msa.shape[1], a->msa.shape[2], a->w.shape[0] - 2});
}

// The squared edges of bins are computed once, as the CPU's op does it.
struct distance_row {
  op_distance_embed a;
  cells y;
  int64_t n, c, n_bins;
  __device__ void operator()(int64_t ij, int lane) const {
    int64_t i = ij / n, j = ij % n;
    float factor = a.mask.data[i] * a.mask.data[j];
    if (factor == 0 || (a.group && a.group[i] != a.group[j])) return;
    const float *from = a.positions.data + i * 3, *to = a.positions.data + j * 3;
    // Multiplied and added apart, as on the CPU: a distance on an edge must fall into the same bin.
    float d0 = from[0] - to[0], d1 = from[1] - to[1], d2 = from[2] - to[2];
    float square = __fadd_rn(__fadd_rn(__fmul_rn(d0, d0), __fmul_rn(d1, d1)), __fmul_rn(d2, d2));
    const float first = 3.25f, last = 50.75f;
    int64_t found = -1;
    for (int64_t bin = lane; bin < n_bins; bin += 32) {
      float low = __fadd_rn(first, __fdiv_rn(__fmul_rn(last - first, (float)bin), (float)(n_bins - 1)));
      float high = __fadd_rn(first, __fdiv_rn(__fmul_rn(last - first, (float)(bin + 1)), (float)(n_bins - 1)));
      float high2 = bin + 1 < n_bins ? __fmul_rn(high, high) : 1e8f;
      if (square > __fmul_rn(low, low) && square < high2) found = bin;
    }
    unsigned votes = __ballot_sync(0xffffffffu, found >= 0);
    if (!votes) return;
    found = __shfl_sync(0xffffffffu, found, __ffs((int)votes) - 1);
    change_row(y, ij, c, lane, [&](int64_t l, float v) { return v + factor * a.w.data[found * c + l]; });
  }
};
CUDA_OP(distance_embed) {
  if (context->dry) return;
  launch_warps(tensor_rows(a->y), distance_row{*a, cells_of(a->y), a->y.shape[0], a->y.shape[2], a->w.shape[0]});
}

static __device__ float dot3(const float *x, const float *y) {
  return __fadd_rn(__fadd_rn(__fmul_rn(x[0], y[0]), __fmul_rn(x[1], y[1])), __fmul_rn(x[2], y[2]));
}

struct template_row {
  op_template_embed a;
  cells y;
  int64_t n, c;
  __device__ void operator()(int64_t ij, int lane) const {
    int64_t i = ij / n, j = ij % n;
    int class_i = a.residue_class[i], class_j = a.residue_class[j];
    bool has_i = class_i >= 0 && class_i < a.w_class_i.shape[0], has_j = class_j >= 0 && class_j < a.w_class_j.shape[0];
    bool same_chain = a.asym_id[i] == a.asym_id[j];
    float beta = same_chain ? a.beta_mask.data[i] * a.beta_mask.data[j] : 0.0f,
          mask = same_chain ? a.frame_mask.data[i] * a.frame_mask.data[j] : 0.0f, local[3] = {0, 0, 0};
    if (mask != 0) {
      const float *frame = a.frame.data + i * 12, *point = a.frame.data + j * 12 + 9;
      // Point and origin are rotated apart, so that their difference vanishes exactly for j = i.
      for (int s = 0; s < 3; s++) local[s] = dot3(frame + 3 * s, point) - dot3(frame + 3 * s, frame + 9);
      float norm = sqrtf(fmaxf(dot3(local, local), 1e-12f));
      for (int s = 0; s < 3; s++) local[s] /= norm;
    }
    change_row(y, ij, c, lane, [&](int64_t l, float v) {
      if (has_j) v += a.w_class_j.data[class_j * c + l];
      if (has_i) v += a.w_class_i.data[class_i * c + l];
      if (beta != 0) v += beta * a.w_beta_mask.data[l];
      if (mask != 0)
        v += mask * (a.w_frame_mask.data[l] + local[0] * a.w_direction[0].data[l] + local[1] * a.w_direction[1].data[l] +
                     local[2] * a.w_direction[2].data[l]);
      return v;
    });
  }
};
CUDA_OP(template_embed) {
  if (context->dry) return;
  launch_warps(tensor_rows(a->y), template_row{*a, cells_of(a->y), a->y.shape[0], a->y.shape[2]});
}

struct atom_row {
  op_atom_embed a;
  int64_t c, n_elements, n_chars;
  __device__ void operator()(int64_t r, int lane) const {
    int32_t atom = a.index[r];
    bool there = atom >= 0 && a.mask[atom];
    for (int64_t l = lane; l < c; l += 32) {
      float y = 0;
      if (there) {
        const float *position = a.positions + (int64_t)atom * 3;
        y = position[0] * a.w_positions.data[l] + position[1] * a.w_positions.data[c + l] +
            position[2] * a.w_positions.data[2 * c + l] + a.w_mask.data[l] + asinhf(a.charge[atom]) * a.w_charge.data[l];
        int32_t element = a.element[atom];
        if (element >= 0 && element < n_elements) y += a.w_element.data[element * c + l];
        for (int s = 0; s < 4; s++) {
          int32_t name = a.name[(int64_t)atom * 4 + s];
          if (name >= 0 && name < n_chars) y += a.w_name.data[(s * n_chars + name) * c + l];
        }
      }
      a.y.data[r * c + l] = y;
    }
  }
};
CUDA_OP(atom_embed) {
  if (context->dry) return;
  launch_warps(a->y.shape[0], atom_row{*a, a->y.shape[1], a->w_element.shape[0], a->w_name.shape[0] / 4});
}

enum { PAIR_CHANNELS = 64 };  // of atom pairs, at most: 16 in the network

// One warp a pair: lanes are channels, and each layer of the update reads all lanes' values.
struct atom_pair_row {
  op_atom_pair a;
  int64_t n_q, n_k, c, n_row, n_token;  // the last two: of token_pair
  __device__ void operator()(int64_t at, int lane) const {
    int64_t query = at / n_k, key = query / n_q * n_k + at % n_k;
    int32_t from = a.key_index[key];
    float y[PAIR_CHANNELS / 32] = {}, h[PAIR_CHANNELS / 32] = {};
    const float *pair = NULL;
    if (n_row && a.query_token[query] >= 0 && a.key_token[key] >= 0)
      pair = a.token_pair.data + ((a.query_token[query] - a.first_token) * n_token + a.key_token[key]) * c;
    bool same = a.query_space[query] == a.key_space[key];
    float d[3], inverse;
    for (int s = 0; s < 3; s++) d[s] = a.positions.data[query * 3 + s] - (from < 0 ? 0.0f : a.positions.data[(int64_t)from * 3 + s]);
    inverse = 1.0f / (1.0f + dot3(d, d));
#pragma unroll
    for (int u = 0; u < PAIR_CHANNELS / 32; u++) {
      int e = lane + 32 * u;
      if (e >= c) continue;
      float v = a.row.data[query * c + e] + (from < 0 ? a.col_none.data[e] : a.col.data[(int64_t)from * c + e]);
      if (pair) v += pair[e];
      if (same)
        v += d[0] * a.w_offsets.data[e] + d[1] * a.w_offsets.data[c + e] + d[2] * a.w_offsets.data[2 * c + e] +
             inverse * a.w_distances.data[e] + a.w_valid.data[e];
      y[u] = h[u] = v;
    }
    for (int layer = 0; layer < 3; layer++) {
      float next[PAIR_CHANNELS / 32] = {};
      for (int i = 0; i < c; i++) {
        float v = fmaxf(__shfl_sync(0xffffffffu, i < 32 ? h[0] : h[1], i % 32), 0.0f);
#pragma unroll
        for (int u = 0; u < PAIR_CHANNELS / 32; u++)
          if (lane + 32 * u < c) next[u] += v * a.w_mlp[layer].data[i * c + lane + 32 * u];
      }
#pragma unroll
      for (int u = 0; u < PAIR_CHANNELS / 32; u++) h[u] = next[u];
    }
#pragma unroll
    for (int u = 0; u < PAIR_CHANNELS / 32; u++)
      if (lane + 32 * u < c) a.y.data[at * c + lane + 32 * u] = y[u] + h[u];
  }
};
// A part of a query's keys, if its token is among those wanted.
struct atom_pair_part {
  enum { PARTS = 8 };
  atom_pair_row row;
  __device__ void operator()(int64_t at, int lane) const {
    int64_t query = at / PARTS, token = max(row.a.query_token[query], 0) - row.a.first_token;
    if (row.n_row && (token < 0 || token >= row.n_row)) return;
    for (int64_t k = at % PARTS; k < row.n_k; k += PARTS) row(query * row.n_k + k, lane);
  }
};
CUDA_OP(atom_pair) {
  NF_ASSERT(!a->token_pair.narrow && !a->y.narrow);
  if (context->dry) return;
  int64_t n_q = a->y.shape[1], n_k = a->y.shape[2], c = a->y.shape[3];
  bool pairs = tensor_given(a->token_pair);
  NF_ASSERT(c <= PAIR_CHANNELS);
  atom_pair_row row = {*a, n_q, n_k, c, pairs ? a->token_pair.shape[0] : 0, pairs ? a->token_pair.shape[1] : 0};
  launch_warps(a->y.shape[0] * n_q * atom_pair_part::PARTS, atom_pair_part{row});
}

struct token_value {
  op_atoms_to_tokens a;
  int64_t n, c, m;
  __device__ void operator()(int64_t at) const {
    int64_t r = at / c, l = at % c;
    float sum = 0, count = 0;
    for (int64_t s = 0; s < a.n_slot; s++) {
      int64_t slot = r % n * a.n_slot + s;
      if (!a.mask[slot]) continue;
      count += 1;
      int32_t from = a.index[slot];
      if (from >= 0) sum += fmaxf(a.x.data[(r / n * m + from) * c + l], 0.0f);
    }
    a.y.data[at] = sum / fmaxf(count, 1e-10f);
  }
};
// Four channels a thread, some atoms' rows on their way at once. They are added up in the same order.
struct token_four {
  enum { AHEAD = 8 };
  op_atoms_to_tokens a;
  int64_t n, c, m;  // c: fours
  __device__ void operator()(int64_t at) const {
    int64_t r = at / c, l = at % c, first = r % n * a.n_slot;
    const float4 *x = (const float4 *)a.x.data + r / n * m * c + l;
    float4 sum = {0, 0, 0, 0};
    float count = 0;
    for (int64_t s = 0; s < a.n_slot; s += AHEAD) {
      float4 v[AHEAD];
#pragma unroll
      for (int i = 0; i < AHEAD; i++) {
        bool counts = s + i < a.n_slot && a.mask[first + s + i];
        int32_t from = counts ? a.index[first + s + i] : -1;
        count += counts;
        v[i] = from >= 0 ? x[from * c] : float4{0, 0, 0, 0};
      }
#pragma unroll
      for (int i = 0; i < AHEAD; i++) {
        sum.x += fmaxf(v[i].x, 0.0f), sum.y += fmaxf(v[i].y, 0.0f);
        sum.z += fmaxf(v[i].z, 0.0f), sum.w += fmaxf(v[i].w, 0.0f);
      }
    }
    float of = fmaxf(count, 1e-10f);
    ((float4 *)a.y.data)[at] = float4{sum.x / of, sum.y / of, sum.z / of, sum.w / of};
  }
};
CUDA_OP(atoms_to_tokens) {
  if (context->dry) return;
  int64_t n = a->y.shape[1], c = a->y.shape[2], m = a->x.shape[1], count = tensor_count(a->y);
  if (c % 4 == 0) launch_each(count / 4, token_four{*a, n, c / 4, m});
  else launch_each(count, token_value{*a, n, c, m});
}

struct symmetric_value {
  float *x;
  int64_t n, bins;
  __device__ void operator()(int64_t at) const {
    int64_t l = at % bins, ij = at / bins, i = ij / n, j = ij % n;
    if (j > i) return;
    int64_t other = (j * n + i) * bins + l;
    float sum = x[at] + x[other];
    x[at] = x[other] = sum;
  }
};
struct expectation_row {
  op_expectation a;
  int64_t bins;
  __device__ void operator()(int64_t r, int lane) const {
    const float *x = a.logits.data + r * bins;
    float most = -INFINITY, total = 0, sum[3] = {0, 0, 0};
    for (int64_t l = lane; l < bins; l += 32) most = fmaxf(most, x[l]);
    most = warp_max(most);
    for (int64_t l = lane; l < bins; l += 32) {
      float p = expf(x[l] - most);
      total += p;
#pragma unroll
      for (int o = 0; o < 3; o++)
        if (o < a.n_outputs) sum[o] += p * a.values[o][(a.row_table[o] ? (int64_t)a.row_table[o][r] * bins : 0) + l];
    }
    total = warp_sum(total);
#pragma unroll
    for (int o = 0; o < 3; o++)
      if (o < a.n_outputs) {
        float v = warp_sum(sum[o]);
        if (lane == 0) a.out[o].data[r] = v / total;
      }
  }
};
CUDA_OP(expectation) {
  NF_ASSERT(!a->logits.narrow);
  if (context->dry) return;
  int64_t bins = tensor_last(a->logits);
  if (a->symmetric) launch_each(tensor_count(a->logits), symmetric_value{a->logits.data, a->logits.shape[0], bins});
  launch_warps(tensor_rows(a->logits), expectation_row{*a, bins});
}

// What differs from sample to sample travels with the launch, so that nothing is copied in a step.
enum { SAMPLES_AT_ONCE = 16 };

struct motions {
  float rotation[SAMPLES_AT_ONCE][9], translation[SAMPLES_AT_ONCE][3];
};
__global__ void __launch_bounds__(1024) augment_kernel(float *all, const float *mask, int64_t m, motions motion) {
  __shared__ double sums[32][4];
  __shared__ float center[3];
  int b = blockIdx.x, warp = threadIdx.x / 32;
  float *x = all + b * m * 3;
  double sum[4] = {0, 0, 0, 0};
  for (int64_t i = threadIdx.x; i < m; i += blockDim.x) {
    double factor = mask[i];
    for (int s = 0; s < 3; s++) sum[s] += factor * x[i * 3 + s];
    sum[3] += factor;
  }
  for (int s = 0; s < 4; s++)
    for (int by = 16; by > 0; by /= 2) sum[s] += __shfl_xor_sync(0xffffffffu, sum[s], by);
  if (threadIdx.x % 32 == 0)
    for (int s = 0; s < 4; s++) sums[warp][s] = sum[s];
  __syncthreads();
  if (threadIdx.x < 3) {
    double total = 0, count = 0;
    for (int w = 0; w < 32; w++) total += sums[w][threadIdx.x], count += sums[w][3];
    center[threadIdx.x] = (float)(total / (count > 1e-6 ? count : 1e-6));
  }
  __syncthreads();
  const float *rotation = motion.rotation[b], *translation = motion.translation[b];
  for (int64_t i = threadIdx.x; i < m; i += blockDim.x) {
    float d[3];
    for (int s = 0; s < 3; s++) d[s] = x[i * 3 + s] - center[s];
    for (int s = 0; s < 3; s++)
      x[i * 3 + s] = (d[0] * rotation[s] + d[1] * rotation[3 + s] + d[2] * rotation[6 + s] + translation[s]) * mask[i];
  }
}
CUDA_OP(augment) {
  if (context->dry) return;
  int64_t n_b = a->x.shape[0], m = a->x.shape[1];
  for (int64_t first = 0; first < n_b; first += SAMPLES_AT_ONCE) {
    int count = n_b - first < SAMPLES_AT_ONCE ? (int)(n_b - first) : (int)SAMPLES_AT_ONCE;
    motions motion = {};
    for (int b = 0; b < count; b++) {
      for (int s = 0; s < 9; s++) motion.rotation[b][s] = a->rotation[(first + b) * 9 + s];
      for (int s = 0; s < 3; s++) motion.translation[b][s] = a->translation[(first + b) * 3 + s];
    }
    augment_kernel<<<count, 1024, 0, cuda_stream>>>(a->x.data + first * m * 3, a->mask.data, m, motion);
    CUDA_CHECK(cudaGetLastError());
  }
}

// base/threefry.c on the device: the same bits, and normals to rounding.
static __device__ uint32_t rotate_left(uint32_t x, int by) { return (x << by) | (x >> (32 - by)); }
static __device__ float random_normal(nf_key key, uint64_t index) {
  const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t ks[3] = {key.v[0], key.v[1], key.v[0] ^ key.v[1] ^ 0x1BD11BDAu};
  uint32_t x0 = (uint32_t)(index >> 32) + ks[0], x1 = (uint32_t)index + ks[1];
#pragma unroll
  for (uint32_t group = 0; group < 5; group++) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      x0 += x1;
      x1 = rotate_left(x1, rotations[group % 2][r]) ^ x0;
    }
    x0 += ks[(group + 1) % 3];
    x1 += ks[(group + 2) % 3] + group + 1;
  }
  float uniform = __uint_as_float(((x0 ^ x1) >> 9) | 0x3F800000u) - 1.0f;
  const float low = -0.99999994f;  // the float above -1
  float u = fmaxf(__fadd_rn(__fmul_rn(uniform, 1.0f - low), low), low);
  const float central[9] = {2.81022636e-08f, 3.43273939e-07f,  -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
                            -0.00125372503f, -0.00417768164f, 0.246640727f,    1.50140941f};
  const float tail[9] = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f,
                         -0.0076224613f,   0.00943887047f,  1.00167406f,    2.83297682f};
  float w = -log1pf(-u * u);
  bool inner = w < 5.0f;
  w = inner ? w - 2.5f : sqrtf(w) - 3.0f;
  float p = inner ? central[0] : tail[0];
#pragma unroll
  for (int i = 1; i < 9; i++) p = (inner ? central[i] : tail[i]) + p * w;
  return 1.41421356f * (fabsf(u) == 1.0f ? u * INFINITY : p * u);
}
struct normal_value {
  float *x;
  int64_t n;  // of a sample
  nf_key keys[SAMPLES_AT_ONCE];
  int64_t first[SAMPLES_AT_ONCE];
  float factor;
  __device__ void operator()(int64_t at) const {
    int64_t b = at / n;
    x[at] += factor * random_normal(keys[b], (uint64_t)(first[b] + at % n));
  }
};
CUDA_OP(add_normals) {
  if (context->dry) return;
  int64_t n_b = a->x.shape[0], n = a->x.shape[1] * 3;
  for (int64_t from = 0; from < n_b; from += SAMPLES_AT_ONCE) {
    int64_t count = n_b - from < SAMPLES_AT_ONCE ? n_b - from : (int64_t)SAMPLES_AT_ONCE;
    normal_value f = {a->x.data + from * n, n, {}, {}, a->factor};
    for (int64_t b = 0; b < count; b++) f.keys[b] = a->keys[from + b], f.first[b] = a->first ? a->first[from + b] : 0;
    launch_each(count * n, f);
  }
}
