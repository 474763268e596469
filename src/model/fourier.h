// The constants of AlphaFold 3's noise embedding.
#ifndef NF_MODEL_FOURIER_H
#define NF_MODEL_FOURIER_H

enum { FOURIER_SIZE = 256 };
// embedding[i] = cos(2 pi (log(noise level / 16) / 4 * weight[i] + bias[i]))
extern const float fourier_weight[FOURIER_SIZE], fourier_bias[FOURIER_SIZE];

#endif
