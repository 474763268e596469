// Job files: JSON in the alphafold3 dialect, versions 1 to 4, and in the AlphaFold Server's.
//
// Every value is checked here, so that the rooms after this one may rely on it.
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "formats/a3m.h"
#include "formats/compress.h"
#include "input/job.h"
#include "input/utf8.h"

enum {
  MAX_RESIDUES = 1000000,  // in all chains: beyond any machine, and 24 atoms of each still count in an int
  MAX_UNSEARCHED = 4,      // residues of a chain without MSA and templates, whatever is given
  MAX_NAME = 190,          // bytes of a file name (255), less what is added to the job's name
  MAX_SHOWN = 60,          // of a user's text in a message
  SHORT_TEXT = 256,        // shorter MSAs and mmCIFs are looked at as possible misplaced paths
};
static const size_t max_text_file = (size_t)4 << 30;

typedef struct {
  const char *path;       // of the job, for messages
  const char *directory;  // relative paths start here: "" or ending in a slash
  nf_arena *arena;
  const char *where;  // of the entry being read: "protein A: "; "" outside of one
  bool server;        // the job is in the AlphaFold Server's dialect
} reader;

// ---- Messages

static nf_status refuse(const reader *r, const char *field, const char *format, ...) NF_PRINTF(3, 4);
static nf_status refuse(const reader *r, const char *field, const char *format, ...) {
  char what[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return nf_fail(NF_INPUT, "%s: %s%s: %s", r->path, r->where, field, what);
}

// A user's text as it may stand in a message: short, on one line.
static const char *shown(const reader *r, const char *text) {
  nf_str s = {0};
  size_t left = strlen(text);
  uint32_t c;
  int n;
  nf_str_puts(&s, "");
  for (; left && s.length < MAX_SHOWN; text += n, left -= (size_t)n) {
    n = utf8_decode(text, left, &c);
    if (!n || c < ' ' || (c >= 0x7f && c < 0xa0)) {
      nf_str_putc(&s, '?');
      n = n ? n : 1;
    } else {
      nf_str_append(&s, text, (size_t)n);
    }
  }
  if (left) nf_str_puts(&s, "...");
  const char *kept = nf_arena_strdup(r->arena, s.data);
  nf_str_free(&s);
  return kept;
}

static const char *type_name(const json_t *value) {
  if (!value) return "missing";
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      return "an object";
    case JSON_ARRAY:
      return "a list";
    case JSON_STRING:
      return "a string";
    case JSON_INTEGER:
      return "a whole number";
    case JSON_REAL:
      return "a fraction";
    case JSON_TRUE:
      return "true";
    case JSON_FALSE:
      return "false";
    case JSON_NULL:
      return "null";
  }
  return "unknown";
}

static nf_status wrong_type(const reader *r, const char *field, const char *expected, const json_t *value) {
  if (!value) return refuse(r, field, "is missing, %s is needed", expected);
  return refuse(r, field, "must be %s, but is %s", expected, type_name(value));
}

// Refuses keys that are not among `allowed` (NULL-ended).
static nf_status check_keys(const reader *r, const json_t *object, const char *what, const char *const *allowed) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) {
    nf_str all = {0};
    bool known = false;
    for (int i = 0; allowed[i]; i++) {
      known = known || strcmp(key, allowed[i]) == 0;
      nf_str_printf(&all, "%s%s", i ? ", " : "", allowed[i]);
    }
    nf_status status = NF_OK;
    if (!known) status = refuse(r, shown(r, key), "is no field of %s, which has %s", what, all.data);
    nf_str_free(&all);
    NF_TRY(status);
  }
  return NF_OK;
}

