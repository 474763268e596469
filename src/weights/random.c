// Seeded weights: every value a function of its record's name and its place, so that any program can make the same
// file.
//
// A manifest is a table with tabs between columns and a first line that names them: name, dtype, shape ("4,128,128"),
// scale (or scale_s), offset; and if there, sum_f64 and sumsq_f64, the sums of the values and of their squares, which
// are then checked. Value i (C order) of record NAME:
//   h = FNV-1a-64 of NAME; z = h + (i + 1) * 0x9e3779b97f4a7c15, scrambled by SplitMix64's finaliser;
//   u = float(z >> 40) / 2^24; value = (2 u - 1) * scale + offset, in float32.
// A uint8 record (the identifier) gets a line of text instead.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "weights/sink.h"
#include "weights/weights.h"

typedef struct {
  record_head head;
  float scale, offset;
  bool has_sums;
  double sum, sum_of_squares;
} row;

typedef enum { NAME, DTYPE, SHAPE, SCALE, OFFSET, SUM, SUMSQ, N_COLUMNS } column;
static const char *const column_names[N_COLUMNS][2] = {{"name"},   {"dtype"},   {"shape"},    {"scale", "scale_s"},
                                                       {"offset"}, {"sum_f64"}, {"sumsq_f64"}};
enum { MAX_FIELDS = 32, CHUNK = 1 << 20 };

// 1. The manifest

// Cuts a line at its tabs; returns the number of fields.
static int cut(char *line, char *fields[MAX_FIELDS]) {
  int n = 0;
  for (char *p = line; p && n < MAX_FIELDS; n++) {
    fields[n] = p;
    p = strchr(p, '\t');
    if (p) *p++ = '\0';
  }
  return n;
}

static bool parse_float(const char *text, float *ret_value) {
  double value;
  if (!nf_parse_double(text, &value) || !(fabs(value) <= 1e4)) return false;
  *ret_value = (float)value;
  return true;
}

static bool parse_shape(char *text, record_head *head) {
  head->n_dims = 0;
  while (text && *text) {
    long long value;
    char *comma = strchr(text, ',');
    if (comma) *comma = '\0';
    if (head->n_dims == WEIGHTS_MAX_DIMS || !nf_parse_int(text, &value)) return false;
    head->shape[head->n_dims++] = value;
    text = comma ? comma + 1 : NULL;
  }
  return record_count(head);
}

static nf_status parse_row(const char *path, int line, char **fields, const int places[N_COLUMNS], row *ret) {
  const char *name = fields[places[NAME]];
  size_t length = strlen(name);
  if (!length || length > RECORD_MAX_NAME / 2 || name[length - 1] == '/') {
    return nf_fail(NF_INPUT, "%s: line %d: name: must be scope/name, at most %d letters", path, line,
                   RECORD_MAX_NAME / 2);
  }
  strcpy(ret->head.name, name);
  if (!record_dtype_parse(fields[places[DTYPE]], &ret->head.dtype)) {
    return nf_fail(NF_INPUT, "%s: line %d: dtype: \"%s\" is unknown (float32, bfloat16, float16 expected)", path, line,
                   fields[places[DTYPE]]);
  }
  if ((ret->head.dtype == RECORD_U8) != (strcmp(name, RECORD_IDENTIFIER) == 0)) {
    return nf_fail(NF_INPUT, "%s: line %d: dtype: only %s may be (and must be) uint8", path, line, RECORD_IDENTIFIER);
  }
  if (!parse_shape(fields[places[SHAPE]], &ret->head) ||
      (ret->head.dtype == RECORD_U8 && ret->head.count != RECORD_IDENTIFIER_SIZE)) {
    return nf_fail(NF_INPUT, "%s: line %d: shape: not dimensions like 4,128,128, or impossible for %s", path, line,
                   name);
  }
  if (!parse_float(fields[places[SCALE]], &ret->scale) || !parse_float(fields[places[OFFSET]], &ret->offset)) {
    return nf_fail(NF_INPUT, "%s: line %d: scale or offset: must be a number between -10000 and 10000", path, line);
  }
  ret->has_sums = places[SUM] >= 0 && places[SUMSQ] >= 0;
  if (ret->has_sums && (!nf_parse_double(fields[places[SUM]], &ret->sum) ||
                        !nf_parse_double(fields[places[SUMSQ]], &ret->sum_of_squares))) {
    return nf_fail(NF_INPUT, "%s: line %d: sum_f64 or sumsq_f64: must be a number", path, line);
  }
  return NF_OK;
}

extern const char weights_manifest_full[], weights_manifest_full_end[], weights_manifest_tiny[], weights_manifest_tiny_end[];

static nf_status manifest_text(const char *path, char **ret_text, size_t *ret_size) {
  bool full = strcmp(path, ":full") == 0, tiny = strcmp(path, ":tiny") == 0;
  if (!full && !tiny) return nf_file_read(path, ret_text, ret_size);
  const char *from = full ? weights_manifest_full : weights_manifest_tiny;
  *ret_size = (size_t)((full ? weights_manifest_full_end : weights_manifest_tiny_end) - from);
  *ret_text = nf_strndup(from, *ret_size);
  return NF_OK;
}

