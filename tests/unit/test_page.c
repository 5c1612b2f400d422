/* Report pages and regions: what does not need a browser (tests/cli/report.t has one). */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <adtool/image.h>
#include <adtool/page.h>
#include <adtool/region.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/file.h"
#include "../../lib/base/rng.h"
#include "../../lib/image/image.h"
#include "../../lib/report/page.h"
#include "../../lib/report/text.h"

/* -- regions ------------------------------------------------------------------------------------------- */

/* The same by flooding the upsampled map, pixel by pixel. */
static size_t flood(const float *map, unsigned rows, unsigned cols, unsigned w, unsigned h, double level,
		    adtool_region *out, size_t most)
{
	float *up = malloc((size_t)w * h * sizeof(*up));
	size_t *stack = malloc((size_t)w * h * sizeof(*stack)), n = 0, depth, i;

	assert_int_equal(0, adtool_map_upsample(map, rows, cols, w, h, up, NULL));
	for (i = 0; i < (size_t)w * h; i++) {
		unsigned left, right, top, bottom;
		adtool_region r = {.peak = -1};

		if (!(up[i] > (float)level))
			continue;
		assert_true(n < most);
		left = right = (unsigned)(i % w);
		top = bottom = (unsigned)(i / w);
		stack[0] = i;
		depth = 1;
		float first = up[i];
		size_t peak_at = i;
		double peak = (double)first;
		up[i] = -1;
		while (depth) {
			size_t at = stack[--depth];
			unsigned x = (unsigned)(at % w), y = (unsigned)(at / w);

			r.area++;
			left = x < left ? x : left;
			right = x > right ? x : right;
			top = y < top ? y : top;
			bottom = y > bottom ? y : bottom;
			for (int dy = -1; dy <= 1; dy++)
				for (int dx = -1; dx <= 1; dx++) {
					long nx = (long)x + dx, ny = (long)y + dy;

					if (nx < 0 || ny < 0 || nx >= (long)w || ny >= (long)h)
						continue;
					size_t to = (size_t)ny * w + (size_t)nx;
					if (!(up[to] > (float)level))
						continue;
					if ((double)up[to] > peak || ((double)up[to] >= peak && to < peak_at)) {
						peak = (double)up[to];
						peak_at = to;
					}
					up[to] = -1;
					stack[depth++] = to;
				}
		}
		r.x = left;
		r.y = top;
		r.width = right - left + 1;
		r.height = bottom - top + 1;
		r.share = (double)r.area / ((double)w * h);
		r.peak = peak;
		r.peak_x = (unsigned)(peak_at % w);
		r.peak_y = (unsigned)(peak_at / w);
		out[n++] = r;
	}
	free(up);
	free(stack);
	return n;
}

static int order(const void *a, const void *b)
{
	const adtool_region *x = a, *y = b;

	if (x->peak < y->peak || x->peak > y->peak)
		return x->peak < y->peak ? 1 : -1;
	if (x->peak_y != y->peak_y)
		return x->peak_y < y->peak_y ? -1 : 1;
	return (x->peak_x > y->peak_x) - (x->peak_x < y->peak_x);
}

static void regions_are_those_of_a_flood(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {7, 7}, {1, 40}, {40, 1}, {64, 48}, {33, 97}, {200, 3}};
	ad_rng rng;
	size_t s, round;

	(void)state;
	ad_rng_seed(&rng, 5);
	for (s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
		for (round = 0; round < 40; round++) {
			unsigned rows = 1 + (unsigned)(round % 9), cols = 1 + (unsigned)(round / 4 % 9);
			unsigned w = sizes[s][0], h = sizes[s][1];
			adtool_region wanted[4096], *got;
			double level = 0.2 + 0.7 * ad_rng_double(&rng);
			float map[81];
			size_t i, n, count;

			/* Few values, so that peaks are equal now and then. */
			for (i = 0; i < 81; i++)
				map[i] = (float)(floor(5 * ad_rng_double(&rng)) / 4);
			n = flood(map, rows, cols, w, h, level, wanted, 4096);
			qsort(wanted, n, sizeof(*wanted), order);
			assert_int_equal(0, adtool_regions_find(map, rows, cols, w, h, level, &got, &count, NULL));
			assert_int_equal(n, count);
			for (i = 0; i < n; i++) {
				assert_int_equal(wanted[i].x, got[i].x);
				assert_int_equal(wanted[i].y, got[i].y);
				assert_int_equal(wanted[i].width, got[i].width);
				assert_int_equal(wanted[i].height, got[i].height);
				assert_int_equal(wanted[i].area, got[i].area);
				assert_int_equal(wanted[i].peak_x, got[i].peak_x);
				assert_int_equal(wanted[i].peak_y, got[i].peak_y);
				assert_true(fabs(wanted[i].peak - got[i].peak) < 1e-12);
				assert_true(fabs(wanted[i].share - got[i].share) < 1e-12);
			}
			adtool_free(got);
		}
}

