// Opening of weights: select the files, find or make the mappable copy, map it.
#include "weights/weights.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "formats/array.h"
#include "weights/select.h"
#include "weights/sink.h"

struct nf_weights {
  nf_arena *arena;
  const char *path, *stem;
  const void *data;  // the mapped file
  size_t size;
  int n;
  weights_record *records;
  nf_map *by_name;
  const uint8_t *identifier;  // 64 bytes, or NULL
  int n_fourier;
  const float *fourier_weight, *fourier_bias;
};

// 1. Conversion: records in, a mappable file out

static nf_status copy_records(weights_source *source, weights_sink *sink) {
  enum { CHUNK = 1 << 18 };
  nf_status status = NF_OK;
  nf_map *seen = nf_map_create();
  char *bytes = nf_alloc(CHUNK * sizeof(float));
  float *values = nf_alloc(CHUNK * sizeof(float));
  record_head head;
  for (int number = 1;; number++) {
    bool end;
    NF_TRY_GOTO(done, record_read_head(source, number, &head, &end));
    if (end) {
      if (number == 1) status = nf_fail(NF_INPUT, "%s: is empty: no record in it", source_label(source));
      goto done;
    }
    if (!nf_map_add(seen, head.name, number)) {
      status = nf_fail(NF_INPUT, "%s: record %s: is there twice", source_label(source), head.name);
      goto done;
    }
    NF_TRY_GOTO(done, sink_begin(sink, &head));
    int size = record_dtype_size(head.dtype);
    for (int64_t start = 0; start < head.count; start += CHUNK) {
      int64_t n = head.count - start < CHUNK ? head.count - start : CHUNK;
      size_t got;
      NF_TRY_GOTO(done, source_read(source, bytes, (size_t)(n * size), &got));
      if (got < (size_t)(n * size)) {
        status = nf_fail(NF_INPUT, "%s: is cut short in the values of record %s: fetch the file again",
                         source_label(source), head.name);
        goto done;
      }
      if (head.dtype == RECORD_U8) {
        NF_TRY_GOTO(done, sink_bytes(sink, (const uint8_t *)bytes, n));
        continue;
      }
      record_to_float(head.dtype, bytes, n, values);
      bool all_finite = true;
      for (int64_t i = 0; i < n; i++) all_finite &= isfinite(values[i]) != 0;
      for (int64_t i = 0; !all_finite && i < n; i++) {
        if (isfinite(values[i])) continue;
        status = nf_fail(NF_INPUT, "%s: record %s: value %lld is %s: the file is damaged", source_label(source),
                         head.name, (long long)(start + i), isnan(values[i]) ? "not a number" : "infinite");
        goto done;
      }
      NF_TRY_GOTO(done, sink_floats(sink, values, n));
    }
  }
done:
  nf_map_free(seen);
  free(bytes);
  free(values);
  return status;
}

// Into `sink`, which it commits or abandons.
static nf_status convert(const weights_selection *selection, weights_sink *sink) {
  weights_source *source = NULL;
  nf_status status = source_open(selection->paths, selection->n_paths, &source);
  if (status == NF_OK) status = copy_records(source, sink);
  source_close(source);
  if (status == NF_OK) return sink_commit(sink);
  sink_abandon(sink);
  return status;
}

// 2. Mapping

// Reads the index of the mapped bytes; on failure nothing is kept.
static nf_status adopt(nf_weights *weights, const char *label, const void *data, size_t size, mapped_part **ret_parts,
                       int *ret_n_parts) {
  mapped_record *mapped;
  int n;
  NF_TRY(mapped_read(label, data, size, weights->arena, &mapped, &n, ret_parts, ret_n_parts));
  if (!n) return nf_fail(NF_INPUT, "%s: is empty: no record in it", label);
  weights->records = NF_NEW(weights->arena, weights_record, n);
  nf_map *by_name = nf_map_create();
  weights->identifier = NULL;
  for (int i = 0; i < n; i++) {
    weights_record *record = &weights->records[i];
    *record = (weights_record){.name = mapped[i].name,
                               .dtype = record_dtype_name(mapped[i].dtype),
                               .n_dims = mapped[i].n_dims,
                               .count = mapped[i].count};
    memcpy(record->shape, mapped[i].shape, sizeof record->shape);
    if (mapped[i].dtype == RECORD_U8) {
      weights->identifier = mapped[i].values;
    } else {
      record->values = mapped[i].values;
    }
    if (!nf_map_add(by_name, record->name, i)) {
      nf_map_free(by_name);
      return nf_fail(NF_INPUT, "%s: record %s: is there twice", label, record->name);
    }
  }
  weights->by_name = by_name;
  weights->n = n;
  weights->data = data;
  weights->size = size;
  return NF_OK;
}

