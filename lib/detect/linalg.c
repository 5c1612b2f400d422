#include "linalg.h"

#include <cblas.h>
#include <lapacke.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"
#include "../base/pool.h"

#define LAPACK_SYMBOLS(X) X(LAPACKE_dsytrd_work) X(LAPACKE_dstedc_work) X(LAPACKE_dormtr_work)
#define BLAS_SYMBOLS(X) X(cblas_dgemm) X(cblas_dsyrk)

/* Declared here because only OpenBLAS's own headers do; looked up, never linked. */
typedef void set_threads_fn(int threads);
typedef int get_threads_fn(void);

struct ad_linalg {
	struct {
		LAPACK_SYMBOLS(AD_LAZY_MEMBER)
	} lapack;
	struct {
		BLAS_SYMBOLS(AD_LAZY_MEMBER)
	} blas;
	struct {
		set_threads_fn *set; /* both NULL when this BLAS has no thread count */
		get_threads_fn *get;
	} threads;
	void *lapack_handle, *blas_handle, *threads_handle;
};

static const char *const lapack_names[] = {LAPACK_SYMBOLS(AD_LAZY_NAME)};
static const char *const blas_names[] = {BLAS_SYMBOLS(AD_LAZY_NAME)};
static const char *const threads_names[] = {"openblas_set_num_threads", "openblas_get_num_threads"};

/*
 * A handle also finds the symbols of what its library depends on: liblapacke needs libblas.so.3 and
 * liblapack.so.3, either of which may be OpenBLAS in disguise. So all is looked for there first.
 */
static const char *const blas_sonames[] = {AD_SONAME_LAPACKE, "libblas.so.3", "libopenblas.so.0", "libcblas.so.3"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* OpenBLAS asks for its buffers again and again, for ever, when the address space is limited to less than it wants. */
static int check_address_space(adtool_error *err)
{
	size_t wanted = ((size_t)256 << 20) + ad_cpu_count() * ((size_t)64 << 20);
	struct rlimit limit;
	void *probe;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	probe = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe == MAP_FAILED)
		return ad_fail(err, ADTOOL_ENOMEM,
			       "out of memory: the address space is limited to %llu MiB, and linear "
			       "algebra wants %zu MiB more",
			       (unsigned long long)limit.rlim_cur >> 20, wanted >> 20);
	munmap(probe, wanted);
	return 0;
}

int ad_linalg_open(ad_linalg **out, adtool_error *err)
{
	ad_linalg *l;
	size_t i;
	int code = check_address_space(err);

	if (code)
		return code;
	l = ad_calloc(1, sizeof(*l));
	if (!l)
		return ad_fail_nomem(err);
	code = ad_lazy_open(AD_SONAME_LAPACKE, lapack_names, COUNT(lapack_names), &l->lapack_handle, &l->lapack,
			    err);
	if (code)
		goto fail;
	code = ADTOOL_EUNSUPPORTED;
	for (i = 0; code && i < COUNT(blas_sonames); i++) {
		code = ad_lazy_open(blas_sonames[i], blas_names, COUNT(blas_names), &l->blas_handle, &l->blas, err);
		if (!code && ad_lazy_open(blas_sonames[i], threads_names, COUNT(threads_names), &l->threads_handle,
					  &l->threads, NULL)) {
			l->threads.set = NULL;
			l->threads.get = NULL;
		}
	}
	if (code)
		goto fail;
	*out = l;
	return 0;
fail:
	ad_linalg_close(l);
	return code;
}

void ad_linalg_close(ad_linalg *l)
{
	if (!l)
		return;
	ad_lazy_close(l->threads_handle);
	ad_lazy_close(l->blas_handle);
	ad_lazy_close(l->lapack_handle);
	ad_free(l);
}

int ad_linalg_begin(const ad_linalg *l)
{
	int threads = l->threads.get ? l->threads.get() : 0;

	ad_linalg_enter(l);
	return threads;
}

void ad_linalg_enter(const ad_linalg *l)
{
	if (l->threads.set)
		l->threads.set(1);
}

void ad_linalg_end(const ad_linalg *l, int threads)
{
	if (l->threads.set && threads > 0)
		l->threads.set(threads);
}

