/* What a report page collects while a job runs. */
#include "page.h"

#include <limits.h>
#include <math.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"

static void text_release(page_text *t)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		ad_free(t->cells[i]);
	ad_free(t->cells);
}

/* All of the cells, or none. */
static int text_add(page_text *t, const char *const *cells, size_t n, adtool_error *err)
{
	size_t i, old = t->count;

	if (t->capacity - t->count < n) {
		size_t capacity = 2 * t->capacity + n;
		char **grown = ad_realloc_array(t->cells, capacity, sizeof(*grown));

		if (!grown)
			return ad_fail_nomem(err);
		t->cells = grown;
		t->capacity = capacity;
	}
	for (i = 0; i < n; i++) {
		t->cells[t->count] = ad_strdup(cells[i] ? cells[i] : "");
		if (!t->cells[t->count])
			break;
		t->count++;
	}
	if (i == n)
		return 0;
	while (t->count > old)
		ad_free(t->cells[--t->count]);
	return ad_fail_nomem(err);
}

int adtool_page_create(enum adtool_page_kind kind, const char *dir, adtool_page **out, adtool_error *err)
{
	adtool_page *page = ad_calloc(1, sizeof(*page));
	int code = 0;

	if (!page)
		return ad_fail_nomem(err);
	page->kind = kind;
	page->dir = ad_strdup(dir);
	if (!page->dir)
		code = ad_fail_nomem(err);
	else
		code = ad_mkdirs(dir, err);
	if (code) {
		adtool_page_free(page);
		return code;
	}
	*out = page;
	return 0;
}

static void shown_release(shown_picture *p)
{
	ad_free(p->name);
	ad_free(p->defect);
	ad_buf_release(&p->image);
	ad_buf_release(&p->heat);
}

void adtool_page_free(adtool_page *page)
{
	size_t i, k;

	if (!page)
		return;
	for (k = 0; k < SHOWN_KINDS; k++)
		for (i = 0; i < page->shown[k].count; i++)
			shown_release(&page->shown[k].pictures[i]);
	for (i = 0; i < page->defect_count; i++)
		ad_free(page->defects[i].name);
	ad_free(page->defects);
	for (i = 0; i < page->table_count; i++) {
		ad_free(page->tables[i].heading);
		ad_free(page->tables[i].note);
		text_release(&page->tables[i].text);
	}
	ad_free(page->tables);
	text_release(&page->refused);
	text_release(&page->figures);
	text_release(&page->timings);
	ad_free(page->scores);
	ad_free(page->dir);
	ad_free(page);
}

/* -- rows ---------------------------------------------------------------------------------------------- */

static int find_defect(adtool_page *page, const char *name, unsigned *out, adtool_error *err)
{
	page_defect *grown;
	size_t i;

	for (i = 0; i < page->defect_count; i++)
		if (!strcmp(page->defects[i].name, name))
			break;
	if (i == page->defect_count) {
		grown = ad_realloc_array(page->defects, i + 1, sizeof(*grown));
		if (!grown)
			return ad_fail_nomem(err);
		page->defects = grown;
		page->defects[i] = (page_defect){.name = ad_strdup(name), .auroc = NAN};
		if (!page->defects[i].name)
			return ad_fail_nomem(err);
		page->defect_count++;
	}
	*out = (unsigned)i;
	return 0;
}

int adtool_page_defect(adtool_page *page, const char *defect, double auroc, adtool_error *err)
{
	unsigned i;
	int code = find_defect(page, defect, &i, err);

	if (!code)
		page->defects[i].auroc = auroc;
	return code;
}

int adtool_page_refused(adtool_page *page, const char *name, const char *why, adtool_error *err)
{
	const char *cells[] = {name, why};
	int code = 0;

	if (page->refused.count < 2 * ADTOOL_PAGE_PICTURES)
		code = text_add(&page->refused, cells, 2, err);
	if (!code)
		page->refused_count++;
	return code;
}

