// weights: what a weights file holds, seeded weights for trials, conversion between forms.
#include "weights/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"

typedef struct {
  bool records;
} info_options;

static const flag_spec info_specs[] = {
    FLAG(FLAG_BOOL, info_options, records, "true", "Whether to list every record."),
};

typedef struct {
  const char *manifest, *output;
} random_options;

static const flag_spec random_specs[] = {
    FLAG(FLAG_STRING, random_options, manifest, NULL,
         "Table of records: data/manifest_full.tsv (AlphaFold 3's size), manifest_tiny.tsv, manifest_wide.tsv, or your "
         "own."),
    FLAG(FLAG_STRING, random_options, output, NULL,
         "File to write: .nfw (opens at once), .bin or .bin.zst (AlphaFold 3's record format)."),
};

static void usage(FILE *out) {
  fprintf(
      out,
      "usage: nativefold weights info FILE_OR_DIRECTORY [--norecords]\n"
      "       nativefold weights random --manifest TABLE --output FILE\n"
      "       nativefold weights convert FILE_OR_DIRECTORY FILE\n\n"
      "info lists records and the configuration they imply; random writes seeded weights, which know nothing but have\n"
      "every shape; convert writes any readable weights as .bin, .bin.zst or .nfw (opened without conversion).\n");
}

// The configuration as the shapes tell it.
#define EVOFORMER "diffuser/evoformer/"
#define TRUNK EVOFORMER "__layer_stack_no_per_layer_1/trunk_pairformer/"
#define MSA EVOFORMER "__layer_stack_no_per_layer/msa_stack/"
#define TEMPLATE EVOFORMER "template_embedding/single_template_embedding/"
#define TEMPLATE_BLOCK TEMPLATE "__layer_stack_no_per_layer/template_embedding_iteration/"
#define CONFIDENCE "diffuser/confidence_head/__layer_stack_no_per_layer/confidence_pairformer/"
#define DIFFUSION "diffuser/~/diffusion_head/"
#define TRANSFORMER DIFFUSION "transformer/__layer_stack_with_per_layer/__layer_stack_with_per_layer/transformer"
static const struct {
  const char *what, *record;
  int dim, times_dim;  // the value is one dimension, or the product of two; -1: none
} facts[] = {
    {"single channels", TRUNK "single_attention_layer_norm/scale", 1, -1},
    {"pair channels", TRUNK "pair_attention1/act_norm/scale", 1, -1},
    {"MSA channels", MSA "msa_attention1/act_norm/scale", 1, -1},
    {"template channels", TEMPLATE "output_layer_norm/scale", 0, -1},
    {"input features of a token", EVOFORMER "left_single/weights", 0, -1},
    {"pairformer blocks", TRUNK "pair_attention1/act_norm/scale", 0, -1},
    {"MSA blocks", MSA "msa_attention1/act_norm/scale", 0, -1},
    {"template blocks", TEMPLATE_BLOCK "pair_attention1/act_norm/scale", 0, -1},
    {"confidence blocks", CONFIDENCE "pair_attention1/act_norm/scale", 0, -1},
    {"pair attention heads", TRUNK "pair_attention1/pair_bias_projection/weights", 2, -1},
    {"single attention heads", TRUNK "single_pair_logits_projection/weights", 2, -1},
    {"diffusion token channels", DIFFUSION "output_norm/scale", 0, -1},
    {"diffusion pair channels", DIFFUSION "transformer/pair_input_layer_norm/scale", 0, -1},
    {"diffusion blocks", TRANSFORMER "q_projection/weights", 0, 1},
    {"diffusion heads", TRANSFORMER "q_projection/weights", 3, -1},
    {"diffusion atom channels", DIFFUSION "diffusion_atom_features_layer_norm/scale", 0, -1},
};

