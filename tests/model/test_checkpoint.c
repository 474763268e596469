// Checkpoint files: what was written comes back; damage anywhere, and what belongs elsewhere, is refused.
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/checkpoint.h"
#include "tests/test.h"

static checkpoint_identity identity(void) {
  checkpoint_identity id = {.weights = 11, .job = 12, .options = 13, .features = 14, .seed = 15, .part = 16};
  strcpy(id.kind, "trunk");
  strcpy(id.version, "0.1.0");
  strcpy(id.device, "CPU, avx2");
  return id;
}

static const float values[37] = {1, 2, 3, [36] = 5};
static const char text[] = "chains";
static const char *written(void) {
  static char path[512];
  snprintf(path, sizeof path, "%s/c", test_dir());
  checkpoint_identity id = identity();
  checkpoint_content content = {
      .numbers = {1, -2, 3, 4}, .n_arrays = 3, .arrays = {values, text, NULL}, .bytes = {sizeof values, sizeof text, 0}};
  CHECK_OK(checkpoint_write(path, &id, &content));
  return path;
}

// Opens and reads all of a file: NF_OK only if everything is as it was written.
static nf_status read_all(const char *path, const checkpoint_identity *id, bool *is_foreign) {
  checkpoint *c;
  NF_TRY(checkpoint_open(path, id, is_foreign, &c));
  nf_status status = NF_OK;
  for (int i = 0; i < checkpoint_n_arrays(c) && status == NF_OK; i++) {
    void *to = nf_alloc(checkpoint_bytes(c, i));
    status = checkpoint_read(c, i, to);
    free(to);
  }
  checkpoint_close(c);
  return status;
}

TEST(comes_back) {
  const char *path = written();
  checkpoint_identity id = identity();
  bool is_foreign;
  checkpoint *c;
  REQUIRE_OK(checkpoint_open(path, &id, &is_foreign, &c));
  CHECK_INT(checkpoint_n_arrays(c), 3);
  CHECK_INT(checkpoint_numbers(c)[1], -2);
  CHECK_INT(checkpoint_bytes(c, 0), sizeof values);
  CHECK_INT(checkpoint_bytes(c, 2), 0);
  float back[37];
  char words[sizeof text];
  CHECK_OK(checkpoint_read(c, 1, words));
  CHECK_OK(checkpoint_read(c, 0, back));
  CHECK_OK(checkpoint_read(c, 2, NULL));
  CHECK_STR(words, text);
  CHECK(memcmp(back, values, sizeof values) == 0);
  checkpoint_close(c);
  id.features = 0;  // not known to the reader
  CHECK_OK(read_all(path, &id, &is_foreign));
}

TEST(what_belongs_elsewhere_is_refused) {
  const char *path = written();
  bool is_foreign;
  const struct {
    const char *word;
    size_t offset;
  } fields[] = {{"other weights", offsetof(checkpoint_identity, weights)}, {"another job", offsetof(checkpoint_identity, job)},
                {"other options", offsetof(checkpoint_identity, options)}, {"other features", offsetof(checkpoint_identity, features)},
                {"another version", offsetof(checkpoint_identity, version)}, {"another device", offsetof(checkpoint_identity, device)},
                {"another part", offsetof(checkpoint_identity, seed)}, {"another part", offsetof(checkpoint_identity, part)},
                {"another part", offsetof(checkpoint_identity, kind)}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    checkpoint_identity id = identity();
    ((char *)&id)[fields[i].offset] ^= 3;
    CHECK_INT(read_all(path, &id, &is_foreign), NF_INPUT);
    CHECK(is_foreign);
    if (!strstr(nf_message(), fields[i].word)) test_fail(__FILE__, __LINE__, "%s: %s", fields[i].word, nf_message());
  }
  checkpoint_identity id = identity();
  CHECK_INT(read_all("/nonexistent", &id, &is_foreign), NF_INPUT);
  CHECK(!is_foreign);
}

TEST(every_flipped_bit_is_found) {
  const char *path = written();
  checkpoint_identity id = identity();
  char *data;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &data, &size));
  bool is_foreign;
  int found = 0, unseen = 0;
  for (size_t i = 0; i < size; i++) {
    data[i] ^= (char)(1 << i % 8);
    CHECK_OK(nf_file_write(path, data, size));
    if (read_all(path, &id, &is_foreign) == NF_OK) unseen++;
    else found += strstr(nf_message(), "damaged") != NULL;
    data[i] ^= (char)(1 << i % 8);
  }
  // Only the zeros between arrays may change unseen.
  CHECK(unseen < 3 * 64);
  CHECK_INT(found + unseen, size);
  // Cut short anywhere, and too long.
  for (size_t length = 0; length < size; length++) {
    CHECK_OK(nf_file_write(path, data, length));
    CHECK_INT(read_all(path, &id, &is_foreign), NF_INPUT);
  }
  char *longer = nf_calloc(size + 64, 1);
  memcpy(longer, data, size);
  CHECK_OK(nf_file_write(path, longer, size + 64));
  CHECK_INT(read_all(path, &id, &is_foreign), NF_INPUT);
  free(longer);
  free(data);
}

TEST(what_is_no_file_is_refused_at_once) {
  checkpoint_identity id = identity();
  char pipe[512];
  snprintf(pipe, sizeof pipe, "%s/pipe", test_dir());
  CHECK(mkfifo(pipe, 0600) == 0);
  const char *const paths[] = {test_dir(), pipe};
  for (int i = 0; i < 2; i++) {
    bool is_foreign;
    alarm(10);  // a pipe that nobody writes into would be waited for
    CHECK_INT(read_all(paths[i], &id, &is_foreign), NF_INPUT);
    alarm(0);
    CHECK(!is_foreign);
    CHECK(strstr(nf_message(), ": is not a regular file"));
  }
}

TEST(cut_short_under_its_reader) {
  const char *path = written();
  checkpoint_identity id = identity();
  bool is_foreign;
  checkpoint *c;
  float back[37];
  REQUIRE_OK(checkpoint_open(path, &id, &is_foreign, &c));
  CHECK(truncate(path, 400) == 0);
  CHECK_INT(checkpoint_read(c, 0, back), NF_INPUT);
  CHECK(strstr(nf_message(), "it cannot be read to its end"));
  checkpoint_close(c);
}

TEST(what_cannot_be_written) {
  checkpoint_identity id = identity();
  checkpoint_content content = {.n_arrays = 0};
  CHECK_INT(checkpoint_write("/nonexistent/c", &id, &content), NF_FAILED);
}
