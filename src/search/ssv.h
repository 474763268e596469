// The best ungapped local alignment of a sequence with a profile: what HMMER's first filter looks at, and where nearly all
// of a search's time goes. Here with the widest vectors of the processor, to pass on to HMMER only what its filter may
// let through.
#ifndef NF_SEARCH_SSV_H
#define NF_SEARCH_SSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SSV_MAX = 255, SSV_OTHER = 27 };  // the highest score; the letter number of what is no residue ('[' & 31)

// Match scores in thirds of a bit, by letter (1 to 26 of A to Z in either case, 27 for a break) and position.
typedef struct {
  int n_positions, n_stripes, width;  // position = lane * n_stripes + stripe
  int8_t *scores;                     // (32, n_stripes, width), 64-byte aligned
} ssv_profile;

typedef enum { SSV_PLAIN, SSV_AVX2, SSV_AVX512 } ssv_kernel;
ssv_kernel ssv_best_kernel(void);  // SSV_PLAIN where there are no vectors to use

// scores: (32, n_positions), each within -128 to 127.
void ssv_create(ssv_kernel kernel, int n_positions, const int8_t *scores, ssv_profile *ret_profile);
void ssv_free(ssv_profile *profile);

// Highest sum of scores along a diagonal, at least 0, at most SSV_MAX (what is higher is cut). The low five bits of each
// letter count. `row` is n_stripes * width bytes of scratch, 64-byte aligned.
int ssv_score(ssv_kernel kernel, const ssv_profile *profile, const char *letters, size_t n, int8_t *row);
// The same where further alignments, behind the first, may be added at `cost` (0 or more) each: HMMER's MSV score.
int ssv_score_several(ssv_kernel kernel, const ssv_profile *profile, const char *letters, size_t n, int cost, int8_t *row);

#endif