static nf_status info(int argc, char **argv, nf_arena *arena) {
  info_options options;
  flag_result result;
  NF_TRY(flags_parse("nativefold weights info", info_specs, 1, argc, argv, arena, &options, &result));
  if (result.help) {
    flags_help(stdout, "nativefold weights info FILE_OR_DIRECTORY [flags]",
               "Lists the records of a weights file and the configuration that they imply.", info_specs, 1);
    return NF_OK;
  }
  if (result.n_arguments != 1) return nf_fail(NF_INPUT, "weights info: name one weights file or model directory");
  nf_weights *weights;
  double start = nf_seconds();
  NF_TRY(weights_open(result.arguments[0], &weights));
  double seconds = nf_seconds() - start;
  int64_t n_values = 0, n_of[3] = {0};
  static const char *const dtypes[3] = {"float32", "bfloat16", "float16"};
  for (int i = 0; i < weights_count(weights); i++) {
    const weights_record *record = weights_at(weights, i);
    n_values += record->values ? record->count : 0;
    for (int d = 0; d < 3; d++) n_of[d] += strcmp(record->dtype, dtypes[d]) == 0;
    if (!options.records) continue;
    printf("%s\t%s\t", record->name, record->dtype);
    for (int d = 0; d < record->n_dims; d++) printf("%s%lld", d ? "," : "", (long long)record->shape[d]);
    printf("\n");
  }
  printf("%s: %s, %d records, %lld values", weights_path(weights), weights_model_name(weights), weights_count(weights),
         (long long)n_values);
  for (int d = 0; d < 3; d++) {
    if (n_of[d]) printf(", %lld %s", (long long)n_of[d], dtypes[d]);
  }
  printf(", opened in %.3f s\n", seconds);
  uint8_t identifier[64];
  if (weights_identifier(weights, identifier)) {
    printf("  identifier: ");
    for (int i = 0; i < 64 && identifier[i]; i++)
      putchar(identifier[i] < 32 || identifier[i] > 126 ? '?' : identifier[i]);
    printf("\n");
  }
  const float *weight, *bias;
  int n;
  if (weights_fourier(weights, &weight, &bias, &n)) printf("  noise constants of its own: %d\n", n);
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    const weights_record *record = weights_find(weights, facts[i].record);
    if (!record || facts[i].dim >= record->n_dims || facts[i].times_dim >= record->n_dims) continue;
    long long value = (long long)record->shape[facts[i].dim];
    if (facts[i].times_dim >= 0) value *= (long long)record->shape[facts[i].times_dim];
    printf("  %s: %lld\n", facts[i].what, value);
  }
  weights_close(weights);
  if (fflush(stdout) != 0 || ferror(stdout)) return nf_fail(NF_FAILED, "weights info: the output cannot be written");
  return NF_OK;
}

static nf_status make_random(int argc, char **argv, nf_arena *arena) {
  random_options options;
  flag_result result;
  NF_TRY(flags_parse("nativefold weights random", random_specs, 2, argc, argv, arena, &options, &result));
  if (result.help) {
    flags_help(stdout, "nativefold weights random --manifest TABLE --output FILE",
               "Writes seeded weights: right in every shape, untrained, the same on every machine.", random_specs, 2);
    return NF_OK;
  }
  if (!options.manifest)
    return nf_fail(NF_INPUT, "weights random: --manifest is missing: name a table such as data/manifest_full.tsv");
  if (!options.output)
    return nf_fail(NF_INPUT, "weights random: --output is missing: name a file ending in .nfw, .bin or .bin.zst");
  if (result.n_arguments)
    return nf_fail(NF_INPUT, "weights random: \"%.100s\" is one argument too many", result.arguments[0]);
  double start = nf_seconds();
  NF_TRY(weights_write_random(options.manifest, options.output));
  nf_note("%s: seeded weights written in %.1f s; they are untrained and predict nothing", options.output,
          nf_seconds() - start);
  return NF_OK;
}

static nf_status convert(int argc, char **argv, nf_arena *arena) {
  flag_result result;
  NF_TRY(flags_parse("nativefold weights convert", NULL, 0, argc, argv, arena, NULL, &result));
  if (result.help) {
    usage(stdout);
    return NF_OK;
  }
  if (result.n_arguments != 2) {
    return nf_fail(NF_INPUT,
                   "weights convert: name the weights to read and the file to write (.bin, .bin.zst or .nfw)");
  }
  nf_weights *weights;
  NF_TRY(weights_open(result.arguments[0], &weights));
  nf_status status = weights_convert(weights, result.arguments[1]);
  if (status == NF_OK) nf_note("%s: %d records", result.arguments[1], weights_count(weights));
  weights_close(weights);
  return status;
}

int cli_weights(int argc, char **argv) {
  static const cli_subcommand subcommands[] = {{"info", info}, {"random", make_random}, {"convert", convert}};
  return cli_dispatch(argc, argv, usage, subcommands, sizeof subcommands / sizeof *subcommands);
}
