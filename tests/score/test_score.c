// Scores: from the golden outputs, on made arrays with chains that have no frame, and on real predictions.
#include <jansson.h>

#include "chem/ccd.h"
#include "formats/array.h"
#include "input/job.h"
#include "score/score.h"
#include "tests/test.h"

static double relative(double a, double b) { return isnan(a) && isnan(b) ? 0 : fabs(a - b) / fmax(fabs(b), 1e-30); }

static void check_all(const char *what, int n, const double *got, const double *expected, double tolerance) {
  for (int i = 0; i < n; i++) {
    if (!(relative(got[i], expected[i]) <= tolerance)) {
      test_fail(__FILE__, __LINE__, "%s[%d] is %.9g, the reference has %.9g", what, i, got[i], expected[i]);
    }
  }
}

// 1. Golden outputs of the network; what the reference's confidences.py derives from them

static const float *floats_of(const nf_array *arrays, int n, const char *name) {
  const nf_array *array = nf_array_find(arrays, n, name);
  if (!array || array->dtype != NF_F32) {
    test_fail(__FILE__, __LINE__, "no float32 array %s", name);
    exit(1);
  }
  return array->data;
}

TEST(golden_outputs) {
  REFERENCE_OR_SKIP(inputs, "network/golden_small_inputs.npz");
  REFERENCE_OR_SKIP(outputs, "network/golden_small_sampling_confidence.npz");
  nf_arena *arena = nf_arena_create();
  nf_batch batch;
  nf_layout layout;
  nf_array *a;
  int n;
  REQUIRE_OK(batch_read(inputs, arena, &batch));
  REQUIRE_OK(batch_layout(&batch, arena, &layout));
  REQUIRE_OK(nf_npz_read(outputs, arena, &a, &n));
  confidence_output confidence = {
      .predicted_lddt = (float *)floats_of(a, n, "full_predicted_lddt"),
      .full_pae = (float *)floats_of(a, n, "full_full_pae"),
      .full_pde = (float *)floats_of(a, n, "full_full_pde"),
      .tmscore_adjusted_pae_global = (float *)floats_of(a, n, "full_tmscore_adjusted_pae_global"),
      .tmscore_adjusted_pae_interface = (float *)floats_of(a, n, "full_tmscore_adjusted_pae_interface"),
      .average_pde = *floats_of(a, n, "full_average_pde"),
  };
  nf_scores s;
  REQUIRE_OK(score_sample(&layout, &batch, floats_of(a, n, "full_sample_atom_positions"), &confidence,
                          floats_of(a, n, "full_distogram_contact_probs"), arena, &s));
  CHECK_INT(s.n_tokens, 41);
  CHECK_INT(s.n_chains, 3);
  CHECK_INT(s.n_atoms, 361);
  CHECK_NEAR(s.ptm, *floats_of(a, n, "ptm"), 1e-5 * s.ptm);
  CHECK_NEAR(s.iptm, *floats_of(a, n, "iptm"), 1e-5 * s.iptm);
  for (int i = 0; i < 9; i++) {
    CHECK(relative(s.chain_pair_iptm[i], floats_of(a, n, "chain_pair_iptm")[i]) < 1e-5);
  }
  check_all("ptm", 1, &s.ptm, (double[]){0.08487513986413117}, 1e-5);
  check_all("iptm", 1, &s.iptm, (double[]){0.08498515156769261}, 1e-5);
  check_all(
      "chain_pair_pae_min", 9, s.chain_pair_pae_min,
      (double[]){15.463208198547363, 15.318504333496094, 15.343117713928223, 15.476780891418457, 15.463951110839844,
                 15.462736129760742, 15.544453620910645, 15.574907302856445, 15.593622207641602},
      1e-5);
  check_all("chain_pair_pde_mean", 9, s.chain_pair_pde_mean,
            (double[]){16.044967651367188, 16.230072021484375, 16.340852737426758, 16.230072021484375,
                       16.395132064819336, 16.44817352294922, 16.340850830078125, 16.44817352294922, 16.33023452758789},
            1e-5);
  check_all("chain_pair_pde_min", 9, s.chain_pair_pde_min,
            (double[]){14.8447265625, 15.037856101989746, 15.147165298461914, 15.037856101989746, 15.022560119628906,
                       14.71815299987793, 15.147165298461914, 14.71815299987793, 14.635091781616211},
            1e-5);
  check_all("intra_chain_single_pde", 3, s.intra_chain_single_pde,
            (double[]){15.962467193603516, 16.400903701782227, 16.511144638061523}, 1e-5);
  check_all("cross_chain_single_pde", 3, s.cross_chain_single_pde,
            (double[]){16.236188888549805, 16.305274963378906, 16.451570510864258}, 1e-5);
  check_all("pae_ichain", 3, s.pae_ichain, (double[]){16.018577575683594, 16.106273651123047, 16.221435546875}, 1e-5);
  check_all("pae_xchain", 3, s.pae_xchain, (double[]){16.066417932510376, 16.101880311965942, 16.153103828430176},
            1e-5);
  check_all("ranking_confidence_pae", 1, &s.ranking_confidence_pae, (double[]){-16.092257056085565}, 1e-5);
  check_all("iptm_xchain", 3, s.iptm_xchain, (double[]){0.05091041762845989, 0.05097808854265819, 0.04497996205608201},
            1e-5);
  for (int i = 0; i < 3; i++) CHECK(s.iptm_ichain[i] == s.chain_pair_iptm[4 * i]);
  CHECK_NEAR(s.ptm_iptm_average, 0.8 * 0.08498515156769261 + 0.2 * 0.08487513986413117, 1e-6);
  CHECK(s.ranking_confidence == s.ptm_iptm_average);
  CHECK(s.predicted_distance_error == *floats_of(a, n, "full_average_pde"));
  CHECK_NEAR(s.ranking_score, s.ptm_iptm_average + 0.5 * s.fraction_disordered - 100 * s.has_clash, 1e-9);
  // Padding to a larger bucket changes nothing.
  int padded = 48;
  nf_batch wide = batch;
  wide.n_token = padded;
  wide.asym_id = NF_NEW(arena, int32_t, padded);
  wide.frames_mask = NF_NEW(arena, uint8_t, padded);
  memcpy(wide.asym_id, batch.asym_id, 41 * sizeof(int32_t));
  memcpy(wide.frames_mask, batch.frames_mask, 41);
  confidence_output padded_confidence = confidence;
  float **square[] = {&padded_confidence.full_pae, &padded_confidence.full_pde,
                      &padded_confidence.tmscore_adjusted_pae_global,
                      &padded_confidence.tmscore_adjusted_pae_interface};
  float *contacts = (float *)floats_of(a, n, "full_distogram_contact_probs"), **all_squares[5];
  for (int k = 0; k < 4; k++) all_squares[k] = square[k];
  all_squares[4] = &contacts;
  for (int k = 0; k < 5; k++) {
    float *out = NF_NEW(arena, float, padded *padded);
    for (int i = 0; i < padded * padded; i++) out[i] = 99;
    for (int i = 0; i < 41; i++) memcpy(out + i * padded, *all_squares[k] + 41 * i, 41 * sizeof(float));
    *all_squares[k] = out;
  }
  nf_scores w;
  REQUIRE_OK(score_sample(&layout, &wide, floats_of(a, n, "full_sample_atom_positions"), &padded_confidence, contacts,
                          arena, &w));
  CHECK(w.ptm == s.ptm && w.iptm == s.iptm && w.ranking_confidence_pae == s.ranking_confidence_pae);
  CHECK(memcmp(w.chain_pair_iptm, s.chain_pair_iptm, 9 * sizeof(double)) == 0);
  CHECK(memcmp(w.chain_pair_pae_min, s.chain_pair_pae_min, 9 * sizeof(double)) == 0);
  CHECK(memcmp(w.pae_xchain, s.pae_xchain, 3 * sizeof(double)) == 0);
  // An atom that is nowhere is refused.
  float *broken = NF_NEW(arena, float, 41 * 24 * 3);
  memcpy(broken, floats_of(a, n, "full_sample_atom_positions"), 41 * 24 * 3 * sizeof(float));
  broken[3 * 24 * 20 + 4] = NAN;
  CHECK_INT(
      score_sample(&layout, &batch, broken, &confidence, floats_of(a, n, "full_distogram_contact_probs"), arena, &w),
      NF_FAILED);
  CHECK(strstr(nf_message(), "token 21"));
  nf_arena_free(arena);
}