static enum shown kind_of(enum adtool_truth truth, int called, int suspect)
{
	switch (truth) {
	case ADTOOL_TRUTH_ANOMALOUS:
		return called ? SHOWN_FOUND : SHOWN_MISS;
	case ADTOOL_TRUTH_NORMAL:
		return called ? SHOWN_FALSE_ALARM : SHOWN_PASSED;
	default:
		return called ? SHOWN_ANOMALOUS : suspect ? SHOWN_SUSPECT : SHOWN_NORMAL;
	}
}

/* Misses: the least noticed first. All others: the highest score first. */
static int worse(enum shown kind, double a, double b)
{
	return kind == SHOWN_MISS ? a < b : a > b;
}

static int show(adtool_page *page, enum shown kind, const adtool_row *row, const char *defect, adtool_error *err)
{
	gallery *g = &page->shown[kind];
	shown_picture p = {
	    .score = row->score, .p = row->p, .width = row->width, .height = row->height, .index = page->count};
	size_t at = g->count;

	g->of++;
	if (!row->thumbnail)
		return 0;
	while (at && worse(kind, row->score, g->pictures[at - 1].score))
		at--;
	if (at == ADTOOL_PAGE_PICTURES)
		return 0;
	p.name = ad_strdup(row->name);
	p.defect = defect ? ad_strdup(defect) : NULL;
	ad_buf_add(&p.image, row->thumbnail, row->thumbnail_size);
	if (row->thumbnail_heat)
		ad_buf_add(&p.heat, row->thumbnail_heat, row->thumbnail_heat_size);
	if (!p.name || (defect && !p.defect) || p.image.failed || p.heat.failed) {
		shown_release(&p);
		return ad_fail_nomem(err);
	}
	if (g->count == ADTOOL_PAGE_PICTURES)
		shown_release(&g->pictures[--g->count]);
	memmove(&g->pictures[at + 1], &g->pictures[at], (g->count - at) * sizeof(p));
	g->pictures[at] = p;
	g->count++;
	return 0;
}

int adtool_page_add(adtool_page *page, const adtool_row *row, enum adtool_truth truth, const char *defect,
		    adtool_error *err)
{
	page_score *s;
	unsigned group = UINT_MAX;
	int code = 0;

	if (row->verdict == ADTOOL_ERROR)
		return adtool_page_refused(page, row->name, row->why ? row->why : adtool_code_string(row->code), err);
	if (page->count == page->capacity) {
		size_t capacity = page->capacity ? 2 * page->capacity : 256;

		s = ad_realloc_array(page->scores, capacity, sizeof(*s));
		if (!s)
			return ad_fail_nomem(err);
		page->scores = s;
		page->capacity = capacity;
	}
	if (truth != ADTOOL_TRUTH_ANOMALOUS)
		defect = NULL;
	if (defect)
		code = find_defect(page, defect, &group, err);
	if (!code)
		code = show(page, kind_of(truth, row->score > row->threshold, row->verdict == ADTOOL_SUSPECT), row,
			    defect, err);
	if (code)
		return code;
	page->scores[page->count++] = (page_score){row->score, truth, group};
	page->normals += truth == ADTOOL_TRUTH_NORMAL;
	page->anomalies += truth == ADTOOL_TRUTH_ANOMALOUS;
	if (defect)
		page->defects[group].count++;
	return 0;
}

/* -- what others add ----------------------------------------------------------------------------------- */

int adtool_page_figure(adtool_page *page, const char *name, const char *value, const char *note, adtool_error *err)
{
	const char *cells[] = {name, value, note};

	return text_add(&page->figures, cells, 3, err);
}

int adtool_page_timing(adtool_page *page, const char *stage, double seconds, adtool_error *err)
{
	char text[32];
	const char *cells[] = {stage, text};

	snprintf(text, sizeof(text), "%.2f", seconds);
	return text_add(&page->timings, cells, 2, err);
}

