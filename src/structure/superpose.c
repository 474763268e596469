// Superposition by Horn's quaternion form of the Kabsch problem: the best proper rotation is an eigenvector of a
// symmetric 4 x 4 matrix, so that reflections cannot come up.
#include <math.h>

#include "structure/structure.h"

// Eigenvector of the largest eigenvalue of a symmetric 4 x 4 matrix, by cyclic Jacobi rotations.
static void largest_eigenvector(double a[4][4], double ret_vector[4]) {
  double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
  for (int sweep = 0; sweep < 64; sweep++) {
    double off = 0, all = 0;
    for (int p = 0; p < 4; p++) {
      for (int q = 0; q < 4; q++) {
        all += a[p][q] * a[p][q];
        if (p != q) off += a[p][q] * a[p][q];
      }
    }
    if (!(off > all * 1e-32)) break;
    for (int p = 0; p < 3; p++) {
      for (int q = p + 1; q < 4; q++) {
        if (a[p][q] == 0) continue;
        double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
        double c = 1 / sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < 4; k++) {
          double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y;
          a[k][q] = s * x + c * y;
        }
        for (int k = 0; k < 4; k++) {
          double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y;
          a[q][k] = s * x + c * y;
          x = v[k][p];
          y = v[k][q];
          v[k][p] = c * x - s * y;
          v[k][q] = s * x + c * y;
        }
      }
    }
  }
  int best = 0;
  for (int i = 1; i < 4; i++) {
    if (a[i][i] > a[best][best]) best = i;
  }
  for (int k = 0; k < 4; k++) ret_vector[k] = v[k][best];
}

double superpose_rmsd(const float *a, const float *b, int n) {
  if (n <= 0) return 0;
  double ca[3] = {0}, cb[3] = {0}, m[3][3] = {{0}};
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < 3; k++) {
      ca[k] += a[3 * (size_t)i + k];
      cb[k] += b[3 * (size_t)i + k];
    }
  }
  for (int k = 0; k < 3; k++) {
    ca[k] /= n;
    cb[k] /= n;
  }
  for (int i = 0; i < n; i++) {
    for (int r = 0; r < 3; r++) {
      for (int c = 0; c < 3; c++) m[r][c] += (a[3 * (size_t)i + r] - ca[r]) * (b[3 * (size_t)i + c] - cb[c]);
    }
  }
  double k[4][4] = {
      {m[0][0] + m[1][1] + m[2][2], m[1][2] - m[2][1], m[2][0] - m[0][2], m[0][1] - m[1][0]},
      {m[1][2] - m[2][1], m[0][0] - m[1][1] - m[2][2], m[0][1] + m[1][0], m[2][0] + m[0][2]},
      {m[2][0] - m[0][2], m[0][1] + m[1][0], m[1][1] - m[0][0] - m[2][2], m[1][2] + m[2][1]},
      {m[0][1] - m[1][0], m[2][0] + m[0][2], m[1][2] + m[2][1], m[2][2] - m[0][0] - m[1][1]},
  };
  double q[4];
  largest_eigenvector(k, q);
  double w = q[0], x = q[1], y = q[2], z = q[3];
  double r[3][3] = {
      {w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)},
      {2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)},
      {2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z},
  };
  // The distances themselves, rather than a difference of large sums, so that equal structures give zero.
  double sum = 0;
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < 3; c++) {
      double turned = 0;
      for (int j = 0; j < 3; j++) turned += r[c][j] * (a[3 * (size_t)i + j] - ca[j]);
      double d = turned - (b[3 * (size_t)i + c] - cb[c]);
      sum += d * d;
    }
  }
  return sqrt(sum / n);
}