// A value that is there and not null.
static const json_t *present(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

// ---- Text, inline or in a file

static nf_status check_text(const reader *r, const char *field, const char *file, const char *data, size_t size) {
  uint32_t c;
  for (size_t at = 0; at < size;) {
    int n = utf8_decode(data + at, size - at, &c);
    if (!n || !c) return refuse(r, field, "%s: is not a text file (byte %zu)", file, at + 1);
    at += (size_t)n;
  }
  return NF_OK;
}

static nf_status read_text_file(const reader *r, const char *field, const char *name, const char **ret_text) {
  if (strstr(name, "://")) return refuse(r, field, "%s: is no file here, copy it and name the copy", shown(r, name));
  const char *path = name[0] == '/' ? name : nf_arena_printf(r->arena, "%s%s", r->directory, name);
  char *data = NULL;
  size_t size;
  nf_status status = nf_read_maybe_compressed(path, max_text_file, &data, &size);
  if (status != NF_OK) return nf_fail_in(status, "%s: %s%s", r->path, r->where, field);
  status = check_text(r, field, path, data, size);
  if (status == NF_OK) *ret_text = nf_arena_strndup(r->arena, data, size);
  free(data);
  return status;
}

// Reads the text under `key` or in the file under `path_key`, which exclude each other; NULL if neither is set.
// `prefix` precedes the keys in messages.
static nf_status read_text(const reader *r, const json_t *object, const char *prefix, const char *key,
                           const char *path_key, const char **ret_text) {
  const json_t *text = present(object, key), *path = present(object, path_key);
  const char *field = nf_arena_printf(r->arena, "%s%s", prefix, key);
  const char *path_field = nf_arena_printf(r->arena, "%s%s", prefix, path_key);
  *ret_text = NULL;
  if (text && !json_is_string(text)) return wrong_type(r, field, "a string", text);
  if (path && !json_is_string(path)) return wrong_type(r, path_field, "a string", path);
  size_t length = text ? json_string_length(text) : 0;
  bool has_path = path && json_string_length(path);
  if (length && has_path) return refuse(r, field, "only one of it and %s may be set", path_key);
  if (length && length < SHORT_TEXT && access(json_string_value(text), F_OK) == 0) {
    return refuse(r, field, "is the name of a file, give it as %s", path_key);
  }
  if (has_path) return read_text_file(r, path_field, json_string_value(path), ret_text);
  if (text) *ret_text = nf_arena_strndup(r->arena, json_string_value(text), length);
  return NF_OK;
}

// ---- The parts of a chain

static bool is_blank(const char *text) { return !text[strspn(text, " \t\r\n\v\f")]; }

// The first row must be the chain itself, as far as the network's classes go; small letters are insertions.
static nf_status check_first_row(const reader *r, const char *field, const job_chain *chain, const char *msa) {
  if (!msa || is_blank(msa)) return NF_OK;
  nf_a3m a3m;
  nf_arena_mark mark = nf_arena_here(r->arena);
  nf_status status = a3m_parse(field, msa, strlen(msa), r->arena, &a3m);
  if (status != NF_OK) return nf_fail_in(status, "%s: %s%s", r->path, r->where, field);
  if (!a3m.n_rows) return refuse(r, field, "holds no sequence, rows in the A3M format begin with a line of \">name\"");
  const char *letters = job_chain_letters(chain, r->arena);
  int n_residues = (int)strlen(letters), n = 0, differs = -1;
  for (const char *c = a3m.sequences[0]; *c; c++) {
    int class_index = msa_class(chain->kind, *c);
    if (class_index >= 0) {
      bool same = n < n_residues && class_index == msa_class(chain->kind, letters[n]);
      if (!same && differs < 0) differs = n;
      n++;
    } else if (*c < 'a' || *c > 'z') {
      return refuse(r, field, "the first row holds \"%s\", which is neither a letter nor a gap",
                    shown(r, (char[]){*c, '\0'}));
    }
  }
  if (differs < 0 && n != n_residues) differs = n;
  if (differs >= 0) {
    return refuse(r, field,
                  "the first row must be the sequence itself, and from residue %d on it is not: the row is \"%s\" (%d "
                  "residues), the sequence \"%s\" (%d)%s%s",
                  differs + 1, shown(r, a3m.sequences[0]), n, shown(r, letters), n_residues,
                  strcmp(letters, chain->sequence) == 0 ? ""
                                                        : ", unknown residues as X or N and modified ones as what "
                                                          "they are made from; it is given as ",
                  strcmp(letters, chain->sequence) == 0 ? "" : shown(r, chain->sequence));
  }
  nf_arena_reset(r->arena, mark);
  return NF_OK;
}

// An MSA that features do not read may hold what it will, as in the reference; but it is told of.
static nf_status check_msa(const reader *r, const char *field, const job_chain *chain, const char *msa,
                           const char *why_unread) {
  nf_status status = check_first_row(r, field, chain, msa);
  if (status != NF_INPUT || !why_unread) return status;
  nf_warn("%s; it is not read, as %s", nf_message(), why_unread);
  return NF_OK;
}

// Once all chains are there, as proteins are paired only where their sequences differ.
static nf_status check_msas(reader *r, const nf_job *job) {
  nf_arena *arena = nf_arena_create();
  const char *first = NULL;
  bool is_pairing = false;
  for (int c = 0; c < job->n_chains; c++) {
    const job_chain *chain = &job->chains[c];
    if (chain->kind != NF_PROTEIN) continue;
    const char *letters = job_chain_letters(chain, arena);
    if (!letters[strspn(letters, "X")]) continue;  // left out, or as good as
    is_pairing = is_pairing || (first && strcmp(first, letters) != 0);
    first = letters;
  }
  nf_arena_free(arena);
  nf_status status = NF_OK;
  for (int c = 0; c < job->n_chains && status == NF_OK; c++) {
    const job_chain *chain = &job->chains[c];
    if (chain->kind != NF_PROTEIN && chain->kind != NF_RNA) continue;
    const job_chain *before = c > 0 ? &job->chains[c - 1] : NULL;
    if (before && before->sequence == chain->sequence) continue;  // a copy
    const char *brief = job_chain_length(chain) <= MAX_UNSEARCHED ? "the chain has no more than four residues" : NULL;
    const char *alone = is_pairing ? brief : "no other protein sequence is there to pair with";
    r->where = nf_arena_printf(r->arena, "%s %s: ", job_kind_name(chain->kind), chain->id);
    status = check_msa(r, "unpairedMsa", chain, chain->unpaired_msa, brief);
    if (status == NF_OK) status = check_msa(r, "pairedMsa", chain, chain->paired_msa, alone);
  }
  r->where = "";
  return status;
}

static nf_status read_sequence(const reader *r, const json_t *object, job_chain *chain) {
  const json_t *value = json_object_get(object, "sequence");
  if (!json_is_string(value)) return wrong_type(r, "sequence", "a string of one-letter codes", value);
  const char *sequence = json_string_value(value);
  size_t length = json_string_length(value);
  if (!length) return refuse(r, "sequence", "is empty");
  if (length > MAX_RESIDUES) return refuse(r, "sequence", "is longer than %d residues", MAX_RESIDUES);
  for (size_t i = 0; i < length; i++) {
    // Small letters stand for no residue, as in the reference, and are warned of as such.
    if ((sequence[i] >= 'A' && sequence[i] <= 'Z') || (sequence[i] >= 'a' && sequence[i] <= 'z')) continue;
    uint32_t c;
    int n = utf8_decode(sequence + i, length - i, &c);
    char letter[5] = {0};
    memcpy(letter, sequence + i, (size_t)(n ? n : 1));
    return refuse(r, "sequence", "\"%s\" at %zu is none of the letters A to Z", shown(r, letter), i + 1);
  }
  chain->sequence = nf_arena_strndup(r->arena, sequence, length);
  return NF_OK;
}

// Letters that stand for no residue become the unknown one, as in the reference; say so, once a chain.
static void warn_of_unknown_letters(const reader *r, const job_chain *chain) {
  char unknown = chain->kind == NF_PROTEIN ? 'X' : 'N';
  const char *unknown_code = residue_code(chain->kind, unknown);
  int n;
  const char **codes = job_chain_residues(chain, r->arena, &n);
  for (int i = 0; i < n; i++) {
    if (chain->sequence[i] != unknown && strcmp(codes[i], unknown_code) == 0) {
      nf_warn("%s: %ssequence: %c at %d is read as an unknown residue", r->path, r->where, chain->sequence[i], i + 1);
      return;
    }
  }
}

static nf_status read_modifications(const reader *r, const json_t *object, job_chain *chain) {
  const json_t *list = present(object, "modifications");
  if (!list) return NF_OK;
  if (!json_is_array(list)) return wrong_type(r, "modifications", "a list", list);
  bool protein = chain->kind == NF_PROTEIN;
  const char *type_key = protein ? "ptmType" : "modificationType";
  const char *position_key = protein ? "ptmPosition" : "basePosition";
  int length = job_chain_length(chain);
  size_t n = json_array_size(list);
  if (n > MAX_RESIDUES) return refuse(r, "modifications", "there are more than %d", MAX_RESIDUES);
  job_modification *modifications = NF_NEW(r->arena, job_modification, n + 1);
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_array_get(list, i);
    const char *at = nf_arena_printf(r->arena, "modifications[%zu]", i);
    if (!json_is_object(item)) return wrong_type(r, at, "an object", item);
    const json_t *type = json_object_get(item, type_key), *position = json_object_get(item, position_key);
    const char *type_field = nf_arena_printf(r->arena, "%s.%s", at, type_key);
    const char *position_field = nf_arena_printf(r->arena, "%s.%s", at, position_key);
    if (!json_is_string(type)) return wrong_type(r, type_field, "a string with a CCD code", type);
    const char *code = json_string_value(type);
    if (r->server && strncmp(code, "CCD_", 4) == 0) code += 4;
    if (!*code) return refuse(r, type_field, "is empty");
    if (strncmp(code, "CCD_", 4) == 0) {
      return refuse(r, type_field, "write %s without \"CCD_\"", shown(r, code));
    }
    if (!json_is_integer(position)) return wrong_type(r, position_field, "a whole number", position);
    json_int_t where = json_integer_value(position);
    if (where < 1 || where > length) {
      return refuse(r, position_field, "%" JSON_INTEGER_FORMAT " is outside the sequence, which goes from 1 to %d",
                    where, length);
    }
    modifications[i] = (job_modification){.code = nf_arena_strdup(r->arena, code), .position = (int)where};
  }
  chain->n_modifications = (int)n;
  chain->modifications = modifications;
  return NF_OK;
}

