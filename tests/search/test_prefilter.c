// The prefilter: what a profile's text says, and which records of a file are let through.
#include "search/prefilter.h"

#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "search/process.h"
#include "tests/test.h"

static const char amino[] = "ACDEFGHIKLMNPQRSTVWY";
static const char query[] = "MKVLADERTWQSNPGHIYFCKELLDAVRQMTSPAEWVKNGHDILYRSFQCTEAMKLPVDNRGWSHIQEYT";

// A profile in HMMER's format: the query's residue has probability 0.6, others share the rest.
static char *profile_text(double mu) {
  nf_str s = {0};
  nf_str_printf(&s, "HMMER3/f [3.3.2 | Nov 2020]\nNAME  query\nLENG  %zu\nALPH  amino\n", strlen(query));
  nf_str_printf(&s, "STATS LOCAL MSV      %.4f  0.70700\nHMM          A\n            m->m\n  COMPO ", mu);
  for (int x = 0; x < 20; x++) nf_str_puts(&s, " 2.99573");
  for (const char *p = query;; p++) {
    nf_str_puts(&s, "\n        ");
    for (int x = 0; x < 20; x++) nf_str_puts(&s, " 2.99573");
    nf_str_puts(&s, "\n          0.1 0.1 0.1 0.1 0.1 0.1 *\n");
    if (!*p) break;
    nf_str_printf(&s, "%7d ", (int)(p - query) + 1);
    for (int x = 0; x < 20; x++) nf_str_puts(&s, amino[x] == *p ? " 0.51083" : " 3.86076");
    nf_str_puts(&s, " 1 m - - -");
  }
  nf_str_puts(&s, "//\n");
  return s.data;
}

static char dir[256];
static const char *write_file(const char *name, const char *text) {
  static char path[512];
  if (!dir[0]) snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (nf_file_write(path, text, strlen(text)) != NF_OK) test_fail(__FILE__, __LINE__, "%s", nf_message());
  return path;
}

static char *scan(const nf_prefilter *f, const char *path, int n_threads, size_t max, bool *fits, int64_t *n) {
  int out = process_memory_file();
  _Atomic(int) threads = n_threads;
  nf_status status = prefilter_scan(f, path, &threads, max, out, NULL, NULL, fits, n);
  if (status != NF_OK) test_fail(__FILE__, __LINE__, "%s", nf_message());
  long long size = lseek(out, 0, SEEK_END);
  char *text = calloc((size_t)size + 1, 1);
  if (pread(out, text, (size_t)size, 0) != size) test_fail(__FILE__, __LINE__, "pread");
  close(out);
  return text;
}