static void regions_refuse_what_is_none(void **state)
{
	float map[4] = {0, 1, 2, 3};
	adtool_region *got = (adtool_region *)map;
	size_t count = 7;

	(void)state;
	assert_int_equal(0, adtool_regions_find(map, 2, 2, 8, 8, 3, &got, &count, NULL));
	assert_int_equal(0, count);
	assert_null(got);
	assert_int_equal(ADTOOL_EINVAL, adtool_regions_find(map, 2, 2, 8, 8, NAN, &got, &count, NULL));
	assert_int_equal(ADTOOL_EINVAL, adtool_regions_find(map, 2, 2, 8, 8, -1, &got, &count, NULL));
	assert_int_equal(ADTOOL_EINVAL, adtool_regions_find(map, 2, 2, 0, 8, 1, &got, &count, NULL));
	map[1] = NAN;
	assert_int_equal(ADTOOL_ENUMERIC, adtool_regions_find(map, 2, 2, 8, 8, 1, &got, &count, NULL));
}

/* -- pieces -------------------------------------------------------------------------------------------- */

static void html_is_escaped(void **state)
{
	static const char *const cases[][2] = {
	    {"plain.png", "plain.png"},
	    {"<img src=x onerror=alert(1)>.png", "&lt;img src=x onerror=alert(1)&gt;.png"},
	    {"a\"b'c&d", "a&quot;b&#39;c&amp;d"},
	    {"tab\tline\n\x7f", "tab\xef\xbf\xbdline\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"},
	    {"\xc2\x85<", "\xef\xbf\xbd&lt;"},
	    {"\xe2\x80<", "\xef\xbf\xbd&lt;"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ad_buf b = {0};

		ad_text_html(&b, cases[i][0]);
		assert_string_equal(cases[i][1], (char *)b.data);
		ad_buf_release(&b);
	}
}

/* Quantiles of Student's t, 99 % two-sided, of the usual printed tables. */
static void the_interval_is_students(void **state)
{
	static const struct {
		size_t n;
		double t;
	} table[] = {{2, 63.657}, {3, 9.925},  {4, 5.841},   {6, 4.032},
		     {11, 3.169}, {31, 2.750}, {121, 2.617}, {3000, 2.577}};
	size_t k, i;

	(void)state;
	for (k = 0; k < sizeof(table) / sizeof(*table); k++) {
		size_t n = table[k].n;
		page_score *s = calloc(n + 1, sizeof(*s));
		double sum = 0, squares = 0;

		for (i = 0; i < n; i++) {
			s[i].score = (double)(i * 7 % 5) + (double)i / (double)n;
			sum += s[i].score;
		}
		for (i = 0; i < n; i++)
			squares += pow(s[i].score - sum / (double)n, 2);
		s[n] = (page_score){1e9, ADTOOL_TRUTH_ANOMALOUS, 0};
		page_mean m = ad_page_mean_of(s, n + 1, ADTOOL_TRUTH_NORMAL);
		double error = sqrt(squares / (double)(n - 1) / (double)n);

		assert_int_equal(n, m.count);
		assert_true(fabs(m.mean - sum / (double)n) < 1e-9);
		assert_true(fabs(m.half / error - table[k].t) < 6e-4);
		free(s);
	}
}

static void the_axis_holds_every_score(void **state)
{
	static const double ranges[][3] = {{0, 0, 0},       {5, 5, 5},     {-3, 8, 2},        {1e-9, 1e9, 1},
					   {-1e308, 1e308, 0}, {1, 2, 1e300}, {3, 3, -1e-300}, {0, 1e-320, 0},
					   {1e-308, 1e308, 1}, {1e-323, 1e-10, 1e-323}, {1, 1.7e308, 1}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		page_score s[2] = {{ranges[i][0], ADTOOL_TRUTH_NORMAL, 0}, {ranges[i][1], ADTOOL_TRUTH_ANOMALOUS, 0}};
		page_plot plot = {.scores = s, .count = 2, .normals = 1, .anomalies = 1, .threshold = ranges[i][2]};
		ad_buf b = {0};

		ad_page_axis_choose(&plot.axis, s, 2, plot.threshold);
		assert_true(plot.axis.low < plot.axis.high);
		assert_true(plot.axis.low <= s[0].score && plot.axis.high >= s[1].score);
		assert_true(plot.axis.low <= plot.threshold && plot.axis.high >= plot.threshold);
		assert_true(isfinite(plot.axis.low) && isfinite(plot.axis.high));
		assert_true(!plot.axis.logarithmic || plot.axis.low > 0);
		ad_page_histogram(&b, &plot, 1);
		ad_page_roc(&b, &plot, 1, 1);
		ad_page_pr(&b, &plot, 1, 1);
		assert_false(b.failed);
		assert_null(strstr((char *)b.data, "nan"));
		assert_null(strstr((char *)b.data, "inf"));
		assert_true(b.size < 60000);
		ad_buf_release(&b);
	}
}

/* However many pictures: a curve is no finer than its drawing. */
static void curves_stay_small(void **state)
{
	enum { MANY = 200000 };
	page_score *s = calloc(MANY, sizeof(*s));
	page_plot plot = {.scores = s, .count = MANY, .threshold = 0.5, .axis = {0, 1, 0}};
	ad_buf b = {0};
	ad_rng rng;
	size_t i;

	(void)state;
	ad_rng_seed(&rng, 1);
	for (i = 0; i < MANY; i++) {
		int anomalous = ad_rng_double(&rng) < (double)i / MANY;

		s[i] = (page_score){(double)i / MANY, anomalous, 0};
		plot.anomalies += (size_t)anomalous;
		plot.normals += !anomalous;
	}
	ad_page_histogram(&b, &plot, 0);
	ad_page_roc(&b, &plot, 0.8, 0);
	ad_page_pr(&b, &plot, 0.8, 0);
	assert_true(b.size < 200000);
	ad_buf_release(&b);
	free(s);
}

/* -- thumbnails ---------------------------------------------------------------------------------------- */

static void thumbnails_keep_the_proportions(void **state)
{
	static const unsigned sizes[][4] = {{640, 480, 320, 240}, {480, 640, 240, 320}, {10, 10, 80, 80},
					    {1, 1, 8, 8},         {2000, 1, 320, 1},    {320, 320, 320, 320}};
	float map[4] = {0, 1, 2, 3};
	ad_heat heat = {map, 2, 2, 1, NULL};
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		adtool_image *image, *back;

		assert_int_equal(0, adtool_image_create(sizes[i][0], sizes[i][1], &image, NULL));
		memset(adtool_image_pixels(image), 120, (size_t)3 * sizes[i][0] * sizes[i][1]);
		for (k = 0; k < 2; k++) {
			ad_buf b = {0};

			assert_int_equal(0, ad_image_thumbnail(image, k ? &heat : NULL, 320, &b, NULL));
			assert_int_equal(0, adtool_image_decode(b.data, b.size, 0, &back, NULL));
			assert_int_equal(sizes[i][2], adtool_image_width(back));
			assert_int_equal(sizes[i][3], adtool_image_height(back));
			if (!k)
				assert_in_range(adtool_image_pixels(back)[1], 118, 122);
			adtool_image_free(back);
			ad_buf_release(&b);
		}
		adtool_image_free(image);
	}
}

