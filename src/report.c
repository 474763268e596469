// See the header.
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/machine.h"

static const char *const stage_names[REPORT_N_STAGES] = {"features", "trunk", "diffusion", "confidence"};

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void report_begin(report *r, int stage) {
  r->stage = stage;
  r->started = nf_seconds();
  r->cpu_started = cpu_seconds();
}

void report_end(report *r) {
  r->seconds[r->stage] += nf_seconds() - r->started;
  r->cpu_seconds[r->stage] += cpu_seconds() - r->cpu_started;
}

// When the calls of the network before this one ended, of whatever job; 0: there was none.
static _Thread_local double network_ended;

void report_begin_network(report *r) {
  double now = nf_seconds();
  if (network_ended > 0) r->idle_seconds += now - network_ended;
  network_ended = now;
}

void report_end_network(report *r) {
  double now = nf_seconds();
  r->network_seconds += now - network_ended;
  network_ended = now;
}

void report_forecast(report *r, const nativefold_forecast *forecast) {
  r->has_forecast = true;
  r->forecast = *forecast;
}

static const double gib = 1 << 30;

static void print_stage(FILE *out, const char *name, const nativefold_stage *s, bool has_device) {
  fprintf(out, "%-12s %9.2f", name, s->host_bytes / gib);
  if (has_device) fprintf(out, " %9.2f", s->device_bytes / gib);
  if (s->seconds > 0) fprintf(out, " %9.3g\n", s->seconds);
  else fprintf(out, " %9s\n", "");
}

void report_print_forecast(FILE *out, const nativefold_forecast *f, const char *device) {
  bool has_device = f->device_bytes > 0;
  fprintf(out, "plan: %d tokens, %d atoms, %d MSA rows; %s; one seed on %s\n", f->n_tokens, f->n_atoms, f->n_msa_rows, f->mode,
          device);
  fprintf(out, "%-12s %9s%s %9s\n", "stage", "host GiB", has_device ? "   GPU GiB" : "", "seconds");
  print_stage(out, "features", &f->features, has_device);
  print_stage(out, "trunk", &f->trunk, has_device);
  print_stage(out, "diffusion", &f->diffusion, has_device);
  print_stage(out, "confidence", &f->confidence, has_device);
  nativefold_stage all = {f->host_bytes, f->device_bytes, f->trunk.seconds + f->diffusion.seconds + f->confidence.seconds};
  print_stage(out, "peak", &all, has_device);
  fprintf(out, "weights are %.2f GiB of it; the %s binds", f->weight_bytes / gib, f->binds);
  if (f->host_ceiling > 0) fprintf(out, "; %s allows %.2f GiB", f->host_limit, f->host_ceiling / gib);
  if (f->device_ceiling > 0) fprintf(out, "; %s allows %.2f GiB on the GPU", f->device_limit, f->device_ceiling / gib);
  if (f->pairs_on_host) fprintf(out, "; pair tensors lie in the host's memory and pass %ld rows at a time", f->chunk_rows);
  else if (f->chunk_rows) fprintf(out, "; pair tensors pass %ld rows at a time", f->chunk_rows);
  if (f->logits_remade) fprintf(out, "; pair logits are made in every step");
  if (f->parts_on_host && !f->pairs_on_host) fprintf(out, "; parts wait in the host's memory");
  fprintf(out, "\n");
}

static json_t *stage_json(const nativefold_stage *s, double taken, double cpu) {
  return json_pack("{s:f, s:f, s:f, s:f, s:f}", "expected_host_bytes", s->host_bytes, "expected_device_bytes", s->device_bytes,
                   "expected_seconds", s->seconds, "seconds", taken, "cpu_seconds", cpu);
}

nf_status report_write(const report *r, const char *path, const char *name, const char *dir, const char *device,
                       int n_samples) {
  const nativefold_forecast *f = &r->forecast;
  json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:i}", "program", "nativefold", "version", NATIVEFOLD_VERSION, "name", name,
                           "device", device, "n_samples", n_samples);
  if (dir) json_object_set_new(root, "output_dir", json_string(dir));
  json_object_set_new(root, "seconds", json_real(nf_seconds() - r->begun));
  json_object_set_new(root, "network_seconds", json_real(r->network_seconds));
  json_object_set_new(root, "idle_seconds", json_real(r->idle_seconds));
  json_object_set_new(root, "peak_host_bytes", json_integer(nf_memory_used().peak));
  if (r->has_forecast) {
    const nativefold_stage *stages[REPORT_N_STAGES] = {&f->features, &f->trunk, &f->diffusion, &f->confidence};
    json_t *all = json_object();
    for (int i = 0; i < REPORT_N_STAGES; i++) json_object_set_new(all, stage_names[i], stage_json(stages[i], r->seconds[i], r->cpu_seconds[i]));
    json_object_set_new(root, "n_tokens", json_integer(f->n_tokens));
    json_object_set_new(root, "n_atoms", json_integer(f->n_atoms));
    json_object_set_new(root, "n_msa_rows", json_integer(f->n_msa_rows));
    json_object_set_new(root, "stages", all);
    json_object_set_new(root, "plan",
                        json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:s, s:I, s:b, s:i}", "mode", f->mode, "binds", f->binds,
                                  "host_bytes", f->host_bytes, "device_bytes", f->device_bytes, "host_ceiling", f->host_ceiling,
                                  "device_ceiling", f->device_ceiling, "host_limit", f->host_limit ? f->host_limit : "",
                                  "chunk_rows", (json_int_t)f->chunk_rows, "logits_remade", f->logits_remade,
                                  "samples_at_once", f->samples_at_once));
  }
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  FILE *out = text ? fopen(path, "ae") : NULL;
  bool bad = !out || fprintf(out, "%s\n", text) < 0;
  int error = errno;
  if (out && fclose(out) != 0) bad = true;
  free(text);
  return bad ? nf_fail(NF_FAILED, "--report=%s: cannot be written: %s", path, strerror(error)) : NF_OK;
}