void ad_linalg_gemm(const ad_linalg *l, size_t m, size_t n, size_t inner, double alpha, ad_matrix a, ad_matrix b,
		    double beta, double *c, size_t c_stride)
{
	if (m && n)
		l->blas.cblas_dgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
				    b.transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)inner, alpha, a.data,
				    (int)a.stride, b.data, (int)b.stride, beta, c, (int)c_stride);
}

void ad_linalg_add_scatter(const ad_linalg *l, size_t n, size_t rows, const double *a, double *c)
{
	l->blas.cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)rows, 1.0, a, (int)n, 1.0, c, (int)n);
}

void ad_linalg_mirror(double *c, size_t n)
{
	enum { TILE = 32 };
	size_t i, j, row, column;

	for (row = 0; row < n; row += TILE)
		for (column = 0; column <= row; column += TILE)
			for (i = row; i < row + TILE && i < n; i++)
				for (j = column; j < column + TILE && j < i; j++)
					c[j * n + i] = c[i * n + j];
}

static size_t work_doubles(size_t n)
{
	/* dstedc asks for 1 + 4 n + n^2; the blocked dsytrd and dormtr like 64 n and a 64 x 65 block beside. */
	size_t stedc = 1 + 4 * n + n * n, blocked = 64 * n + 64 * 65;

	return stedc > blocked ? stedc : blocked;
}

int ad_eigen_create(size_t capacity, ad_eigen *out, adtool_error *err)
{
	ad_eigen e = {.capacity = capacity};

	if (capacity > AD_LINALG_MAX)
		return ad_fail(err, ADTOOL_ELIMIT, "an eigenvalue problem of %zu rows: at most %d can be solved",
			       capacity, AD_LINALG_MAX);
	e.values = ad_malloc_aligned(capacity, sizeof(double));
	e.tail = ad_malloc_aligned(capacity, sizeof(double));
	e.reflectors = ad_malloc_aligned(capacity, sizeof(double));
	e.vectors = ad_malloc_aligned(capacity * capacity, sizeof(double));
	e.work = ad_malloc_aligned(work_doubles(capacity), sizeof(double));
	e.iwork = ad_malloc_array(3 + 5 * capacity, sizeof(int));
	if (!e.values || !e.tail || !e.reflectors || !e.vectors || !e.work || !e.iwork) {
		ad_eigen_release(&e);
		return ad_fail_nomem(err);
	}
	*out = e;
	return 0;
}

void ad_eigen_release(ad_eigen *e)
{
	if (!e)
		return;
	ad_free_aligned(e->values);
	ad_free_aligned(e->tail);
	ad_free_aligned(e->reflectors);
	ad_free_aligned(e->vectors);
	ad_free_aligned(e->work);
	ad_free(e->iwork);
	*e = (ad_eigen){0};
}

uint64_t ad_eigen_bytes(size_t capacity)
{
	uint64_t n = capacity;

	return sizeof(double) * (3 * n + n * n + work_doubles(capacity)) + sizeof(int) * (3 + 5 * n);
}

static void swap(double *a, double *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		double t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

int ad_eigen_values(const ad_linalg *l, ad_eigen *e, double *a, size_t n)
{
	lapack_int size = (lapack_int)n, info;
	size_t i;

	e->n = n;
	e->matrix = a;
	info = l->lapack.LAPACKE_dsytrd_work(LAPACK_COL_MAJOR, 'L', size, a, size, e->values, e->tail, e->reflectors,
					     e->work, (lapack_int)work_doubles(n));
	if (!info)
		info = l->lapack.LAPACKE_dstedc_work(LAPACK_COL_MAJOR, 'I', size, e->values, e->tail, e->vectors, size,
						     e->work, (lapack_int)work_doubles(n), e->iwork,
						     (lapack_int)(3 + 5 * n));
	for (i = 0; i < n / 2; i++)
		swap(&e->values[i], &e->values[n - 1 - i], 1);
	return info;
}

int ad_eigen_vectors(const ad_linalg *l, ad_eigen *e, size_t k)
{
	size_t n = e->n, i;

	for (i = 0; i < n / 2; i++)
		swap(e->vectors + i * n, e->vectors + (n - 1 - i) * n, n);
	if (!k)
		return 0;
	return l->lapack.LAPACKE_dormtr_work(LAPACK_COL_MAJOR, 'L', 'L', 'N', (lapack_int)n, (lapack_int)k, e->matrix,
					     (lapack_int)n, e->reflectors, e->vectors, (lapack_int)n, e->work,
					     (lapack_int)work_doubles(n));
}