static nf_status read_index(const reader *r, const char *field, size_t i, const json_t *value, int end,
                            int *ret_index) {
  const char *at = nf_arena_printf(r->arena, "%s[%zu]", field, i);
  if (!json_is_integer(value)) return wrong_type(r, at, "a whole number", value);
  json_int_t index = json_integer_value(value);
  if (index < 0) return refuse(r, at, "%" JSON_INTEGER_FORMAT " is below 0, residues are counted from 0 here", index);
  if (index >= end) {
    if (end == INT_MAX) return refuse(r, at, "%" JSON_INTEGER_FORMAT " is beyond any template", index);
    return refuse(r, at, "%" JSON_INTEGER_FORMAT " is beyond the sequence, whose last residue is %d (counted from 0)",
                  index, end - 1);
  }
  *ret_index = (int)index;
  return NF_OK;
}

static nf_status read_template(const reader *r, const json_t *object, int number, const job_chain *chain,
                               job_template *ret_template) {
  static const char *const keys[] = {"mmcif", "mmcifPath", "queryIndices", "templateIndices", NULL};
  const char *at = nf_arena_printf(r->arena, "templates[%d]", number);
  if (!json_is_object(object)) return wrong_type(r, at, "an object", object);
  NF_TRY(check_keys(r, object, "a template", keys));
  const char *prefix = nf_arena_printf(r->arena, "%s.", at);
  NF_TRY(read_text(r, object, prefix, "mmcif", "mmcifPath", &ret_template->mmcif));
  const char *text = ret_template->mmcif;
  if (!text) return refuse(r, at, "has neither mmcif nor mmcifPath");
  if (!*text) {
    return refuse(r, nf_arena_printf(r->arena, "%s%s", prefix, present(object, "mmcifPath") ? "mmcifPath" : "mmcif"),
                  "is empty, an mmCIF is needed");
  }
  ret_template->label =
      nf_arena_printf(r->arena, "%s: %s %s, template %d", r->path, job_kind_name(chain->kind), chain->id, number + 1);
  const json_t *query = json_object_get(object, "queryIndices"), *hit = json_object_get(object, "templateIndices");
  const char *query_field = nf_arena_printf(r->arena, "%squeryIndices", prefix);
  const char *hit_field = nf_arena_printf(r->arena, "%stemplateIndices", prefix);
  if (!json_is_array(query)) return wrong_type(r, query_field, "a list of whole numbers", query);
  // null was written for an empty list by AlphaFold 3 before 3.0.4.
  if (!json_is_array(hit) && !json_is_null(hit)) return wrong_type(r, hit_field, "a list of whole numbers", hit);
  size_t n = json_array_size(query), n_hits = json_array_size(hit);
  if (n != n_hits) {
    return refuse(r, hit_field, "has %zu entries where queryIndices has %zu, they go in pairs", n_hits, n);
  }
  int length = job_chain_length(chain), kept = 0;
  // A mapping: of a residue named twice, the first place and the last value count.
  int *place = NF_NEW(r->arena, int, length);
  int *queries = NF_NEW(r->arena, int, n + 1), *hits = NF_NEW(r->arena, int, n + 1);
  for (size_t i = 0; i < n; i++) {
    int q = 0, h = 0;
    NF_TRY(read_index(r, query_field, i, json_array_get(query, i), length, &q));
    NF_TRY(read_index(r, hit_field, i, json_array_get(hit, i), INT_MAX, &h));
    if (!place[q]) {
      queries[kept] = q;
      place[q] = ++kept;
    }
    hits[place[q] - 1] = h;
  }
  ret_template->n_indices = kept;
  ret_template->query_indices = queries;
  ret_template->template_indices = hits;
  return NF_OK;
}