// Opens a mappable file. parts: what it must have been made from; NULL if that does not matter.
static nf_status open_mapped(nf_weights *weights, const char *path, const mapped_part *parts, int n_parts) {
  const void *data;
  size_t size;
  NF_TRY(nf_file_map(path, &data, &size));
  mapped_part *made_from;
  int n = 0;
  nf_status status = adopt(weights, path, data, size, &made_from, &n);
  bool same = status == NF_OK && n == n_parts;
  for (int i = 0; same && parts && i < n; i++) {
    same = strcmp(parts[i].name, made_from[i].name) == 0 && parts[i].size == made_from[i].size &&
           parts[i].seconds == made_from[i].seconds && parts[i].nanoseconds == made_from[i].nanoseconds;
  }
  if (status == NF_OK && (same || !parts)) return NF_OK;
  if (status == NF_OK) {
    status = nf_fail(NF_INPUT, "%s: was made from another file", path);
    nf_map_free(weights->by_name);
    weights->by_name = NULL;
    weights->data = NULL;
  }
  nf_file_unmap(data, size);
  return status;
}

// 3. The cache

// Whether files may be put into the directory: one that its owner made read-only is left alone even by root.
static bool is_for_writing(const char *directory) {
  struct stat st;
  return stat(directory, &st) == 0 && (st.st_mode & 0222) && access(directory, W_OK) == 0;
}

// Where the mappable copy may be kept, in order of preference.
static int cache_paths(const weights_selection *selection, nf_arena *arena, const char *ret_paths[2]) {
  int n = 0;
  const char *first = selection->paths[0];
  if (is_for_writing(selection->directory)) ret_paths[n++] = nf_arena_printf(arena, "%s.nfw", first);
  const char *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME"), *directory = NULL;
  if (cache && cache[0] == '/') {
    directory = nf_arena_printf(arena, "%s/nativefold", cache);
  } else if (home && home[0] == '/') {
    directory = nf_arena_printf(arena, "%s/.cache/nativefold", home);
  }
  char *real = realpath(first, NULL);
  if (directory && real) {
    // Two models of the same name in different places have different copies.
    ret_paths[n++] = nf_arena_printf(arena, "%s/%s-%016llx.nfw", directory, selection->stem,
                                     (unsigned long long)nf_fnv1a(real, strlen(real)));
  }
  free(real);
  return n;
}

static nf_status describe_parts(const weights_selection *selection, nf_arena *arena, mapped_part **ret_parts) {
  mapped_part *parts = NF_NEW(arena, mapped_part, selection->n_paths);
  for (int i = 0; i < selection->n_paths; i++) {
    const char *path = selection->paths[i], *slash = strrchr(path, '/');
    struct stat st;
    if (stat(path, &st) != 0) return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    parts[i] = (mapped_part){slash ? slash + 1 : path, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
  }
  *ret_parts = parts;
  return NF_OK;
}

// Converts into memory, where no directory takes a file.
static nf_status open_in_memory(nf_weights *weights, const weights_selection *selection) {
  const char *label = selection->paths[0];
  nf_status status = NF_OK;
  void *data = MAP_FAILED;
  FILE *file = NULL;
  int fd = memfd_create("nativefold-weights", MFD_CLOEXEC);
  if (fd >= 0) file = fdopen(fd, "w+b");
  if (!file) {
    if (fd >= 0) close(fd);
    return nf_fail(NF_MEMORY, "%s: cannot be converted in memory: %s", label, strerror(errno));
  }
  NF_TRY_GOTO(done, convert(selection, sink_open_mapped(label, file, NULL, 0)));
  struct stat st;
  if (fstat(fd, &st) == 0) data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    status = nf_fail(NF_MEMORY, "%s: cannot be mapped: %s", label, strerror(errno));
    goto done;
  }
  mapped_part *parts = NULL;
  int n_parts;
  status = adopt(weights, label, data, (size_t)st.st_size, &parts, &n_parts);
  if (status != NF_OK) munmap(data, (size_t)st.st_size);
done:
  fclose(file);
  return status;
}

