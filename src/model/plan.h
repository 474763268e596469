// What a job will take, before it runs, and how it is to be run so that it fits: which of a stage's tensors are kept,
// which are made in pieces. The choice changes time and memory, never a bit of the result.
#ifndef NF_MODEL_PLAN_H
#define NF_MODEL_PLAN_H

#include "model/model.h"

typedef struct {
  int n_token;
  int n_subset;    // windows of the batch that hold atoms
  int n_row;       // MSA rows that a pass reads
  int n_samples;
  bool saves_distogram;  // its logits come to the host
  bool saves_trunk;      // so does the trunk's output, as floats
  int n_template;  // distinct ones, absent ones counting as one
  int64_t host_used;  // bytes that the process has beside the weights by now: features, dictionary, program
} job_size;

// May the host's memory hold what the device has no room for: where it must, never, as much as can be?
typedef enum { OFFLOAD_AUTO, OFFLOAD_OFF, OFFLOAD_HOST } offload_choice;

// 0: no ceiling.
typedef struct {
  int64_t host, device;
  offload_choice offload;
  const char *host_limit, *device_limit;  // what sets them, for messages: "--host_memory_gib", "the control group", ...
} memory_ceiling;

// The peak of the whole process (weights and features included), and of the device's memory. Where host and device
// memory are one, device is 0.
typedef struct {
  int64_t host, device;
} memory_need;

typedef struct {
  memory_plan memory;  // what the stages follow; job_plan outlives them
  const char *mode;    // "resident", "chunked", "offloaded" (parts wait on the host) or "streamed" (pair tensors lie there)
  memory_need features, trunk, diffusion, confidence;  // at each stage's peak
  memory_need peak;    // of all stages
  memory_ceiling ceiling;
  model_costs costs;   // of the plan chosen
} job_plan;

// Bytes of its own memory that the device gives to the model and its jobs in all, by what is free and by the ceiling; 0
// where host and device memory are one.
int64_t model_device_room(const nf_model *model);

// Distinct templates of a batch: those without any atom are one.
int plan_distinct_templates(const nf_batch *batch);

// Chooses the fastest way that stays under the ceilings. If none does, *ret_plan is the one that needs least, and
// NF_MEMORY says how much that is, what is allowed, and what would help. `name` begins the message.
NF_CHECKED nf_status model_plan(const nf_model *model, const job_size *size, const memory_ceiling *ceiling, const char *name,
                                job_plan *ret_plan);

// Seconds that the stages of a job under the plan may be expected to take, from its FLOPs, the device's measured peak
// (model_measured_peak) and what bench/RESULTS.md has of CPUs and cards.
typedef struct {
  double trunk, diffusion, confidence;
} stage_seconds;
stage_seconds model_expected_seconds(const nf_model *model, const job_plan *plan, const job_size *size, int passes, int steps);

#endif
