// Superposition.
#include "../test.h"
#include "structure/structure.h"

enum { N = 40 };

static float noise(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 0x1p24f - 0.5f;
}

static void make_points(float *p, uint32_t seed) {
  for (int i = 0; i < 3 * N; i++) p[i] = 30 * noise(&seed);
}

// Turned by three angles and shifted; scale -1 gives the mirror image.
static void move(const float *in, float *out, double a, double b, double c, double scale) {
  double ca = cos(a), sa = sin(a), cb = cos(b), sb = sin(b), cc = cos(c), sc = sin(c);
  double r[3][3] = {{ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc},
                    {sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc},
                    {-sb, cb * sc, cb * cc}};
  const double shift[3] = {100, -50, 3};
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 3; k++) {
      double v = shift[k];
      for (int j = 0; j < 3; j++) v += r[k][j] * scale * in[3 * i + j];
      out[3 * i + k] = (float)v;
    }
  }
}

TEST(turned_and_shifted_is_the_same) {
  float a[3 * N], b[3 * N];
  make_points(a, 1);
  CHECK_NEAR(superpose_rmsd(a, a, N), 0, 1e-7);
  for (int i = 0; i < 50; i++) {
    move(a, b, 0.3 * i, 0.7 * i, 1.1 * i, 1);
    CHECK_NEAR(superpose_rmsd(a, b, N), 0, 1e-5);
    CHECK_NEAR(superpose_rmsd(b, a, N), 0, 1e-5);
  }
}

TEST(half_turns) {  // where a rotation's quaternion has no real part
  float a[3 * N], b[3 * N];
  make_points(a, 2);
  const double pi = acos(-1);
  for (int k = 0; k < 3; k++) {
    move(a, b, k == 0 ? pi : 0, k == 1 ? pi : 0, k == 2 ? pi : 0, 1);
    CHECK_NEAR(superpose_rmsd(a, b, N), 0, 1e-5);
  }
}

TEST(a_mirror_image_is_not_the_same) {
  float a[3 * N], b[3 * N];
  make_points(a, 3);
  move(a, b, 0.4, 0.5, 0.6, -1);
  CHECK(superpose_rmsd(a, b, N) > 3);
  // In a plane it is: turning it over does it.
  for (int i = 0; i < N; i++) a[3 * i + 2] = 0;
  move(a, b, 0.4, 0.5, 0.6, -1);
  CHECK_NEAR(superpose_rmsd(a, b, N), 0, 1e-5);
}

TEST(known_distances) {
  // Two pairs on a line: lengths 2 and 4, so each end is off by 1.
  const float a[] = {-1, 0, 0, 1, 0, 0}, b[] = {5, 2, 5, 5, -2, 5};
  CHECK_NEAR(superpose_rmsd(a, b, 2), 1, 1e-6);
  CHECK_NEAR(superpose_rmsd(a, b, 1), 0, 0);
  CHECK_NEAR(superpose_rmsd(a, b, 0), 0, 0);
  // A square and the same square with two opposite corners lifted by h: the best is no turn at all.
  const float square[] = {1, 1, 0, 1, -1, 0, -1, -1, 0, -1, 1, 0};
  const float bent[] = {1, 1, 0.2f, 1, -1, -0.2f, -1, -1, 0.2f, -1, 1, -0.2f};
  CHECK_NEAR(superpose_rmsd(square, bent, 4), 0.2, 1e-6);
}

TEST(no_turn_is_better) {
  float a[3 * N], b[3 * N], c[3 * N];
  make_points(a, 4);
  uint32_t seed = 5;
  for (int i = 0; i < 3 * N; i++) b[i] = a[i] + noise(&seed);
  double best = superpose_rmsd(a, b, N);
  CHECK(best > 0.3 && best < 0.6);
  for (int i = 0; i < 200; i++) {
    move(a, c, 0.02 * noise(&seed), 0.02 * noise(&seed), 0.02 * noise(&seed), 1);
    double sum = 0, ca[3] = {0}, cb[3] = {0};
    for (int j = 0; j < 3 * N; j++) {
      ca[j % 3] += c[j] / N;
      cb[j % 3] += b[j] / N;
    }
    for (int j = 0; j < 3 * N; j++) sum += pow((c[j] - ca[j % 3]) - (b[j] - cb[j % 3]), 2);
    CHECK(sqrt(sum / N) >= best - 1e-5);
  }
}
