/* Features held in memory, and fits on them: what cross-validation and tuning share. */
#include "pipeline.h"

#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/order.h"
#include "../base/rng.h"

static void gathered_release(struct ad_gathered *p, size_t rows)
{
	size_t i;

	for (i = 0; p->rows && i < rows; i++)
		ad_free_aligned(p->rows[i]);
	ad_free(p->rows);
	ad_free(p->name);
	ad_free(p->label);
	ad_free(p->archive);
}

void ad_gather_release(struct ad_gather *g)
{
	size_t i;

	for (i = 0; i < g->count; i++)
		gathered_release(&g->pictures[i], g->pooled_count);
	ad_free(g->pictures);
	g->pictures = NULL;
	g->count = g->capacity = 0;
	g->held = 0;
}

static int reserve(struct ad_gather *g, adtool_error *err)
{
	size_t capacity = g->capacity ? 2 * g->capacity : 256;
	struct ad_gathered *more;

	if (g->count < g->capacity)
		return 0;
	more = ad_realloc_array(g->pictures, capacity, sizeof(*more));
	if (!more)
		return ad_fail_nomem(err);
	g->pictures = more;
	g->capacity = capacity;
	return 0;
}

size_t ad_pooled_cells(const struct ad_pooled *p)
{
	return p->cells ? p->cells->count : (size_t)p->grid * p->grid;
}

/* maps: of all layers, whole. */
static int pool_rows(struct ad_gather *g, const float *maps, struct ad_gathered *p, adtool_error *err)
{
	size_t i;

	p->rows = ad_calloc(g->pooled_count, sizeof(*p->rows));
	if (!p->rows)
		return ad_fail_nomem(err);
	for (i = 0; i < g->pooled_count; i++) {
		const struct ad_pooled *to = &g->pooled[i];
		const ad_channels *basis = to->basis;
		const size_t *shape = to->shape, cells = ad_pooled_cells(to), channels = basis ? basis->to : shape[0];
		float *pooled = NULL;

		g->held += channels * cells * sizeof(float);
		if (g->held > g->limit)
			return ad_fail(err, ADTOOL_ELIMIT,
				       "the features of %zu pictures take more than the limit of %llu MiB; fewer grids, layers "
				       "or pictures need less",
				       g->count, (unsigned long long)(g->limit >> 20));
		p->rows[i] = ad_malloc_aligned(channels * cells, sizeof(float));
		if (!p->rows[i])
			return ad_fail_nomem(err);
		if (basis || to->cells) {
			pooled = ad_malloc_aligned(shape[0] * to->grid * to->grid, sizeof(float));
			if (!pooled)
				return ad_fail_nomem(err);
		}
		ad_pool_grid(maps + to->offset, shape[0], shape[1], shape[2], to->grid, pooled ? pooled : p->rows[i]);
		if (to->cells)
			ad_cells_keep(to->cells, pooled, shape[0], to->grid, basis ? pooled : p->rows[i]);
		if (basis)
			ad_channels_apply(basis, pooled, cells, p->rows[i]);
		ad_free_aligned(pooled);
	}
	return 0;
}

static int gather_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct ad_gather *g = s->context;
	struct ad_gathered *to;
	adtool_error why;
	int code;

	(void)slot;
	if (!row) {
		ad_fail(&why, p->code, "%s", ad_buf_text(&p->why));
		g->refusals++;
		if (g->refused)
			g->refused(g->context, ad_buf_text(&p->name), &why);
		return 0;
	}
	code = reserve(g, err);
	if (code)
		return code;
	to = &g->pictures[g->count++];
	*to = (struct ad_gathered){.name = ad_strdup(ad_buf_text(&p->name)),
				   .label = ad_strdup(ad_buf_text(&p->label)),
				   .archive = ad_strdup(ad_buf_text(&p->archive)),
				   .width = p->width,
				   .height = p->height};
	if (!to->name || !to->label || !to->archive)
		return ad_fail_nomem(err);
	code = pool_rows(g, row, to, err);
	if (!code && g->progress && g->progress(g->context, "features", g->count, 0))
		code = ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return code;
}