static nf_status read_templates(const reader *r, const json_t *object, job_chain *chain) {
  const json_t *list = present(object, "templates");
  chain->n_templates = -1;
  if (!list) return NF_OK;
  if (!json_is_array(list)) return wrong_type(r, "templates", "a list", list);
  size_t n = json_array_size(list);
  if (n > INT_MAX / 2) return refuse(r, "templates", "there are too many");
  job_template *templates = NF_NEW(r->arena, job_template, n + 1);
  for (size_t i = 0; i < n; i++) NF_TRY(read_template(r, json_array_get(list, i), (int)i, chain, &templates[i]));
  chain->n_templates = (int)n;
  chain->templates = templates;
  return NF_OK;
}

static nf_status read_codes(const reader *r, const json_t *object, job_chain *chain) {
  const json_t *list = json_object_get(object, "ccdCodes"), *smiles = present(object, "smiles");
  if (smiles && !json_is_string(smiles)) return wrong_type(r, "smiles", "a string", smiles);
  if (smiles && json_string_length(smiles)) {
    if (json_array_size(list)) return refuse(r, "smiles", "only one of it and ccdCodes may be set");
    if (list) return refuse(r, "ccdCodes", "is %s, leave it out where smiles is set", type_name(list));
    chain->smiles = nf_arena_strdup(r->arena, json_string_value(smiles));
    return NF_OK;
  }
  if (!list && smiles) return refuse(r, "smiles", "is empty");
  if (!list) return refuse(r, "ccdCodes", "is missing, a ligand needs it or smiles");
  if (!json_is_array(list)) return wrong_type(r, "ccdCodes", "a list of CCD codes", list);
  size_t n = json_array_size(list);
  if (!n) return refuse(r, "ccdCodes", "is empty, a ligand needs at least one CCD code");
  if (n > MAX_RESIDUES) return refuse(r, "ccdCodes", "is longer than %d", MAX_RESIDUES);
  const char **codes = NF_NEW(r->arena, const char *, n);
  for (size_t i = 0; i < n; i++) {
    const json_t *code = json_array_get(list, i);
    const char *at = nf_arena_printf(r->arena, "ccdCodes[%zu]", i);
    if (!json_is_string(code)) return wrong_type(r, at, "a string with a CCD code", code);
    if (!json_string_length(code)) return refuse(r, at, "is empty");
    codes[i] = nf_arena_strdup(r->arena, json_string_value(code));
  }
  chain->n_codes = (int)n;
  chain->codes = codes;
  return NF_OK;
}

// ---- Entries of `sequences`

// The ids of an entry: one, or a list.
static nf_status read_ids(const reader *r, const json_t *body, const char ***ret_ids, int *ret_n) {
  const json_t *value = json_object_get(body, "id");
  bool is_list = json_is_array(value);
  if (!is_list && !json_is_string(value)) {
    return wrong_type(r, "id", "a string of capital letters, or a list of such,", value);
  }
  size_t n = is_list ? json_array_size(value) : 1;
  if (!n) return refuse(r, "id", "is an empty list");
  if (n > MAX_RESIDUES) return refuse(r, "id", "has more than %d entries", MAX_RESIDUES);
  const char **ids = NF_NEW(r->arena, const char *, n);
  for (size_t i = 0; i < n; i++) {
    const json_t *id = is_list ? json_array_get(value, i) : value;
    if (!json_is_string(id)) return wrong_type(r, "id", "a string of capital letters", id);
    const char *text = json_string_value(id);
    bool good = *text != '\0';
    for (const char *c = text; *c; c++) good = good && *c >= 'A' && *c <= 'Z';
    if (!good) return refuse(r, "id", "\"%s\" must consist of capital letters", shown(r, text));
    ids[i] = nf_arena_strdup(r->arena, text);
  }
  *ret_ids = ids;
  *ret_n = (int)n;
  return NF_OK;
}

static nf_status read_description(const reader *r, const json_t *body, job_chain *chain) {
  const json_t *value = present(body, "description");
  if (!value) return NF_OK;
  if (json_is_string(value)) {
    chain->description = nf_arena_strdup(r->arena, json_string_value(value));
    return NF_OK;
  }
  // A comment that may be anything; kept as the text of what it is.
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  if (!text) return wrong_type(r, "description", "a string", value);
  chain->description = nf_arena_strdup(r->arena, text);
  free(text);
  return NF_OK;
}

// Reads what an entry says of its chains, all but their ids (chain->id is the first, for messages).
static nf_status read_chain(const reader *r, const json_t *body, job_chain *chain) {
  static const char *const keys[][10] = {
      [NF_PROTEIN] = {"id", "sequence", "modifications", "description", "unpairedMsa", "unpairedMsaPath", "pairedMsa",
                      "pairedMsaPath", "templates", NULL},
      [NF_RNA] = {"id", "sequence", "modifications", "description", "unpairedMsa", "unpairedMsaPath", NULL},
      [NF_DNA] = {"id", "sequence", "modifications", "description", NULL},
      [NF_LIGAND] = {"id", "ccdCodes", "smiles", "description", NULL},
  };
  NF_TRY(check_keys(r, body, job_kind_name(chain->kind), keys[chain->kind]));
  NF_TRY(read_description(r, body, chain));
  chain->n_templates = -1;
  if (chain->kind == NF_LIGAND) return read_codes(r, body, chain);
  NF_TRY(read_sequence(r, body, chain));
  NF_TRY(read_modifications(r, body, chain));
  if (chain->kind == NF_PROTEIN || chain->kind == NF_RNA) {
    NF_TRY(read_text(r, body, "", "unpairedMsa", "unpairedMsaPath", &chain->unpaired_msa));
  }
  if (chain->kind == NF_PROTEIN) {
    NF_TRY(read_text(r, body, "", "pairedMsa", "pairedMsaPath", &chain->paired_msa));
    NF_TRY(read_templates(r, body, chain));
  }
  warn_of_unknown_letters(r, chain);
  return NF_OK;
}

// Chains under construction.
typedef struct {
  job_chain *chains;
  int n, capacity;
  int64_t n_residues;
  nf_map *ids;
} chain_list;