#define FILTER_OR_SKIP(f)                                          \
  if (ssv_best_kernel() == SSV_PLAIN) SKIP("no vectors");          \
  char *f##_text = profile_text(-9.5);                             \
  nf_prefilter *f = prefilter_create(f##_text, 5e-4);              \
  free(f##_text);                                                  \
  CHECK(f != NULL)

TEST(relatives_and_oddities_are_let_through) {
  FILTER_OR_SKIP(f);
  nf_str s = {0};
  nf_str_puts(&s, "\n>first GAGAG is always let through\nGAGAGAGAGA\n");
  nf_str_puts(&s, ">stranger\nGAGAGAGAGAGGGGGGGGGGG\nGAGAGA\n");
  nf_str_printf(&s, ">whole %s\n%s\n", query, query);
  nf_str_printf(&s, ">lines\r\n%.20s\r\n%.20s\r\n%s\r\n", query, query + 20, query + 40);
  nf_str_printf(&s, ">small >letters\nmkvladertwqsnpghiyfckelldavrqmtspaewvkn\n");
  nf_str_puts(&s, ">digits\nGAGAGA1GAGAGAGAGA\n>no sequence\n>two > signs\nGAGAGAGAGGG>GAGA\n");
  nf_str_puts(&s, ">other stranger\nSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS*\n");
  nf_str_printf(&s, ">broken\n%.30s*%s", query, query + 40);  // no newline at the end
  bool fits;
  int64_t n;
  char *text = scan(f, write_file("a.fa", s.data), 1, 1 << 20, &fits, &n);
  CHECK(fits);
  CHECK_INT(n, 10);
  nf_str wanted = {0};
  for (char *p = strchr(s.data, '>'); p;) {
    char *next = strstr(p, "\n>");
    if (!strstr(p, "stranger\n") || (next && strstr(p, "stranger\n") > next)) {
      nf_str_append(&wanted, p, next ? (size_t)(next - p) + 1 : strlen(p));
    }
    p = next ? next + 1 : NULL;
  }
  nf_str_putc(&wanted, '\n');
  CHECK_STR(text, wanted.data);
  free(text);
  nf_str_free(&s);
  nf_str_free(&wanted);
  prefilter_free(f);
}

TEST(many_chunks_and_threads_keep_the_order) {
  FILTER_OR_SKIP(f);
  nf_str s = {0};
  int n_relatives = 0;
  unsigned int state = 5;
  // 10 MB: three chunks, with a record that is longer than one.
  for (int i = 0; s.length < (size_t)10 << 20; i++) {
    bool relative = i % 97 == 0;
    n_relatives += relative;
    nf_str_printf(&s, ">r%d\n", i);
    for (int k = 0; k < (i == 500 ? 5000000 : 200); k++) {
      state = state * 1664525u + 1013904223u;
      nf_str_putc(&s, amino[(state >> 8) % 20]);
      if (k % 60 == 59) nf_str_putc(&s, '\n');
    }
    nf_str_printf(&s, "\n%s\n", relative ? query : "");
  }
  const char *path = write_file("b.fa", s.data);
  bool fits;
  int64_t n1, n3;
  char *one = scan(f, path, 1, 1 << 26, &fits, &n1), *three = scan(f, path, 3, 1 << 26, &fits, &n3);
  CHECK_STR(three, one);
  CHECK_INT(n1, n3);
  int records = 0, last = -1, relatives = 0;
  for (char *p = one; (p = strstr(p, ">r")); p++) {
    int i = atoi(p + 2);
    CHECK(i > last);
    last = i;
    records++;
    relatives += i % 97 == 0;
  }
  CHECK_INT(relatives, n_relatives);
  CHECK(records < n1 / 10);  // and few strangers
  int count = 0;
  for (char *p = s.data; (p = strchr(p, '>')); p++) count++;
  CHECK_INT(n1, count);
  free(one);
  free(three);
  three = scan(f, path, 2, 2000, &fits, &n3);
  CHECK(!fits);
  free(three);
  nf_str_free(&s);
  prefilter_free(f);
}

TEST(what_is_no_profile_or_no_fasta) {
  FILTER_OR_SKIP(f);
  CHECK(prefilter_create("", 5e-4) == NULL);
  char *text = profile_text(-9.5);
  for (size_t cut = 0; cut + 400 < strlen(text); cut += 997) {
    char *part = strndup(text, cut);
    CHECK(prefilter_create(part, 5e-4) == NULL);
    free(part);
  }
  free(text);
  bool fits;
  int64_t n;
  _Atomic(int) one = 1;
  CHECK_INT(prefilter_scan(f, write_file("c.fa", "ACDEF\n>x\nACD\n"), &one, 1000, 1, NULL, NULL, &fits, &n), NF_INPUT);
  CHECK(strstr(nf_message(), "is no FASTA file") != NULL);
  CHECK_INT(prefilter_scan(f, "/nowhere/x.fa", &one, 1000, 1, NULL, NULL, &fits, &n), NF_INPUT);
  text = scan(f, write_file("d.fa", ""), 1, 1000, &fits, &n);
  CHECK_INT(n, 0);
  free(text);
  prefilter_free(f);
}