/* -- the page ------------------------------------------------------------------------------------------ */

static char *folder_of(char *template)
{
	assert_non_null(mkdtemp(template));
	return template;
}

static size_t occurrences(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text += strlen(what);
	}
	return n;
}

static void remove_files(const char *dir)
{
	static const char *const names[] = {"index.html", "hist.svg", "roc.svg", "pr.svg"};
	char path[256];
	size_t i;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	assert_int_equal(0, rmdir(dir));
}

static void a_page_shows_the_worst_within_its_limit(void **state)
{
	enum { MANY = 500 };
	char template[] = "/tmp/adtool-page.XXXXXX", *dir = folder_of(template), path[256], wanted[64];
	adtool_model_info info = {.backbone_name = "<b>&", .method = ADTOOL_FRE};
	adtool_page_facts facts = {.model = &info, .threshold = 100, .rule = ADTOOL_RULE_VALUE};
	static const char jpeg[] = "not really";
	adtool_page *page;
	ad_buf html = {0};
	size_t i;

	(void)state;
	assert_int_equal(0, adtool_page_create(ADTOOL_PAGE_EVAL, dir, &page, NULL));
	for (i = 0; i < MANY; i++) {
		char name[32];
		adtool_row row = {.name = name, .score = (double)(i * 37 % MANY), .threshold = 100, .thumbnail = jpeg,
				  .thumbnail_size = sizeof(jpeg)};

		snprintf(name, sizeof(name), "n%zu.png", i * 37 % MANY);
		row.verdict = row.score > 100 ? ADTOOL_ANOMALOUS : ADTOOL_NORMAL;
		assert_int_equal(0, adtool_page_add(page, &row, ADTOOL_TRUTH_ANOMALOUS, "kind<", NULL));
		row = (adtool_row){.name = "<bad>", .verdict = ADTOOL_ERROR, .why = "<why>"};
		assert_int_equal(0, adtool_page_add(page, &row, ADTOOL_TRUTH_UNKNOWN, NULL, NULL));
	}
	assert_int_equal(0, adtool_page_figure(page, "a<b", "1<2", NULL, NULL));
	assert_int_equal(0, adtool_page_write(page, &facts, NULL));
	adtool_page_free(page);
	snprintf(path, sizeof(path), "%s/index.html", dir);
	assert_int_equal(0, ad_file_read(path, 1 << 20, &html, NULL));
	assert_int_equal(2 * ADTOOL_PAGE_PICTURES, occurrences((char *)html.data, "<li class=\"card\""));
	/* The misses with the least scores, the found with the highest. */
	for (i = 0; i < ADTOOL_PAGE_PICTURES; i++) {
		snprintf(wanted, sizeof(wanted), "<bdi class=\"name\">n%zu.png<", i);
		assert_int_equal(1, occurrences((char *)html.data, wanted));
		snprintf(wanted, sizeof(wanted), "<bdi class=\"name\">n%zu.png<", MANY - 1 - i);
		assert_int_equal(1, occurrences((char *)html.data, wanted));
	}
	assert_int_equal(ADTOOL_PAGE_PICTURES, occurrences((char *)html.data, "&lt;bad&gt;"));
	assert_non_null(strstr((char *)html.data, "The first 48 of 500 pictures"));
	assert_non_null(strstr((char *)html.data, "kind&lt;"));
	assert_non_null(strstr((char *)html.data, "&lt;b&gt;&amp;"));
	assert_non_null(strstr((char *)html.data, "a&lt;b"));
	assert_null(strstr((char *)html.data, "<bad>"));
	ad_buf_release(&html);
	remove_files(dir);
}