static void add_chain(chain_list *list, const job_chain *chain) {
  if (list->n == list->capacity) {
    list->capacity = list->capacity ? 2 * list->capacity : 16;
    list->chains = nf_realloc(list->chains, (size_t)list->capacity, sizeof *list->chains);
  }
  list->chains[list->n++] = *chain;
}

static nf_status read_entry(reader *r, const json_t *entry, int number, chain_list *list) {
  const char *at = nf_arena_printf(r->arena, "sequences[%d]", number);
  if (!json_is_object(entry)) return wrong_type(r, at, "an object", entry);
  if (json_object_size(entry) != 1) {
    return refuse(r, at, "must hold exactly one of protein, rna, dna and ligand, but holds %zu fields",
                  json_object_size(entry));
  }
  const char *key = json_object_iter_key(json_object_iter((json_t *)entry));
  job_chain chain = {.kind = NF_WATER, .entity = number};
  for (nf_chain_kind kind = NF_PROTEIN; kind <= NF_LIGAND; kind++) {
    if (strcmp(key, job_kind_name(kind)) == 0) chain.kind = kind;
  }
  if (chain.kind == NF_WATER) {
    return refuse(r, at, "\"%s\" is none of protein, rna, dna and ligand", shown(r, key));
  }
  const json_t *body = json_object_get(entry, key);
  if (!json_is_object(body)) return wrong_type(r, nf_arena_printf(r->arena, "%s.%s", at, key), "an object", body);

  const char **ids = NULL;
  int n_ids = 0;
  r->where = nf_arena_printf(r->arena, "%s.%s: ", at, key);
  NF_TRY(read_ids(r, body, &ids, &n_ids));
  r->where = nf_arena_printf(r->arena, "%s %s: ", key, shown(r, ids[0]));
  for (int i = 0; i < n_ids; i++) {
    if (!nf_map_add(list->ids, ids[i], number)) {
      return refuse(r, "id", "\"%s\" is taken already, every chain needs its own", shown(r, ids[i]));
    }
  }
  chain.id = ids[0];
  NF_TRY(read_chain(r, body, &chain));
  list->n_residues += (int64_t)n_ids * job_chain_length(&chain);
  if (list->n_residues > MAX_RESIDUES) {
    return refuse(r, "id", "with these chains the job has more than %d residues", MAX_RESIDUES);
  }
  for (int i = 0; i < n_ids; i++) {
    chain.id = ids[i];
    add_chain(list, &chain);
  }
  r->where = "";
  return NF_OK;
}

static nf_status read_server_entry(reader *r, const json_t *entry, int number, chain_list *list);

static nf_status read_sequences(reader *r, const json_t *root, nf_job *job) {
  const json_t *sequences = json_object_get(root, "sequences");
  if (!json_is_array(sequences)) return wrong_type(r, "sequences", "a list", sequences);
  size_t n = json_array_size(sequences);
  if (!n) return refuse(r, "sequences", "is empty, there is nothing to fold");
  if (n > MAX_RESIDUES) return refuse(r, "sequences", "has more than %d entries", MAX_RESIDUES);
  chain_list list = {.ids = nf_map_create()};
  nf_status status = NF_OK;
  for (size_t i = 0; status == NF_OK && i < n; i++) {
    status = (r->server ? read_server_entry : read_entry)(r, json_array_get(sequences, i), (int)i, &list);
  }
  if (status == NF_OK && !list.n) status = refuse(r, "sequences", "has no chain, there is nothing to fold");
  if (status == NF_OK) {
    job_chain *chains = NF_NEW(r->arena, job_chain, list.n);
    memcpy(chains, list.chains, sizeof *chains * (size_t)list.n);
    job->chains = chains;
    job->n_chains = list.n;
  }
  free(list.chains);
  nf_map_free(list.ids);
  return status == NF_OK ? check_msas(r, job) : status;
}

// ---- The top level

static nf_status read_seed(const reader *r, size_t i, const json_t *value, uint32_t *ret_seed) {
  const char *at = nf_arena_printf(r->arena, "modelSeeds[%zu]", i);
  long long seed = -1;
  // The reference hands them to Python's int(), which cuts fractions off.
  if (json_is_integer(value)) {
    seed = json_integer_value(value);
  } else if (json_is_boolean(value)) {
    seed = json_is_true(value);
  } else if (json_is_string(value)) {
    static const char blanks[] = " \t\r\n\v\f";
    const char *text = json_string_value(value) + strspn(json_string_value(value), blanks);
    size_t length = strlen(text);
    while (length && strchr(blanks, text[length - 1])) length--;
    if (!nf_parse_int(nf_arena_strndup(r->arena, text, length), &seed)) {
      return refuse(r, at, "\"%s\" is not a whole number", shown(r, json_string_value(value)));
    }
  } else if (json_is_real(value)) {
    double real = trunc(json_real_value(value));
    seed = real >= 0 && real <= UINT32_MAX ? (long long)real : -1;
    if (seed >= 0 && real != json_real_value(value)) {
      nf_warn("%s: %s: %g is read as %lld", r->path, at, json_real_value(value), seed);
    }
  } else {
    return wrong_type(r, at, "a whole number", value);
  }
  if (seed < 0 || seed > UINT32_MAX) {
    return refuse(r, at, "must be between 0 and %" PRIu32 " (32 bits)", UINT32_MAX);
  }
  *ret_seed = (uint32_t)seed;
  return NF_OK;
}

static nf_status read_seeds(const reader *r, const json_t *root, nf_job *job) {
  const json_t *list = json_object_get(root, "modelSeeds");
  if (r->server && (!list || json_is_null(list) || (json_is_array(list) && !json_array_size(list)))) {
    uint32_t *seed = NF_NEW(r->arena, uint32_t, 1);
    if (getrandom(seed, sizeof *seed, 0) != sizeof *seed) return refuse(r, "modelSeeds", "is empty, give a seed");
    job->seeds = seed;
    job->n_seeds = 1;
    return NF_OK;
  }
  if (!json_is_array(list)) return wrong_type(r, "modelSeeds", "a list of whole numbers", list);
  size_t n = json_array_size(list);
  if (!n) return refuse(r, "modelSeeds", "is empty, at least one seed is needed");
  if (n > MAX_RESIDUES) return refuse(r, "modelSeeds", "has more than %d entries", MAX_RESIDUES);
  uint32_t *seeds = NF_NEW(r->arena, uint32_t, n);
  for (size_t i = 0; i < n; i++) NF_TRY(read_seed(r, i, json_array_get(list, i), &seeds[i]));
  job->seeds = seeds;
  job->n_seeds = (int)n;
  return NF_OK;
}