int adtool_page_table(adtool_page *page, const char *heading, const char *note, const char *const *columns,
		      size_t count, adtool_error *err)
{
	page_table *grown = ad_realloc_array(page->tables, page->table_count + 1, sizeof(*grown));
	page_table t = {.columns = count};

	if (!grown)
		return ad_fail_nomem(err);
	page->tables = grown;
	t.heading = ad_strdup(heading);
	t.note = ad_strdup(note ? note : "");
	if (!t.heading || !t.note || text_add(&t.text, columns, count, err)) {
		ad_free(t.heading);
		ad_free(t.note);
		return ad_fail_nomem(err);
	}
	page->tables[page->table_count++] = t;
	return 0;
}

int adtool_page_table_row(adtool_page *page, const char *const *cells, adtool_error *err)
{
	page_table *t;

	if (!page->table_count)
		return ad_fail(err, ADTOOL_EINVAL, "a row before any table");
	t = &page->tables[page->table_count - 1];
	return text_add(&t->text, cells, t->columns, err);
}

/* -- writing ------------------------------------------------------------------------------------------- */

static int compare_scores(const void *a, const void *b)
{
	double x = ((const page_score *)a)->score, y = ((const page_score *)b)->score;

	return (x > y) - (x < y);
}

static int write_file(const adtool_page *page, const char *name, const ad_buf *text, adtool_error *err)
{
	ad_buf path = {0};
	int code;

	if (ad_buf_printf(&path, "%s/%s", page->dir, name))
		code = ad_fail_nomem(err);
	else
		code =
		    text->failed ? ad_fail_nomem(err) : ad_file_write((char *)path.data, text->data, text->size, err);
	if (code)
		ad_fail_within(err, code, "%s", name);
	ad_buf_release(&path);
	return code;
}

/* The scores that the page is about, ascending: the rows', or those of the calibration. */
static int scores_of(const adtool_page *page, const adtool_page_facts *facts, page_plot *plot, adtool_error *err)
{
	int own = page->kind != ADTOOL_PAGE_TRAIN;
	size_t n = own ? page->count : facts->calibration_count, i;
	page_score *scores = ad_malloc_array(n, sizeof(*scores));

	if (!scores)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++)
		scores[i] = own ? page->scores[i] : (page_score){facts->calibration[i], ADTOOL_TRUTH_NORMAL, UINT_MAX};
	if (n)
		qsort(scores, n, sizeof(*scores), compare_scores);
	*plot = (page_plot){
	    .scores = scores,
	    .count = n,
	    .normals = own ? page->normals : n,
	    .anomalies = page->anomalies,
	    .unknown = own ? n - page->normals - page->anomalies : 0,
	    .threshold = facts->threshold,
	    .has_warning = facts->model->warn_alpha > 0,
	    .warning = facts->model->warn_threshold,
	};
	ad_page_axis_choose(&plot->axis, scores, n, facts->threshold);
	return 0;
}

int adtool_page_write(adtool_page *page, const adtool_page_facts *facts, adtool_error *err)
{
	const adtool_metrics *m = facts->metrics;
	ad_buf text = {0};
	page_plot plot = {0};
	int code = scores_of(page, facts, &plot, err);

	if (code)
		return code;
	ad_page_histogram(&text, &plot, 1);
	code = write_file(page, "hist.svg", &text, err);
	if (!code && m && plot.normals && plot.anomalies) {
		ad_buf_clear(&text);
		ad_page_roc(&text, &plot, m->auroc, 1);
		code = write_file(page, "roc.svg", &text, err);
		if (!code) {
			ad_buf_clear(&text);
			ad_page_pr(&text, &plot, m->average_precision, 1);
			code = write_file(page, "pr.svg", &text, err);
		}
	}
	if (!code) {
		ad_buf_clear(&text);
		code = ad_page_html(page, facts, &plot, &text, err);
	}
	if (!code)
		code = write_file(page, "index.html", &text, err);
	ad_buf_release(&text);
	ad_free((void *)(uintptr_t)plot.scores);
	return code;
}