// 2. Made arrays: value (a i + b j + c) mod 97 / 97

static void fill(int n, int a, int b, int c, float scale, float offset, float *out) {
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) out[i * n + j] = scale * ((float)((i * a + j * b + c) % 97) / 97.0f) + offset;
  }
}

typedef struct {
  int n, c;
  int chain[12];
  uint8_t frames[12];
  double ptm, iptm, rank_pae;
  double pae_min[16], pde_mean[16], pde_min[16], pair_iptm[16];
  double intra[4], cross[4], pae_ichain[4], pae_xchain[4], iptm_xchain[4];
} made_case;

static const made_case made[] = {
    // Four chains; the third is one token without a frame.
    {.n = 12,
     .c = 4,
     .chain = {0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3},
     .frames = {1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1},
     .ptm = 0.5438144245930665,
     .iptm = 0.6048109888933073,
     .rank_pae = -15.521779588106162,
     .pae_min = {0.5592783689498901, 2.1056699752807617, 12.621133804321289, 2.724226713180542, 0.25, 5.198453426361084,
                 1.7963917255401611, 1.487113356590271, NAN, NAN, NAN, NAN, 3.0335052013397217, 3.9613401889801025,
                 10.146906852722168, 0.25},
     .pde_mean = {10.212886810302734, 9.597078323364258, 10.889175415039062, 9.514603614807129, 9.734536170959473,
                  11.429840087890625, 5.6108245849609375, 8.68069839477539, 7.09536075592041, 12.346219062805176,
                  10.971649169921875, 9.597079277038574, 9.789520263671875, 8.818156242370605, 16.332473754882812,
                  10.513460159301758},
     .pde_min = {1.6932989358901978, 0.25, 0.25, 0.8685566782951355, 0.45618557929992676, 2.3118555545806885,
                 2.9304122924804688, 0.25, 1.074742317199707, 4.992268085479736, 10.971649169921875, 2.9304122924804688,
                 0.45618557929992676, 1.074742317199707, 13.652061462402344, 2.3118555545806885},
     .intra = {10.105026245117188, 10.499738693237305, 10.971582412719727, 10.910772323608398},
     .cross = {9.110355377197266, 10.342611312866211, 10.321061134338379, 9.98648738861084},
     .pae_ichain = {14.061323165893555, 14.776232719421387, NAN, 14.057951927185059},
     .pae_xchain = {16.517934958140057, 15.066183487574259, 19.316731770833332, 17.124152580897015},
     .pair_iptm = {0.6391752349467776, 0.8453608127071855, 0.9484535956904824, 0.907216486290978, 0.8453608127071855,
                   0.6563573842720489, 0.3298968937785915, 0.7525773023314969, 0.9484535956904824, 0.3298968937785915,
                   NAN, 0.8556700859333505, 0.907216486290978, 0.7525773023314969, 0.8556700859333505,
                   0.7216494655396006},
     .iptm_xchain = {0.900343631562882, 0.642611669605758, 0.7113401918008081, 0.8384879581852752}},
    // One chain.
    {.n = 6,
     .c = 1,
     .chain = {0},
     .frames = {1, 1, 0, 1, 1, 1},
     .ptm = 0.5446735251309369,
     .iptm = NAN,
     .rank_pae = -14.462288074477842,
     .pae_min = {0.25},
     .pde_mean = {10.5650053024292},
     .pde_min = {1.074742317199707},
     .intra = {10.093103408813477},
     .cross = {0},
     .pae_ichain = {14.462289810180664},
     .pae_xchain = {NAN},
     .pair_iptm = {0.6649484325293715},
     .iptm_xchain = {NAN}},
    // Two chains, no frame at all.
    {.n = 4,
     .c = 2,
     .chain = {0, 0, 1, 1},
     .frames = {0},
     .ptm = NAN,
     .iptm = NAN,
     .rank_pae = 0,
     .pae_min = {NAN, NAN, NAN, NAN},
     .pde_mean = {6.023195743560791, 12.981958389282227, 11.38401985168457, 8.342782974243164},
     .pde_min = {1.6932989358901978, 2.3118555545806885, 7.054123401641846, 1.6932989358901978},
     .intra = {7.939002513885498, 6.906092643737793},
     .cross = {10.740720748901367, 12.763399124145508},
     .pae_ichain = {NAN, NAN},
     .pae_xchain = {NAN, NAN},
     .pair_iptm = {NAN, NAN, NAN, NAN},
     .iptm_xchain = {NAN, NAN}},
};