// Unicode's white space, as Python's str.strip takes it off.
static bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static nf_status read_name(const reader *r, const json_t *root, nf_job *job) {
  const json_t *value = json_object_get(root, "name");
  if (!json_is_string(value)) return wrong_type(r, "name", "a string", value);
  job->name = nf_arena_strdup(r->arena, json_string_value(value));
  bool blank = true;
  uint32_t c = 0;
  for (const char *p = job->name, *end = p + strlen(p); p < end; p += utf8_decode(p, (size_t)(end - p), &c)) {
    utf8_decode(p, (size_t)(end - p), &c);
    blank = blank && is_space(c);
  }
  const char *file_name = job_sanitised_name(job, r->arena);
  if (blank || !*file_name) {
    return refuse(r, "name", "must hold at least one letter, digit, dot, dash or underscore, files are named by it");
  }
  if (strcmp(file_name, ".") == 0 || strcmp(file_name, "..") == 0) {
    return refuse(r, "name", "\"%s\" cannot name a directory", file_name);
  }
  if (strlen(file_name) > MAX_NAME) {
    return refuse(r, "name", "is too long to name files by, the most is %d letters", MAX_NAME);
  }
  return NF_OK;
}

// A version as the reference compares it: 4, 4.0, and true for 1. 0 if it is no whole number.
static json_int_t version_number(const json_t *version) {
  double real = json_is_true(version) ? 1 : json_number_value(version);
  return real >= 1 && real < 1000 && floor(real) == real ? (json_int_t)real : 0;
}

static nf_status read_dialect(const reader *r, const json_t *root, nf_job *job) {
  const json_t *dialect = json_object_get(root, "dialect"), *version = json_object_get(root, "version");
  if (!json_is_string(dialect)) return wrong_type(r, "dialect", "\"alphafold3\"", dialect);
  const char *name = json_string_value(dialect);
  if (strcmp(name, "alphafoldserver") == 0) {
    return refuse(r, "dialect", "jobs of the AlphaFold Server stand in a list, put this one in [ ]");
  }
  if (strcmp(name, "alphafold3") != 0) {
    return refuse(r, "dialect", "\"%s\" is not known, \"alphafold3\" is read here", shown(r, name));
  }
  json_int_t number = version_number(version);
  if (!number && !json_is_integer(version)) return wrong_type(r, "version", "1, 2, 3 or 4", version);
  if (!number) number = json_integer_value(version);
  if (number < 1 || number > 4) {
    return refuse(r, "version", "%" JSON_INTEGER_FORMAT " is not known, versions 1 to 4 are read here", number);
  }
  job->version = (int)number;
  return NF_OK;
}

// One end of a bond: [chain, residue, atom].
static nf_status read_bond_end(const reader *r, const nf_job *job, const nf_map *chains, const char *at,
                               const json_t *end, const char **ret_chain, int *ret_residue, const char **ret_atom) {
  const json_t *id = json_array_get(end, 0), *residue = json_array_get(end, 1), *atom = json_array_get(end, 2);
  if (json_array_size(end) != 3 || !json_is_string(id) || !json_is_integer(residue) || !json_is_string(atom)) {
    return refuse(r, at,
                  "must be a list of a chain's id, a residue's number and an atom's name, as [\"A\", 1, \"CA\"]");
  }
  int64_t index;
  if (!nf_map_get(chains, json_string_value(id), &index)) {
    return refuse(r, at, "there is no chain \"%s\"", shown(r, json_string_value(id)));
  }
  const job_chain *chain = &job->chains[index];
  json_int_t number = json_integer_value(residue);
  int length = job_chain_length(chain);
  if (number < 1 || number > length) {
    return refuse(r, at, "residue %" JSON_INTEGER_FORMAT " is outside chain %s, which goes from 1 to %d", number,
                  chain->id, length);
  }
  if (chain->smiles) {
    return refuse(r, at, "ligand %s is given by SMILES, whose atoms have no names to bond, give it as userCCD",
                  chain->id);
  }
  *ret_chain = chain->id;
  *ret_residue = (int)number;
  *ret_atom = nf_arena_strdup(r->arena, json_string_value(atom));
  return NF_OK;
}

static nf_status read_bonds(const reader *r, const json_t *root, nf_job *job) {
  const json_t *list = present(root, "bondedAtomPairs");
  if (!list) return NF_OK;
  if (!json_is_array(list)) return wrong_type(r, "bondedAtomPairs", "a list", list);
  size_t n = json_array_size(list);
  if (n > MAX_RESIDUES) return refuse(r, "bondedAtomPairs", "there are more than %d", MAX_RESIDUES);
  job_bond *bonds = NF_NEW(r->arena, job_bond, n);
  nf_map *chains = nf_map_create(), *seen = nf_map_create();
  nf_status status = NF_OK;
  for (int i = 0; i < job->n_chains; i++) nf_map_set(chains, job->chains[i].id, i);
  for (size_t i = 0; i < n; i++) {
    const json_t *pair = json_array_get(list, i);
    job_bond *b = &bonds[i];
    const char *at = nf_arena_printf(r->arena, "bondedAtomPairs[%zu]", i);
    if (json_array_size(pair) != 2) {
      status = refuse(r, at, "must be a list of two atoms");
      goto done;
    }
    NF_TRY_GOTO(done, read_bond_end(r, job, chains, nf_arena_printf(r->arena, "%s[0]", at), json_array_get(pair, 0),
                                    &b->chain1, &b->residue1, &b->atom1));
    NF_TRY_GOTO(done, read_bond_end(r, job, chains, nf_arena_printf(r->arena, "%s[1]", at), json_array_get(pair, 1),
                                    &b->chain2, &b->residue2, &b->atom2));
    const char *key = nf_arena_printf(r->arena, "%s %d %s\n%s %d %s", b->chain1, b->residue1, b->atom1, b->chain2,
                                      b->residue2, b->atom2);
    if (!nf_map_add(seen, key, 0)) {
      status = refuse(r, at, "names a bond that an earlier one names");
      goto done;
    }
  }
  job->n_bonds = (int)n;
  job->bonds = bonds;
done:
  nf_map_free(chains);
  nf_map_free(seen);
  return status;
}