int ad_gather_run(struct ad_gather *g, const char *const *inputs, size_t count,
		  const adtool_dataset_options *dataset_options, adtool_error *err)
{
	struct ad_stream s = {
		.extractor = g->extractor,
		.threads = ad_stream_threads(g->threads),
		.emit = gather_emit,
		.context = g,
	};
	int code = adtool_dataset_open(inputs, count, dataset_options, &s.dataset, err);

	if (!code)
		code = ad_stream_run(&s, err);
	adtool_dataset_free(s.dataset);
	return code;
}

/* Rows are in memory at places that ascend with the order found, but the names decide; equal ones are one picture. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct ad_gathered *)a)->name, ((const struct ad_gathered *)b)->name);
}

void ad_gather_sort(struct ad_gather *g)
{
	size_t i, kept = 0;

	if (!g->count)
		return;
	qsort(g->pictures, g->count, sizeof(*g->pictures), compare_names);
	for (i = 0; i < g->count; i++) {
		if (kept && !strcmp(g->pictures[kept - 1].name, g->pictures[i].name))
			gathered_release(&g->pictures[i], g->pooled_count);
		else
			g->pictures[kept++] = g->pictures[i];
	}
	g->count = kept;
}

/* -- fits -------------------------------------------------------------------------------------------- */

int ad_fit_basis(const float *const *maps, size_t count, size_t channels, size_t cells, size_t keep, uint64_t seed,
		 ad_pool *pool, ad_channels *out, adtool_error *err)
{
	const float **chosen = ad_malloc_array(count, sizeof(*chosen));
	size_t *order, i, n = 0;
	unsigned char *taken = ad_calloc(count, 1);
	ad_rng rng;
	int code;

	ad_rng_seed(&rng, seed);
	order = ad_rng_order(&rng, count);
	if (!chosen || !order || !taken) {
		code = ad_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < count && i < AD_BASIS_PICTURES; i++)
		taken[order[i]] = 1;
	for (i = 0; i < count; i++)
		if (taken[i])
			chosen[n++] = maps[i];
	code = ad_channels_fit(chosen, n, channels, cells, keep, pool, out, err);
out:
	ad_free(chosen);
	ad_free(order);
	ad_free(taken);
	return code;
}

static int decide(struct ad_fit *f, const ad_calibration *c, double alpha, adtool_error *err)
{
	ad_box box;
	int code = ad_box_fit(c->q ? c->q : c->scores, c->n, f->detector.method == ADTOOL_PPCA ? 0.5 : 1,
			      ad_detector_shift(&f->detector), &box, err);

	if (code)
		return code;
	f->calibration = ad_malloc_array(c->n, sizeof(*f->calibration));
	if (!f->calibration)
		return ad_fail_nomem(err);
	memcpy(f->calibration, c->scores, c->n * sizeof(*f->calibration));
	f->n = c->n;
	qsort(f->calibration, f->n, sizeof(*f->calibration), ad_compare_doubles);
	return ad_limit_at(f->calibration, f->n, &box, alpha, &f->limit, err);
}

int ad_fit_rows(const float *const *rows, size_t count, const ad_fit_options *options, ad_pool *pool, struct ad_fit *out,
		adtool_error *err)
{
	ad_fit_options o = *options;
	ad_calibration calibration = {0};
	ad_fitter *fitter = NULL;
	struct ad_fit f = {0};
	size_t i;
	int code;

	o.pictures = count;
	code = ad_fitter_create(&o, &fitter, err);
	for (i = 0; !code && i < count; i++)
		code = ad_fitter_add(fitter, i, rows[i], err);
	if (!code)
		code = ad_fitter_finish(fitter, pool, NULL, NULL, &f.detector, &f.energy_kept, &calibration, err);
	if (!code)
		code = decide(&f, &calibration, o.alpha, err);
	ad_calibration_release(&calibration);
	ad_fitter_free(fitter);
	if (code)
		ad_fit_release(&f);
	else
		*out = f;
	return code;
}

void ad_fit_release(struct ad_fit *f)
{
	ad_detector_release(&f->detector);
	ad_free(f->calibration);
	memset(f, 0, sizeof(*f));
}
