/* Dealing pictures to folds. */
#include "pipeline.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/rng.h"

int ad_deal(size_t n, unsigned folds, ad_rng *rng, unsigned *fold_of, adtool_error *err)
{
	size_t *order = ad_rng_order(rng, n), i;

	if (!order)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		fold_of[order[i]] = (unsigned)(i % folds);
	ad_free(order);
	return 0;
}

int ad_deal_groups(const size_t *group, size_t n, size_t groups, unsigned folds, ad_rng *rng, unsigned *fold_of,
		   adtool_error *err)
{
	size_t *order = ad_rng_order(rng, groups), *sizes = ad_calloc(groups, sizeof(*sizes));
	size_t *filled = ad_calloc(folds, sizeof(*filled)), i;
	unsigned *fold = ad_malloc_array(groups, sizeof(*fold)), k, best;
	int code = order && sizes && filled && fold ? 0 : ad_fail_nomem(err);

	if (code)
		goto out;
	for (i = 0; i < n; i++)
		sizes[group[i]]++;
	for (i = 0; i < groups; i++) {
		best = 0;
		for (k = 1; k < folds; k++)
			if (filled[k] < filled[best])
				best = k;
		fold[order[i]] = best;
		filled[best] += sizes[order[i]];
	}
	for (i = 0; i < n; i++)
		fold_of[i] = fold[group[i]];
out:
	ad_free(order);
	ad_free(sizes);
	ad_free(filled);
	ad_free(fold);
	return code;
}

/* A picture's kind: its label, else the folder it is in. */
struct kind {
	const char *text;
	size_t length, index;
};

static int compare_kinds(const void *a, const void *b)
{
	const struct kind *x = a, *y = b;
	size_t n = x->length < y->length ? x->length : y->length;
	int order = memcmp(x->text, y->text, n);

	if (order)
		return order;
	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static int same_kind(const struct kind *x, const struct kind *y)
{
	return x->length == y->length && !memcmp(x->text, y->text, x->length);
}

int ad_deal_kinds(const struct ad_gathered *pictures, size_t n, unsigned folds, ad_rng *rng, unsigned *fold_of,
		  adtool_error *err)
{
	struct kind *kinds = ad_malloc_array(n, sizeof(*kinds));
	size_t *order = ad_malloc_array(n, sizeof(*order)), i, begin, end;

	if (!kinds || !order) {
		ad_free(kinds);
		ad_free(order);
		return ad_fail_nomem(err);
	}
	for (i = 0; i < n; i++) {
		const char *label = pictures[i].label, *slash = strrchr(pictures[i].name, '/');

		kinds[i] = (struct kind){label, strlen(label), i};
		if (!*label)
			kinds[i] = (struct kind){pictures[i].name, slash ? (size_t)(slash - pictures[i].name) : 0, i};
	}
	if (n)
		qsort(kinds, n, sizeof(*kinds), compare_kinds);
	for (i = 0; i < n; i++)
		order[i] = kinds[i].index;
	for (begin = 0; begin < n; begin = end) {
		for (end = begin + 1; end < n && same_kind(&kinds[begin], &kinds[end]); end++)
			;
		ad_rng_shuffle(rng, order + begin, end - begin);
	}
	/* On from kind to kind, so that small ones do not all end in the first folds. */
	for (i = 0; i < n; i++)
		fold_of[order[i]] = (unsigned)(i % folds);
	ad_free(kinds);
	ad_free(order);
	return 0;
}