TEST(made_arrays) {
  for (size_t m = 0; m < sizeof made / sizeof *made; m++) {
    const made_case *k = &made[m];
    float pae[144], pde[144], contacts[144], tm_global[144], tm_interface[144];
    fill(k->n, 31, 17, 5, 30, 0.25f, pae);
    fill(k->n, 13, 29, 7, 20, 0.25f, pde);
    fill(k->n, 7, 43, 11, 1, 0, contacts);
    fill(k->n, 19, 23, 3, 1, 0, tm_global);
    fill(k->n, 37, 5, 1, 1, 0, tm_interface);
    double one[16], two[16], three[4];
    check_all("ptm", 1, (double[]){score_ptm(k->n, tm_global, k->chain, k->frames, false)}, &k->ptm, 1e-6);
    check_all("iptm", 1, (double[]){score_ptm(k->n, tm_global, k->chain, k->frames, true)}, &k->iptm, 1e-6);
    CHECK_NEAR(score_rank_metric(k->n, pae, contacts, k->frames), k->rank_pae, 1e-6 * fabs(k->rank_pae));
    score_chain_pair_error(k->n, k->c, pae, NULL, k->chain, k->frames, NULL, one);
    check_all("pae_min", k->c * k->c, one, k->pae_min, 1e-6);
    score_chain_pair_error(k->n, k->c, pde, NULL, k->chain, NULL, one, two);
    check_all("pde_mean", k->c * k->c, one, k->pde_mean, 1e-6);
    check_all("pde_min", k->c * k->c, two, k->pde_min, 1e-6);
    score_single_pde(k->n, k->c, pde, contacts, k->chain, one, two);
    check_all("intra", k->c, one, k->intra, 1e-6);
    check_all("cross", k->c, two, k->cross, 1e-6);
    score_chain_pair_error(k->n, k->c, pae, contacts, k->chain, k->frames, one, NULL);
    score_cross_chain(k->c, one, three);
    for (int i = 0; i < k->c; i++) check_all("pae_ichain", 1, &one[i * k->c + i], &k->pae_ichain[i], 1e-6);
    check_all("pae_xchain", k->c, three, k->pae_xchain, 1e-6);
    score_chain_pair_iptm(k->n, k->c, tm_interface, k->chain, k->frames, one);
    check_all("chain_pair_iptm", k->c * k->c, one, k->pair_iptm, 1e-6);
    score_cross_chain(k->c, one, three);
    check_all("iptm_xchain", k->c, three, k->iptm_xchain, 1e-6);
  }
}

