#include "sgemm.h"

#include <cblas.h>

#include "../base/fail.h"
#include "../base/lazy.h"
#include "../base/mem.h"

#define SYMBOLS(X) X(cblas_sgemm) X(openblas_set_num_threads)

struct ad_sgemm {
	void *handle;
	struct {
		SYMBOLS(AD_LAZY_MEMBER)
	} call;
};

int ad_sgemm_open(ad_sgemm **out, adtool_error *err)
{
	static const char *const names[] = {SYMBOLS(AD_LAZY_NAME)};
	ad_sgemm *s = ad_calloc(1, sizeof(*s));
	int code;

	if (!s)
		return ad_fail_nomem(err);
	/* LAPACKE brings the BLAS it was set up with. */
	code = ad_lazy_open(AD_SONAME_LAPACKE, names, sizeof(names) / sizeof(names[0]), &s->handle, (void **)&s->call,
			    err);
	if (code) {
		ad_free(s);
		return code;
	}
	s->call.openblas_set_num_threads(1);
	*out = s;
	return 0;
}

void ad_sgemm_close(ad_sgemm *s)
{
	if (s)
		ad_lazy_close(s->handle);
	ad_free(s);
}

void ad_sgemm_run(const ad_sgemm *s, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
		  size_t ldb, float *c, size_t ldc)
{
	s->call.cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)lda, b,
			    (int)ldb, 0, c, (int)ldc);
}
