// A job widened to several seeds (--num_seeds), through the library's own interface.
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "nativefold.h"
#include "tests/test.h"

TEST(a_job_is_widened_to_consecutive_seeds) {
  static const struct {
    const char *seeds;
    int num_seeds;
    const char *expected;  // the seeds as they are written; with `refused` the message's words
    bool refused;
  } rows[] = {
      {"[7]", 3, "7,8,9", false},
      {"[7]", 0, "7", false},
      {"[7,3]", 0, "7,3", false},
      {"[4294967293]", 3, "4294967293,4294967294,4294967295", false},
      {"[7,3]", 3, "j.json: modelSeeds: --num_seeds needs a job with one seed, this one has 2", true},
      {"[4294967294]", 3, "j.json: modelSeeds: --num_seeds=3 goes beyond the largest seed, 4294967295", true},
  };
  nf_arena *arena = nf_arena_create();
  const char *dir = nf_arena_strdup(arena, test_dir());
  const char *path = nf_arena_printf(arena, "%s/j.json", dir);
  const char *written = nf_arena_printf(arena, "%s/j_data.json", dir);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *text = nf_arena_printf(arena,
                                       "{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":%s,"
                                       "\"sequences\":[{\"ligand\":{\"id\":\"A\",\"ccdCodes\":[\"MG\"]}}]}",
                                       rows[i].seeds);
    nativefold_job *job = NULL;
    REQUIRE_OK(nf_file_write(path, text, strlen(text)));
    REQUIRE_OK(nativefold_read_job(path, &job));
    CHECK_INT(nativefold_widen_seeds(job, rows[i].num_seeds), rows[i].refused ? NF_INPUT : NF_OK);
    if (rows[i].refused) {
      CHECK(strstr(nativefold_message(), rows[i].expected));
    } else {
      char *out, packed[128] = "";
      size_t size;
      REQUIRE_OK(nativefold_write_job(job, dir));
      REQUIRE_OK(nf_file_read(written, &out, &size));
      const char *at = strstr(out, "\"modelSeeds\": [");
      CHECK(at);
      at = at ? at + strlen("\"modelSeeds\": [") : "";
      size_t n = 0;
      for (; *at && *at != ']' && n + 1 < sizeof packed; at++) {
        if (*at != ' ' && *at != '\n') packed[n++] = *at;
      }
      CHECK_STR(packed, rows[i].expected);
      free(out);
    }
    nativefold_free_job(job);
  }
  nf_arena_free(arena);
}