// Rows are freed by the caller with free().
static nf_status read_manifest(const char *path, row **ret_rows, int *ret_n) {
  char *text, *rest, *fields[MAX_FIELDS];
  size_t size;
  row *rows = NULL;
  int n = 0, n_columns = 0, places[N_COLUMNS], line_number = 0;
  *ret_rows = NULL;
  *ret_n = 0;
  NF_TRY(manifest_text(path, &text, &size));
  nf_status status = NF_OK;
  nf_map *seen = nf_map_create();
  if (strlen(text) != size) {
    status = nf_fail(NF_INPUT, "%s: is not text: a manifest is a table with tabs between its columns", path);
    goto done;
  }
  for (rest = text; *rest;) {
    char *line = rest, *end = strchr(rest, '\n');
    rest = end ? end + 1 : rest + strlen(rest);
    if (end) *end = '\0';
    if (end && end > line && end[-1] == '\r') end[-1] = '\0';
    line_number++;
    if (!*line || *line == '#') continue;
    int n_fields = cut(line, fields);
    if (!n_columns) {
      n_columns = n_fields;
      for (int c = 0; c < N_COLUMNS; c++) {
        places[c] = -1;
        for (int f = 0; f < n_fields; f++) {
          const char *other = column_names[c][1];
          if (strcmp(fields[f], column_names[c][0]) == 0 || (other && strcmp(fields[f], other) == 0)) places[c] = f;
        }
        if (places[c] < 0 && c < SUM) {
          status = nf_fail(NF_INPUT, "%s: line %d: column %s is missing (name, dtype, shape, scale, offset expected)",
                           path, line_number, column_names[c][0]);
          goto done;
        }
      }
      continue;
    }
    if (n_fields != n_columns) {
      status =
          nf_fail(NF_INPUT, "%s: line %d: has %d columns, its first line %d", path, line_number, n_fields, n_columns);
      goto done;
    }
    rows = nf_realloc(rows, (size_t)n + 1, sizeof *rows);
    NF_TRY_GOTO(done, parse_row(path, line_number, fields, places, &rows[n]));
    if (!nf_map_add(seen, rows[n].head.name, n)) {
      status = nf_fail(NF_INPUT, "%s: line %d: %s is there twice", path, line_number, rows[n].head.name);
      goto done;
    }
    n++;
  }
  if (!n) status = nf_fail(NF_INPUT, "%s: holds no records", path);
done:
  nf_map_free(seen);
  free(text);
  if (status != NF_OK) {
    free(rows);
    return status;
  }
  *ret_rows = rows;
  *ret_n = n;
  return NF_OK;
}

// 2. The values

static inline float random_value(uint64_t name_hash, uint64_t i, float scale, float offset) {
  uint64_t z = name_hash + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  float u = (float)(z >> 40) * 0x1p-24f;
  return (2.0f * u - 1.0f) * scale + offset;
}

static nf_status write_identifier(const row *r, const char *manifest_path, weights_sink *sink) {
  const char *slash = strrchr(manifest_path, '/');
  char text[RECORD_IDENTIFIER_SIZE + 1] = "";
  snprintf(text, sizeof text, "seeded, untrained: %.40s", slash ? slash + 1 : manifest_path);
  return sink_bytes(sink, (const uint8_t *)text, r->head.count);
}

static nf_status write_values(const row *r, const char *manifest_path, float *values, weights_sink *sink) {
  uint64_t hash = nf_fnv1a(r->head.name, strlen(r->head.name));
  double sum = 0, sum_of_squares = 0;
  for (int64_t start = 0; start < r->head.count; start += CHUNK) {
    int64_t n = r->head.count - start < CHUNK ? r->head.count - start : CHUNK;
    double s = 0, ss = 0;
#pragma omp parallel for schedule(static) reduction(+ : s, ss) if (n > 4096)
    for (int64_t i = 0; i < n; i++) {
      values[i] = random_value(hash, (uint64_t)(start + i), r->scale, r->offset);
      s += values[i];
      ss += (double)values[i] * values[i];
    }
    sum += s;
    sum_of_squares += ss;
    NF_TRY(sink_floats(sink, values, n));
  }
  if (!r->has_sums) return NF_OK;
  // Room for the order of additions alone: the absolute values add up to at most sqrt(n * sum of squares).
  double room = 1e-10 * sqrt((double)r->head.count * sum_of_squares) + 1e-12;
  if (fabs(sum - r->sum) <= room && fabs(sum_of_squares - r->sum_of_squares) <= 1e-9 * sum_of_squares + 1e-12)
    return NF_OK;
  return nf_fail(NF_INPUT, "%s: %s: the values made add up to %.9g (squares %.9g), the manifest says %.9g (%.9g)",
                 manifest_path, r->head.name, sum, sum_of_squares, r->sum, r->sum_of_squares);
}

nf_status weights_write_random(const char *manifest_path, const char *output_path) {
  row *rows;
  int n;
  weights_sink *sink = NULL;
  NF_TRY(read_manifest(manifest_path, &rows, &n));
  float *values = nf_alloc(CHUNK * sizeof(float));
  nf_status status;
  NF_TRY_GOTO(done, sink_open(output_path, NULL, 0, &sink));
  for (int i = 0; i < n; i++) {
    NF_TRY_GOTO(done, sink_begin(sink, &rows[i].head));
    NF_TRY_GOTO(done, rows[i].head.dtype == RECORD_U8 ? write_identifier(&rows[i], manifest_path, sink)
                                                      : write_values(&rows[i], manifest_path, values, sink));
  }
  status = sink_commit(sink);
  sink = NULL;
done:
  sink_abandon(sink);
  free(values);
  free(rows);
  return status;
}