static nf_status read_user_ccd(const reader *r, const json_t *root, nf_job *job) {
  const char *text;
  NF_TRY(read_text(r, root, "", "userCCD", "userCCDPath", &text));
  if (!text) return NF_OK;
  if (!*text) {
    const json_t *path = present(root, "userCCDPath");
    if (path && json_string_length(path)) return refuse(r, "userCCDPath", "the file is empty");
    return refuse(r, "userCCD", "is empty, leave it out or give null for none");
  }
  nf_arena_mark mark = nf_arena_here(r->arena);
  nf_ccd *own = ccd_overlay(NULL, r->arena);
  nf_status status = ccd_overlay_read(own, nf_arena_printf(r->arena, "%s: userCCD", r->path), text, strlen(text));
  ccd_close(own);
  nf_arena_reset(r->arena, mark);
  job->user_ccd = text;
  return status;
}

static nf_status read_root(reader *r, const json_t *root, nf_job *job) {
  static const char *const keys[] = {"name",    "modelSeeds",  "sequences", "bondedAtomPairs", "dialect", "version",
                                     "userCCD", "userCCDPath", NULL};
  if (!json_is_object(root)) return wrong_type(r, "top level", "an object", root);
  NF_TRY(check_keys(r, root, "a job", keys));
  NF_TRY(read_dialect(r, root, job));
  NF_TRY(read_name(r, root, job));
  NF_TRY(read_seeds(r, root, job));
  NF_TRY(read_sequences(r, root, job));
  NF_TRY(read_bonds(r, root, job));
  return read_user_ccd(r, root, job);
}

// ---- The AlphaFold Server's dialect: a list of jobs whose chains have counts in place of ids

// "A", ..., "Z", "AA", "BA", ...: the id of the n-th chain, from 0.
static const char *server_id(const reader *r, int n) {
  char text[16];
  int length = 0;
  for (n++; n > 0; n = (n - 1) / 26) text[length++] = (char)('A' + (n - 1) % 26);
  return nf_arena_strndup(r->arena, text, (size_t)length);
}

// The sugars and dates of the server have no counterpart here.
static nf_status refuse_server_fields(const reader *r, const json_t *body) {
  if (json_object_get(body, "glycans")) {
    return refuse(r, "glycans",
                  "is not read here, write the job in the \"alphafold3\" dialect with the sugars as "
                  "ligands and bondedAtomPairs");
  }
  if (json_object_get(body, "maxTemplateDate")) {
    return refuse(r, "maxTemplateDate", "is not read here, use --max_template_date instead");
  }
  return NF_OK;
}

// One code, of a ligand (which may begin with "CCD_") or an ion.
static nf_status read_server_code(const reader *r, const json_t *body, bool ion, job_chain *chain) {
  const char *field = ion ? "ion" : "ligand";
  const json_t *value = json_object_get(body, field);
  if (!json_is_string(value)) return wrong_type(r, field, "a string with a CCD code", value);
  const char *code = json_string_value(value);
  if (!ion && strncmp(code, "CCD_", 4) == 0) code += 4;
  if (!*code) return refuse(r, field, "is empty");
  const char **codes = NF_NEW(r->arena, const char *, 1);
  codes[0] = nf_arena_strdup(r->arena, code);
  chain->codes = codes;
  chain->n_codes = 1;
  return NF_OK;
}

static nf_status read_server_entry(reader *r, const json_t *entry, int number, chain_list *list) {
  static const struct {
    const char *key;
    nf_chain_kind kind;
    const char *fields[7];
  } kinds[] = {
      {"proteinChain",
       NF_PROTEIN,
       {"sequence", "glycans", "modifications", "count", "maxTemplateDate", "useStructureTemplate"}},
      {"rnaSequence", NF_RNA, {"sequence", "modifications", "count"}},
      {"dnaSequence", NF_DNA, {"sequence", "modifications", "count"}},
      {"ion", NF_LIGAND, {"ion", "count"}},
      {"ligand", NF_LIGAND, {"ligand", "count"}},
  };
  const char *at = nf_arena_printf(r->arena, "sequences[%d]", number);
  if (!json_is_object(entry)) return wrong_type(r, at, "an object", entry);
  if (json_object_size(entry) != 1) {
    return refuse(r, at,
                  "must hold exactly one of proteinChain, rnaSequence, dnaSequence, ligand and ion, but holds %zu "
                  "fields",
                  json_object_size(entry));
  }
  const char *key = json_object_iter_key(json_object_iter((json_t *)entry));
  size_t k = 0;
  while (k < sizeof kinds / sizeof *kinds && strcmp(key, kinds[k].key) != 0) k++;
  if (k == sizeof kinds / sizeof *kinds) {
    return refuse(r, at, "\"%s\" is none of proteinChain, rnaSequence, dnaSequence, ligand and ion", shown(r, key));
  }
  const json_t *body = json_object_get(entry, key);
  if (!json_is_object(body)) return wrong_type(r, nf_arena_printf(r->arena, "%s.%s", at, key), "an object", body);
  r->where = nf_arena_printf(r->arena, "%s.%s: ", at, key);
  NF_TRY(check_keys(r, body, key, kinds[k].fields));
  NF_TRY(refuse_server_fields(r, body));

  job_chain chain = {.kind = kinds[k].kind, .entity = number, .n_templates = -1, .id = server_id(r, list->n)};
  if (chain.kind == NF_LIGAND) {
    NF_TRY(read_server_code(r, body, strcmp(key, "ion") == 0, &chain));
  } else {
    NF_TRY(read_sequence(r, body, &chain));
    NF_TRY(read_modifications(r, body, &chain));
    warn_of_unknown_letters(r, &chain);
  }
  const json_t *templates = json_object_get(body, "useStructureTemplate");
  bool is_off = json_is_false(templates) || json_is_null(templates);
  if (json_is_number(templates)) {
    is_off = json_number_value(templates) == 0;
  } else if (templates && !json_is_boolean(templates) && !is_off) {
    return wrong_type(r, "useStructureTemplate", "true or false", templates);
  }
  if (is_off) chain.n_templates = 0;

  const json_t *count = json_object_get(body, "count");
  if (count && !json_is_integer(count)) return wrong_type(r, "count", "a whole number", count);
  json_int_t copies = count ? json_integer_value(count) : 1;
  if (copies < 0 || copies > MAX_RESIDUES) return refuse(r, "count", "must be between 0 and %d", MAX_RESIDUES);
  list->n_residues += copies * job_chain_length(&chain);
  if (list->n_residues > MAX_RESIDUES) {
    return refuse(r, "count", "with these chains the job has more than %d residues", MAX_RESIDUES);
  }
  for (json_int_t i = 0; i < copies; i++) {
    chain.id = server_id(r, list->n);
    add_chain(list, &chain);
  }
  r->where = "";
  return NF_OK;
}