static void read_page(const char *dir, ad_buf *html)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/index.html", dir);
	ad_buf_clear(html);
	assert_int_equal(0, ad_file_read(path, 1 << 20, html, NULL));
}

/* Scores 0 .. 9, suspect above 5, anomalous above 7: 6 pictures, 2, and 2. */
static void what_is_suspect_is_called_so(void **state)
{
	char template[] = "/tmp/adtool-page.XXXXXX", *dir = folder_of(template);
	adtool_model_info info = {.method = ADTOOL_FRE, .warn_alpha = 0.3, .warn_threshold = 5};
	adtool_page_facts facts = {.model = &info, .threshold = 7, .rule = ADTOOL_RULE_VALUE};
	adtool_page *page;
	ad_buf html = {0};
	int truth, i;

	(void)state;
	for (truth = ADTOOL_TRUTH_UNKNOWN; truth <= ADTOOL_TRUTH_ANOMALOUS; truth++) {
		assert_int_equal(
		    0, adtool_page_create(truth == ADTOOL_TRUTH_UNKNOWN ? ADTOOL_PAGE_SCORE : ADTOOL_PAGE_EVAL, dir,
					  &page, NULL));
		for (i = 0; i < 10; i++) {
			adtool_row row = {
			    .name = "x", .score = i, .threshold = 7, .thumbnail = "jpeg", .thumbnail_size = 4};

			row.verdict = i > 7 ? ADTOOL_ANOMALOUS : i > 5 ? ADTOOL_SUSPECT : ADTOOL_NORMAL;
			assert_int_equal(0, adtool_page_add(page, &row, (enum adtool_truth)truth, NULL, NULL));
		}
		info.warn_alpha = 0.3;
		assert_int_equal(0, adtool_page_write(page, &facts, NULL));
		read_page(dir, &html);
		const char *text = (char *)html.data;
		assert_int_equal(2, occurrences(text, "class=\"badge warn\""));
		assert_non_null(strstr(text, truth == ADTOOL_TRUTH_UNKNOWN  ? "id=\"u-suspect\">2<"
					     : truth == ADTOOL_TRUTH_NORMAL ? "id=\"n-suspect\">2<"
									    : "id=\"a-suspect\">2<"));
		assert_non_null(strstr(text, truth == ADTOOL_TRUTH_UNKNOWN  ? "id=\"u-no\">6<"
					     : truth == ADTOOL_TRUTH_NORMAL ? "id=\"n-no\">6<"
									    : "id=\"a-no\">6<"));
		assert_int_equal(truth == ADTOOL_TRUTH_UNKNOWN, occurrences(text, "<h3>Suspect <span"));
		assert_int_equal(1, occurrences(text, "<line class=\"warning\""));
		if (truth == ADTOOL_TRUTH_UNKNOWN) {
			adtool_page_free(page);
			continue;
		}
		/* A model without a second limit says nothing of one. */
		info.warn_alpha = 0;
		assert_int_equal(0, adtool_page_write(page, &facts, NULL));
		read_page(dir, &html);
		text = (char *)html.data;
		assert_null(strstr(text, "class=\"badge warn\""));
		assert_null(strstr(text, "-suspect\">"));
		assert_null(strstr(text, "<line class=\"warning\""));
		adtool_page_free(page);
	}
	ad_buf_release(&html);
	remove_files(dir);
}

