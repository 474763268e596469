// The flag parser, and the table of predict.
#include "cli/flags.c"
#include "cli/predict_flags.c"
#include "tests/test.h"

typedef struct {
  bool fast, safe;
  int64_t count, limit;
  double ratio;
  const char *output;
  int colour;
  flag_strings dirs;
  flag_ints sizes;
} options;

static const char *const colours[] = {"red", "green", NULL};
static const flag_spec specs[] = {
    FLAG(FLAG_BOOL, options, fast, "false", "Whether to hurry.", .group = "Speed"),
    FLAG(FLAG_BOOL, options, safe, "true", "Whether to be careful."),
    FLAG(FLAG_INT, options, count, "5", "How many.", .min = 1, .max = 10),
    FLAG(FLAG_INT, options, limit, NULL, "A limit."),
    FLAG(FLAG_FLOAT, options, ratio, NULL, "A ratio."),
    FLAG(FLAG_STRING, options, output, NULL, "File to write.", .group = "Output"),
    FLAG(FLAG_ENUM, options, colour, "red", "A colour.", .choices = colours),
    FLAG(FLAG_MULTI_STRING, options, dirs, "~/a", "A directory."),
    FLAG(FLAG_INT_LIST, options, sizes, "1,2", "Sizes."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static nf_arena *arena;
static options o;
static flag_result result;

// Parses words separated by '|'.
static nf_status parse(const char *line) {
  static char text[1024];
  char *argv[64];
  int argc = 0;
  nf_arena_free(arena);
  arena = nf_arena_create();
  snprintf(text, sizeof text, "%s", line);
  for (char *word = text, *next; *line && word; word = next) {
    next = strchr(word, '|');
    if (next) *next++ = '\0';
    argv[argc++] = word;
  }
  memset(&o, 0x5a, sizeof o);
  return flags_parse("nativefold show", specs, N_SPECS, argc, argv, arena, &o, &result);
}

TEST(defaults) {
  setenv("HOME", "/home/me", 1);
  REQUIRE_OK(parse(""));
  CHECK(!o.fast && o.safe && !result.help);
  CHECK_INT(o.count, 5);
  CHECK(o.limit == FLAG_NO_INT && isnan(o.ratio) && !o.output);
  CHECK_INT(o.colour, 0);
  CHECK_INT(o.dirs.n, 1);
  CHECK_STR(o.dirs.values[0], "/home/me/a");
  CHECK_INT(o.sizes.n, 2);
  CHECK_INT(o.sizes.values[1], 2);
  CHECK_INT(result.n_arguments, 0);
  CHECK(!flags_given(specs, N_SPECS, &result, "count"));
}

TEST(every_way_to_write_a_flag) {
  REQUIRE_OK(parse("--fast|--nosafe|--count=7|-limit|12|--ratio|1.5e-3|one|-output=a=b|--colour=GREEN|--dirs=x|--dirs|"
                   "y|--sizes=3, 40 ,5|two|--|--count|-3"));
  CHECK(o.fast && !o.safe);
  CHECK_INT(o.count, 7);
  CHECK_INT(o.limit, 12);
  CHECK_NEAR(o.ratio, 1.5e-3, 0);
  CHECK_STR(o.output, "a=b");
  CHECK_INT(o.colour, 1);
  CHECK_INT(o.dirs.n, 2);
  CHECK_STR(o.dirs.values[0], "x");
  CHECK_STR(o.dirs.values[1], "y");
  CHECK_INT(o.sizes.n, 3);
  CHECK_INT(o.sizes.values[1], 40);
  CHECK_INT(result.n_arguments, 4);
  CHECK_STR(result.arguments[1], "two");
  CHECK_STR(result.arguments[3], "-3");
  CHECK(flags_given(specs, N_SPECS, &result, "count"));
  CHECK(flags_given(specs, N_SPECS, &result, "safe"));
}

TEST(booleans_take_words_but_never_the_next_argument) {
  REQUIRE_OK(parse("--fast|true|--safe=F"));
  CHECK(o.fast && !o.safe);
  CHECK_INT(result.n_arguments, 1);
  REQUIRE_OK(parse("--fast=True|--fast=0|--safe=t"));
  CHECK(!o.fast && o.safe);
}

TEST(the_last_value_counts_and_values_may_be_empty_or_dashed) {
  REQUIRE_OK(parse("--count=2|--count=3|--output=|--sizes=|--dirs="));
  CHECK_INT(o.count, 3);
  CHECK_STR(o.output, "");
  CHECK_INT(o.sizes.n, 0);
  CHECK_INT(o.dirs.n, 1);
  REQUIRE_OK(parse("--output|--count|-"));
  CHECK_STR(o.output, "--count");
  CHECK_STR(result.arguments[0], "-");
}

TEST(help_is_noticed) {
  REQUIRE_OK(parse("--help|--count=2"));
  CHECK(result.help);
  REQUIRE_OK(parse("-h"));
  CHECK(result.help);
}

TEST(refusals) {
  static const struct {
    const char *line, *message;
  } rows[] = {
      {"--cuont=3", "--cuont: there is no such flag, did you mean --count? (nativefold show --help lists them)"},
      {"--entirely_else", "--entirely_else: there is no such flag, nativefold show --help lists them"},
      {"--nocount", "--nocount: there is no such flag, did you mean --count? (nativefold show --help lists them)"},
      {"--count", "--count: a value is missing after it"},
      {"--count=", "--count: \"\" is not a whole number"},
      {"--count=3.0", "--count: \"3.0\" is not a whole number"},
      {"--count=0", "--count: 0 is too small, the least is 1"},
      {"--count=11", "--count: 11 is too large, the most is 10"},
      {"--count=99999999999999999999", "--count: \"99999999999999999999\" is not a whole number"},
      {"--limit=-1", "--limit: -1 is too small, the least is 0"},
      {"--ratio=nan", "--ratio: \"nan\" is not a number"},
      {"--ratio=1x", "--ratio: \"1x\" is not a number"},
      {"--fast=maybe", "--fast: \"maybe\" is neither true nor false"},
      {"--nofast=true", "--nofast: takes no value, write --fast=false"},
      {"--colour=blue", "--colour: \"blue\" is not one of red, green"},
      {"--sizes=1,,2", "--sizes: \"\" is not a whole number"},
      {"--sizes=1,x", "--sizes: \"x\" is not a whole number"},
      {"--flagfile=/nonexistent", "--flagfile: /nonexistent: cannot be read: No such file or directory"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK_INT(parse(rows[i].line), NF_INPUT);
    CHECK_STR(nf_message(), rows[i].message);
  }
}

TEST(flag_files) {
  char path[512], line[600];
  snprintf(path, sizeof path, "%s/flags", test_dir());
  static const char good[] = "# a comment\n--count=9\n\n  // another\n  --output=x y \r\n";
  REQUIRE_OK(nf_file_write(path, good, sizeof good - 1));
  snprintf(line, sizeof line, "--fast|--flagfile=%s|--count=4", path);
  REQUIRE_OK(parse(line));
  CHECK(o.fast);
  CHECK_INT(o.count, 4);
  CHECK_STR(o.output, "x y");
  char itself[600];
  int n = snprintf(itself, sizeof itself, "--flagfile=%s\n", path);
  REQUIRE_OK(nf_file_write(path, itself, (size_t)n));
  snprintf(line, sizeof line, "--flagfile|%s", path);
  CHECK_INT(parse(line), NF_INPUT);
}

TEST(help_shows_every_flag_and_default) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  flags_help(out, "nativefold show [flags]", "Shows.", specs, N_SPECS);
  fclose(out);
  CHECK(strstr(text, "usage: nativefold show [flags]\n\nShows.\n\nSpeed\n  --[no]fast  (default: false)\n      Whether"));
  CHECK(strstr(text, "  --colour=red|green  (default: red)\n"));
  CHECK(strstr(text, "  --dirs=TEXT (repeatable)  (default: ~/a)\n"));
  for (int i = 0; i < N_SPECS; i++) CHECK(strstr(text, specs[i].name) && strstr(text, specs[i].help));
  free(text);
}

static predict_options p;

static nf_status predict(const char *line) {
  static char text[1024];
  char *argv[64];
  int argc = 0;
  nf_arena_free(arena);
  arena = nf_arena_create();
  snprintf(text, sizeof text, "%s", line);
  for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
  NF_TRY(flags_parse("nativefold predict", predict_flags, n_predict_flags, argc, argv, arena, &p, &result));
  return predict_flags_check(&p, &result);
}

TEST(predict_has_the_reference_defaults) {
  setenv("HOME", "/home/me", 1);
  nf_log_quiet(true);
  REQUIRE_OK(predict("--json_path=j --output_dir=o"));
  CHECK_STR(p.model_dir, "/home/me/models");
  CHECK_STR(p.db_dir.values[0], "/home/me/public_databases");
  CHECK_STR(p.pdb_database_path, "${DB_DIR}/mmcif_files");
  CHECK(p.run_data_pipeline && p.run_inference && p.resolve_msa_overlaps && p.save_terms_of_use);
  CHECK(!p.save_embeddings && !p.save_distogram && !p.force_output_dir && !p.compress_large_output_files);
  CHECK(!p.fix_standalone_glycans);
  CHECK_INT(p.num_recycles, 10);
  CHECK_INT(p.num_diffusion_samples, 5);
  CHECK_INT(p.diffusion_steps, 200);
  CHECK(p.num_seeds == FLAG_NO_INT && p.conformer_max_iterations == FLAG_NO_INT && isnan(p.rfam_z_value));
  CHECK_INT(p.buckets.n, 15);
  CHECK_INT(p.buckets.values[14], 5120);
  CHECK_INT(p.max_template_day, 20210930);
  CHECK(p.jackhmmer_n_cpu == FLAG_NO_INT && p.prefilter && !p.msa_cache);
  CHECK_INT(p.device, DEVICE_AUTO);
  REQUIRE_OK(predict("--input_dir d --output_dir=o --jax_backend=cpu --flash_attention_implementation=xla "
                     "--max_template_date=2024-02-29 --norun_data_pipeline --jackhmmer_n_cpu 3"));
  CHECK_INT(p.device, DEVICE_CPU);
  CHECK_INT(p.max_template_day, 20240229);
  CHECK_INT(p.jackhmmer_n_cpu, 3);
  CHECK(!p.run_data_pipeline);
}

TEST(predict_refuses_contradictions) {
  static const struct {
    const char *line, *word;
  } rows[] = {
      {"--output_dir=o", "one of --json_path"},
      {"--output_dir=o --json_path=j --input_dir=d", "only one of --json_path"},
      {"--output_dir=o --json_path=j --features=f", "only one of --json_path"},
      {"--json_path=j", "--output_dir: is needed"},
      {"--json_path=j --output_dir=o --norun_inference --norun_data_pipeline", "at least one of"},
      {"--features=f --output_dir=o --norun_inference", "--features:"},
      {"--json_path=j --output_dir=o --buckets=256,128", "--buckets: must rise, and 128 follows 256"},
      {"--json_path=j --output_dir=o --max_template_date=2021-02-29", "--max_template_date:"},
      {"--json_path=j --output_dir=o --max_template_date=today", "--max_template_date:"},
      {"--json_path=j --output_dir=o --jax_backend=mps", "--jax_backend: mps"},
      {"--json_path=j --output_dir=o --jax_backend=cpu --device=cuda", "contradicts --device=cuda"},
      {"--json_path=j --output_dir=o --num_seeds=1", "--num_seeds: 1 is too small"},
      {"--json_path=j --output_dir=o --num_recycles=0", "--num_recycles: 0 is too small"},
      {"--json_path=j --output_dir=o stray.json", "stray.json:"},
      {"--json_paht=j --output_dir=o", "did you mean --json_path?"},
      {"--json_path=j --output_dir=o --gpu_device=-1", "--gpu_device: -1 is too small"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK_INT(predict(rows[i].line), NF_INPUT);
    if (!strstr(nf_message(), rows[i].word)) CHECK_STR(nf_message(), rows[i].word);
  }
}