TEST(ranking) {
  CHECK_NEAR(score_ranking(0.5, NAN, 0, false), 0.5, 1e-12);
  CHECK_NEAR(score_ranking(0.5, 0.25, 0, false), 0.3, 1e-12);
  CHECK_NEAR(score_ranking(0.5, 0.25, 0.4, false), 0.5, 1e-12);
  CHECK_NEAR(score_ranking(0.5, 0.25, 0.4, true), -99.5, 1e-12);
}

// 3. Five predictions of AlphaFold 3

static void json_numbers(const json_t *root, const char *key, int n, double *out) {
  const json_t *value = json_object_get(root, key);
  int at = 0;
  if (json_is_number(value)) out[at++] = json_number_value(value);
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t *row = json_array_get(value, i);
    if (json_is_number(row) && at < n) out[at++] = json_number_value(row);
    for (size_t j = 0; j < json_array_size(row) && at < n; j++) out[at++] = json_number_value(json_array_get(row, j));
  }
  CHECK_INT(at, n);
}

TEST(real_predictions) {
  REFERENCE_OR_SKIP(job_path, "af3_5tgy/data.json");
  nf_arena *arena = nf_arena_create();
  nf_job job;
  nf_ccd *ccd;
  nf_layout layout;
  REQUIRE_OK(job_read(job_path, arena, &job));
  REQUIRE_OK(ccd_open(NULL, &ccd));
  REQUIRE_OK(layout_create(&job, ccd, false, arena, &layout));
  CHECK_INT(layout.n_tokens, 150);
  CHECK_INT(layout.n_atoms, 954);
  int n_padded = 150, n_slot = NF_DENSE_ATOMS;
  nf_batch batch = {.n_token = n_padded, .n_slot = n_slot};
  batch.asym_id = NF_NEW(arena, int32_t, n_padded);
  batch.frames_mask = NF_NEW(arena, uint8_t, n_padded);
  for (int i = 0; i < n_padded; i++) {
    batch.asym_id[i] = i < 109 ? 1 : 2;
    // The last atom of the ligand, its zinc, had no frame in these predictions: with it and no other left out,
    // ranking_confidence_pae comes out exactly.
    batch.frames_mask[i] = i != 149;
  }
  double ours[5], theirs[5];
  for (int sample = 0; sample < 5; sample++) {
    char name[64];
    nf_array *a;
    int n;
    snprintf(name, sizeof name, "af3_5tgy/sample-%d.npz", sample);
    REQUIRE_OK(nf_npz_read(test_reference(name), arena, &a, &n));
    snprintf(name, sizeof name, "af3_5tgy/sample-%d.json", sample);
    json_t *root = json_load_file(test_reference(name), JSON_ALLOW_NUL, NULL);
    CHECK(root);
    float *positions = NF_NEW(arena, float, n_padded *n_slot * 3), *plddt = NF_NEW(arena, float, n_padded *n_slot);
    const float *coords = floats_of(a, n, "coords"), *b_factors = floats_of(a, n, "plddt");
    for (int i = 0; i < layout.n_atoms; i++) {
      int at = layout.atoms[i].token * n_slot + layout.atoms[i].slot;
      memcpy(positions + 3 * at, coords + 3 * i, 3 * sizeof(float));
      plddt[at] = b_factors[i];
    }
    float *tm = NF_NEW(arena, float, 150 * 150);
    double pde;
    json_numbers(root, "predicted_distance_error", 1, &pde);
    confidence_output confidence = {.predicted_lddt = plddt,
                                    .full_pae = (float *)floats_of(a, n, "full_pae"),
                                    .full_pde = (float *)floats_of(a, n, "full_pde"),
                                    .tmscore_adjusted_pae_global = tm,
                                    .tmscore_adjusted_pae_interface = tm,
                                    .average_pde = (float)pde};
    nf_scores s;
    REQUIRE_OK(score_sample(&layout, &batch, positions, &confidence, floats_of(a, n, "contact_probs"), arena, &s));
    CHECK(memcmp(s.positions, coords, 954 * 3 * sizeof(float)) == 0);
    const struct {
      const char *key;
      int n;
      const double *got;
      double tolerance;
    } fields[] = {
        {"chain_pair_pae_min", 4, s.chain_pair_pae_min, 1e-6},
        {"chain_pair_pde_mean", 4, s.chain_pair_pde_mean, 1e-5},
        {"chain_pair_pde_min", 4, s.chain_pair_pde_min, 1e-6},
        {"intra_chain_single_pde", 2, s.intra_chain_single_pde, 1e-5},
        {"cross_chain_single_pde", 2, s.cross_chain_single_pde, 1e-5},
        // The reference adds these up one by one in single precision: its own error is 2e-5.
        {"pae_ichain", 2, s.pae_ichain, 5e-5},
        {"pae_xchain", 2, s.pae_xchain, 1e-5},
        {"ranking_confidence_pae", 1, &s.ranking_confidence_pae, 1e-6},
        {"predicted_distance_error", 1, &s.predicted_distance_error, 1e-6},
        {"fraction_disordered", 1, &s.fraction_disordered, 1e-9},
    };
    double expected[4];
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
      json_numbers(root, fields[f].key, fields[f].n, expected);
      check_all(fields[f].key, fields[f].n, fields[f].got, expected, fields[f].tolerance);
    }
    CHECK_INT(s.has_clash, json_is_true(json_object_get(root, "has_clash")));
    CHECK_INT(s.chirality.chain_checked[0], 112);  // 105 but glycines, 5 isoleucines, 2 threonines
    CHECK_INT(s.chirality.chain_errors[0], 0);
    double ptm, iptm;
    json_numbers(root, "ptm", 1, &ptm);
    json_numbers(root, "iptm", 1, &iptm);
    json_numbers(root, "ranking_score", 1, &theirs[sample]);
    ours[sample] = score_ranking(ptm, iptm, s.fraction_disordered, s.has_clash);
    CHECK_NEAR(ours[sample], theirs[sample], 1e-7);
    // What chain_pair_iptm of the file gives for the cross-chain mean.
    double pairs[4], cross[2], expected_cross[2];
    json_numbers(root, "chain_pair_iptm", 4, pairs);
    json_numbers(root, "iptm_xchain", 2, expected_cross);
    score_cross_chain(2, pairs, cross);
    check_all("iptm_xchain", 2, cross, expected_cross, 1e-6);
    json_decref(root);
  }
  for (int i = 0; i < 5; i++) {
    for (int j = 0; j < 5; j++) CHECK((ours[i] > ours[j]) == (theirs[i] > theirs[j]));
  }
  ccd_close(ccd);
  nf_arena_free(arena);
}