static void intervals_stand_below_their_figures(void **state)
{
	static const adtool_interval auroc = {0.875, 0.9375}, ap = {0.75, 0.8125};
	char template[] = "/tmp/adtool-page.XXXXXX", *dir = folder_of(template);
	adtool_model_info info = {.method = ADTOOL_FRE};
	adtool_metrics metrics = {.auroc = 0.9, .average_precision = 0.8};
	adtool_page_facts facts = {.model = &info, .threshold = 1, .rule = ADTOOL_RULE_VALUE, .metrics = &metrics};
	adtool_page *page;
	ad_buf html = {0};

	(void)state;
	assert_int_equal(0, adtool_page_create(ADTOOL_PAGE_EVAL, dir, &page, NULL));
	assert_int_equal(0, adtool_page_write(page, &facts, NULL));
	read_page(dir, &html);
	assert_null(strstr((char *)html.data, "95 % interval"));
	facts.auroc_interval = &auroc;
	facts.ap_interval = &ap;
	assert_int_equal(0, adtool_page_write(page, &facts, NULL));
	read_page(dir, &html);
	assert_non_null(
	    strstr((char *)html.data, ">0.9000</span><span class=\"note\">95 % interval 0.8750 to 0.9375<"));
	assert_non_null(
	    strstr((char *)html.data, ">0.8000</span><span class=\"note\">95 % interval 0.7500 to 0.8125<"));
	adtool_page_free(page);
	ad_buf_release(&html);
	remove_files(dir);
}

static void a_page_without_rows_is_a_page(void **state)
{
	char template[] = "/tmp/adtool-page.XXXXXX", *dir = folder_of(template);
	adtool_model_info info = {.method = ADTOOL_PPCA};
	adtool_page_facts facts = {.model = &info, .threshold = NAN, .rule = ADTOOL_RULE_CONFORMAL};
	adtool_page *page;
	adtool_error err;
	int kind;

	(void)state;
	for (kind = ADTOOL_PAGE_TRAIN; kind <= ADTOOL_PAGE_EVAL; kind++) {
		assert_int_equal(0, adtool_page_create((enum adtool_page_kind)kind, dir, &page, NULL));
		assert_int_equal(0, adtool_page_write(page, &facts, NULL));
		adtool_page_free(page);
	}
	remove_files(dir);
	assert_int_equal(ADTOOL_EIO, adtool_page_create(ADTOOL_PAGE_EVAL, "/dev/null/x", &page, &err));
	adtool_page_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(regions_are_those_of_a_flood),
	    cmocka_unit_test(regions_refuse_what_is_none),
	    cmocka_unit_test(html_is_escaped),
	    cmocka_unit_test(the_interval_is_students),
	    cmocka_unit_test(the_axis_holds_every_score),
	    cmocka_unit_test(curves_stay_small),
	    cmocka_unit_test(thumbnails_keep_the_proportions),
	    cmocka_unit_test(a_page_shows_the_worst_within_its_limit),
	    cmocka_unit_test(what_is_suspect_is_called_so),
	    cmocka_unit_test(intervals_stand_below_their_figures),
	    cmocka_unit_test(a_page_without_rows_is_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
