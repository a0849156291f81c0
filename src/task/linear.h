/* task/linear.h: dense linear algebra for matrices as large as the number of tasks, in double,
 * row-major. Nothing here allocates: the caller brings the scratch memory.
 */
#ifndef TASK_LINEAR_H
#define TASK_LINEAR_H

#include <stdbool.h>
#include <stddef.h>

double tdm__dot(const double *a, const double *b, size_t n);
/* out = M x; aᵀ M b. M is n x n. */
void tdm__mat_vec(const double *m, const double *x, size_t n, double *out);
double tdm__quadratic(const double *m, const double *a, const double *b, size_t n);
double tdm__trace(const double *m, size_t n);

/* Solves A X = B in place by Gaussian elimination with row pivoting: a (n x n) is destroyed, b
 * (n x columns) becomes X. False when a pivot is below `tolerance` times the largest entry of A. */
bool tdm__solve_linear(double *a, double *b, size_t n, size_t columns, double tolerance);

/* Eigenvalues and eigenvectors of a symmetric matrix by cyclic Jacobi rotations: a (n x n) is
 * destroyed, values[k] belongs to column k of vectors (n x n). Not sorted. */
void tdm__eigen_symmetric(double *a, size_t n, double *values, double *vectors);

#endif
