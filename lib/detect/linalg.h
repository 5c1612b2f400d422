/*
 * Dense linear algebra in double: the only way from this room to BLAS and LAPACK, which are opened when a fit begins
 * and closed when it ends, so that scoring never loads them. Matrices are row-major.
 */
#ifndef AD_LINALG_H
#define AD_LINALG_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ad_linalg ad_linalg;

/* ADTOOL_EUNSUPPORTED when the libraries are missing or incomplete. */
int ad_linalg_open(ad_linalg **out, adtool_error *err);
void ad_linalg_close(ad_linalg *l); /* harmless on NULL */

/*
 * Between _begin and _end, BLAS runs on the calling thread alone: the results of OpenBLAS depend on its thread count,
 * which is global to the process. _begin returns the count for _end to restore; 0 when the BLAS at hand has none (the
 * reference one). A task on another thread calls _enter first: where OpenBLAS is built on OpenMP the count is
 * each thread's own.
 */
int ad_linalg_begin(const ad_linalg *l);
void ad_linalg_enter(const ad_linalg *l);
void ad_linalg_end(const ad_linalg *l, int threads);

/* No dimension (or leading dimension) may be more than this: LAPACK counts in 32 bits, n * n elements of work too. */
#define AD_LINALG_MAX 46000

/* c = alpha op(a) op(b) + beta c; op(a): m x n_inner, op(b): n_inner x n. beta == 0 does not read c. */
typedef struct ad_matrix {
	const double *data;
	size_t stride; /* between rows */
	int transposed;
} ad_matrix;

void ad_linalg_gemm(const ad_linalg *l, size_t m, size_t n, size_t inner, double alpha, ad_matrix a, ad_matrix b,
		    double beta, double *c, size_t c_stride);

/* The lower triangle of c (n x n) += a^T a; a: rows x n. */
void ad_linalg_add_scatter(const ad_linalg *l, size_t n, size_t rows, const double *a, double *c);

/* Copies the lower triangle of c (n x n) to the upper one. */
void ad_linalg_mirror(double *c, size_t n);

/* Eigenvalues and the leading eigenvectors of a symmetric matrix of up to `capacity` rows. */
typedef struct ad_eigen {
	size_t capacity, n;
	double *values;  /* n, descending */
	double *vectors; /* k x n: one eigenvector a row, in the order of the values */
	double *tail;    /* the rest is scratch */
	double *work, *reflectors;
	int *iwork;
	const double *matrix;
} ad_eigen;

int ad_eigen_create(size_t capacity, ad_eigen *out, adtool_error *err);
void ad_eigen_release(ad_eigen *e);
uint64_t ad_eigen_bytes(size_t capacity);

/* Fills values; a (n x n, all of it) is overwritten and must stay as it is until _vectors. 0, or LAPACK's info. */
int ad_eigen_values(const ad_linalg *l, ad_eigen *e, double *a, size_t n);
/* Fills the first k vectors (k <= n); may be called once after _values. 0, or LAPACK's info. */
int ad_eigen_vectors(const ad_linalg *l, ad_eigen *e, size_t k);

#endif