static nf_status read_server_job(reader *r, const json_t *root, nf_job *job) {
  static const char *const keys[] = {"name", "modelSeeds", "sequences", "dialect", "version", NULL};
  if (!json_is_object(root)) return wrong_type(r, "the job", "an object", root);
  r->server = true;
  NF_TRY(check_keys(r, root, "a job of the AlphaFold Server", keys));
  const json_t *dialect = json_object_get(root, "dialect"), *version = json_object_get(root, "version");
  if (!dialect != !version) return refuse(r, dialect ? "version" : "dialect", "must be given where the other is");
  if (dialect && (!json_is_string(dialect) || strcmp(json_string_value(dialect), "alphafoldserver") != 0)) {
    return refuse(r, "dialect",
                  "must be \"alphafoldserver\" in a list, a job in the \"alphafold3\" dialect stands alone");
  }
  if (version && version_number(version) != 1) {
    return refuse(r, "version", "must be 1 in the \"alphafoldserver\" dialect");
  }
  job->version = 1;
  NF_TRY(read_name(r, root, job));
  NF_TRY(read_seeds(r, root, job));
  return read_sequences(r, root, job);
}

// ---- Files

nf_status jobs_parse(const char *path, const char *text, size_t length, nf_arena *arena, int *ret_n,
                     nf_job **ret_jobs) {
  const char *slash = strrchr(path, '/');
  reader r = {.path = nf_arena_strdup(arena, path),
              .directory = slash ? nf_arena_strndup(arena, path, (size_t)(slash - path + 1)) : "",
              .arena = arena,
              .where = ""};
  *ret_n = 0;
  *ret_jobs = NULL;
  if (!length) return nf_fail(NF_INPUT, "%s: is empty, a job in JSON is needed", path);
  if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
    return nf_fail(NF_INPUT, "%s: begins with a byte order mark, save it as UTF-8 without one", path);
  }
  json_error_t error;
  json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if (!root && json_error_code(&error) == json_error_duplicate_key) {
    nf_warn("%s: line %d, column %d: %s; the last of them counts", path, error.line, error.column,
            shown(&r, error.text));
    root = json_loadb(text, length, JSON_DECODE_ANY, &error);
  }
  if (!root) {
    if (json_error_code(&error) == json_error_out_of_memory) {
      return nf_fail(NF_MEMORY, "%s: not enough memory to read its %zu bytes", path, length);
    }
    return nf_fail(NF_INPUT, "%s: line %d, column %d: is not valid JSON: %s", path, error.line, error.column,
                   shown(&r, error.text));
  }
  bool is_list = json_is_array(root);
  size_t n = is_list ? json_array_size(root) : 1;
  nf_job *jobs = NF_NEW(arena, nf_job, n + 1);
  nf_status status = NF_OK;
  if (!n) status = nf_fail(NF_INPUT, "%s: is an empty list, there is no job in it", path);
  for (size_t i = 0; status == NF_OK && i < n; i++) {
    if (n > 1) r.path = nf_arena_printf(arena, "%s: job %zu", path, i + 1);
    jobs[i].path = r.path;
    status = is_list ? read_server_job(&r, json_array_get(root, i), &jobs[i]) : read_root(&r, root, &jobs[i]);
  }
  json_decref(root);
  if (status != NF_OK) return status;
  *ret_n = (int)n;
  *ret_jobs = jobs;
  return NF_OK;
}

nf_status job_parse(const char *path, const char *text, size_t length, nf_arena *arena, nf_job *ret_job) {
  int n;
  nf_job *jobs;
  *ret_job = (nf_job){.path = path};
  NF_TRY(jobs_parse(path, text, length, arena, &n, &jobs));
  if (n != 1) return nf_fail(NF_INPUT, "%s: holds %d jobs where one is wanted", path, n);
  *ret_job = jobs[0];
  return NF_OK;
}

nf_status jobs_read(const char *path, nf_arena *arena, int *ret_n, nf_job **ret_jobs) {
  char *text;
  size_t length;
  *ret_n = 0;
  *ret_jobs = NULL;
  NF_TRY(nf_file_read(path, &text, &length));
  nf_status status = jobs_parse(path, text, length, arena, ret_n, ret_jobs);
  free(text);
  return status;
}

nf_status job_read(const char *path, nf_arena *arena, nf_job *ret_job) {
  char *text;
  size_t length;
  *ret_job = (nf_job){0};
  NF_TRY(nf_file_read(path, &text, &length));
  nf_status status = job_parse(path, text, length, arena, ret_job);
  free(text);
  return status;
}