static nf_status open_records(nf_weights *weights, const weights_selection *selection) {
  // One conversion at a time: threads that open the same model share the first one's work.
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  mapped_part *parts = NULL;
  NF_TRY(describe_parts(selection, weights->arena, &parts));
  const char *paths[2] = {0};
  int n_paths = cache_paths(selection, weights->arena, paths);
  pthread_mutex_lock(&lock);
  nf_status status = nf_fail(NF_FAILED, "no directory takes it");
  for (int i = 0; i < n_paths && status != NF_OK; i++) {
    if (nf_file_exists(paths[i])) status = open_mapped(weights, paths[i], parts, selection->n_paths);
  }
  if (status == NF_OK) goto done;
  for (int i = 0; i < n_paths; i++) {
    const char *slash = strrchr(paths[i], '/');
    char *directory = slash ? nf_arena_strndup(weights->arena, paths[i], (size_t)(slash - paths[i])) : NULL;
    weights_sink *sink = NULL;
    // The user's cache directory may not exist yet.
    status = directory ? nf_dir_create(directory) : NF_OK;
    if (status == NF_OK) status = sink_open(paths[i], parts, selection->n_paths, &sink);
    if (status == NF_OK) {
      status = convert(selection, sink);
      // NF_FAILED: it could not be written here. Anything else is wrong everywhere.
      if (status != NF_OK && status != NF_FAILED) goto done;
    }
    // What was written may be gone again, if somebody tidied up.
    if (status == NF_OK && open_mapped(weights, paths[i], parts, selection->n_paths) == NF_OK) goto done;
  }
  nf_note("%s: its converted copy could not be kept (%s): converting in memory", selection->paths[0], nf_message());
  status = open_in_memory(weights, selection);
done:
  pthread_mutex_unlock(&lock);
  return status;
}

// 4. Noise constants

static nf_status read_constant(nf_weights *weights, const char *path, const nf_array *arrays, int n, const char *key,
                               const float **ret_values, int *ret_n) {
  const nf_array *array = nf_array_find(arrays, n, key);
  if (!array) return nf_fail(NF_INPUT, "%s: %s: is missing from the noise constants", path, key);
  int64_t count = nf_array_count(array);
  if ((array->dtype != NF_F32 && array->dtype != NF_F64) || count < 1 || count > 65536) {
    return nf_fail(NF_INPUT, "%s: %s: must hold float32 numbers, has %lld of %s", path, key, (long long)count,
                   nf_dtype_name(array->dtype));
  }
  float *values = NF_NEW(weights->arena, float, count);
  for (int64_t i = 0; i < count; i++) {
    values[i] = array->dtype == NF_F32 ? ((const float *)array->data)[i] : (float)((const double *)array->data)[i];
    if (!isfinite(values[i])) return nf_fail(NF_INPUT, "%s: %s: value %lld is not finite", path, key, (long long)i);
  }
  *ret_values = values;
  *ret_n = (int)count;
  return NF_OK;
}

static nf_status read_fourier(nf_weights *weights, const char *path) {
  nf_array *arrays;
  int n, n_weight, n_bias;
  NF_TRY(nf_npz_read(path, weights->arena, &arrays, &n));
  NF_TRY(read_constant(weights, path, arrays, n, "weight", &weights->fourier_weight, &n_weight));
  NF_TRY(read_constant(weights, path, arrays, n, "bias", &weights->fourier_bias, &n_bias));
  if (n_weight != n_bias) {
    return nf_fail(NF_INPUT, "%s: weight has %d values, bias %d: as many expected", path, n_weight, n_bias);
  }
  weights->n_fourier = n_weight;
  return NF_OK;
}

// 5. The interface

nf_status weights_open(const char *path, nf_weights **ret_weights) {
  *ret_weights = NULL;
  nf_weights *weights = nf_calloc(1, sizeof *weights);
  weights->arena = nf_arena_create();
  weights_selection selection;
  nf_status status;
  NF_TRY_GOTO(fail, weights_select(path, weights->arena, &selection));
  weights->path = selection.paths[0];
  weights->stem = selection.stem;
  if (nf_ends_with(selection.paths[0], ".nfw")) {
    NF_TRY_GOTO(fail, open_mapped(weights, selection.paths[0], NULL, 0));
  } else {
    NF_TRY_GOTO(fail, open_records(weights, &selection));
  }
  if (selection.fourier) NF_TRY_GOTO(fail, read_fourier(weights, selection.fourier));
  *ret_weights = weights;
  return NF_OK;
fail:
  weights_close(weights);
  return status;
}

void weights_close(nf_weights *weights) {
  if (!weights) return;
  nf_file_unmap(weights->data, weights->size);
  nf_map_free(weights->by_name);
  nf_arena_free(weights->arena);
  free(weights);
}

int weights_count(const nf_weights *weights) { return weights->n; }

const weights_record *weights_at(const nf_weights *weights, int i) {
  NF_ASSERT(i >= 0 && i < weights->n);
  return &weights->records[i];
}

const weights_record *weights_find(const nf_weights *weights, const char *name) {
  int64_t i;
  return nf_map_get(weights->by_name, name, &i) ? &weights->records[i] : NULL;
}

const char *weights_path(const nf_weights *weights) { return weights->path; }

bool weights_identifier(const nf_weights *weights, uint8_t ret_bytes[64]) {
  if (!weights->identifier) return false;
  memcpy(ret_bytes, weights->identifier, RECORD_IDENTIFIER_SIZE);
  return true;
}

bool weights_is_alphafold3(const nf_weights *weights) {
  // Its identifiers, which its output files repeat, are 64 hexadecimal digits. A model with noise constants of its own
  // is another one, whatever it kept of the identifier.
  if (!weights->identifier || weights->n_fourier) return false;
  for (int i = 0; i < RECORD_IDENTIFIER_SIZE; i++) {
    if (!isxdigit(weights->identifier[i])) return false;
  }
  return true;
}

const char *weights_model_name(const nf_weights *weights) {
  return weights_is_alphafold3(weights) ? "AlphaFold 3" : weights->stem;
}

bool weights_fourier(const nf_weights *weights, const float **ret_weight, const float **ret_bias, int *ret_n) {
  if (!weights->n_fourier) return false;
  *ret_weight = weights->fourier_weight;
  *ret_bias = weights->fourier_bias;
  *ret_n = weights->n_fourier;
  return true;
}

nf_status weights_convert(const nf_weights *weights, const char *output_path) {
  weights_sink *sink;
  NF_TRY(sink_open(output_path, NULL, 0, &sink));
  nf_status status = NF_OK;
  for (int i = 0; i < weights->n && status == NF_OK; i++) {
    const weights_record *record = &weights->records[i];
    record_head head = {.n_dims = record->n_dims, .count = record->count};
    bool known = record_dtype_parse(record->dtype, &head.dtype);
    NF_ASSERT(known && strlen(record->name) <= RECORD_MAX_NAME);
    strcpy(head.name, record->name);
    memcpy(head.shape, record->shape, sizeof head.shape);
    status = sink_begin(sink, &head);
    if (status != NF_OK) break;
    status = record->values ? sink_floats(sink, record->values, record->count)
                            : sink_bytes(sink, weights->identifier, record->count);
  }
  if (status == NF_OK) return sink_commit(sink);
  sink_abandon(sink);
  return status;
}
