/*
 * Plots as SVG. Their colours are classes, so that a page can draw them light or dark; a file of its own brings
 * the classes along.
 */
#include "page.h"

#include <math.h>

#include "text.h"

/* Scores that span more than this factor are drawn on a logarithmic axis. */
#define LOG_FROM 8.0

enum { BINS_LEAST = 12, BINS_MOST = 40 };

/* Height of the line below a histogram that stands alone, which says what is what. */
enum { KEY = 30 };

const page_frame ad_page_wide = {960, 330, 52, 944, 34, 278};
const page_frame ad_page_square = {460, 420, 56, 444, 18, 366};

static const char alone_style[] =
    "<style>text{font:13px system-ui,sans-serif;fill:#5b6675}.paper{fill:#fff}.grid{stroke:#dfe3e9}"
    ".axis{stroke:#8a94a3;fill:none}.n{fill:#2f6db3;stroke:#2f6db3}.a{fill:#cf4a2a;stroke:#cf4a2a}"
    ".u{fill:#5b6675;stroke:#5b6675}.bars{fill-opacity:.32;stroke-width:1.25}.band{fill-opacity:.13;stroke:none}"
    ".mean{stroke-width:1.5;stroke-dasharray:5 3}.curve{fill:none;stroke:#2f6db3;stroke-width:2}"
    ".under{fill:#2f6db3;fill-opacity:.1;stroke:none}.chance{stroke:#8a94a3;stroke-dasharray:4 4}"
    ".warning{stroke:#8f5f00;stroke-width:1.5;stroke-dasharray:1.5 3}.cut{stroke:#1b2330;stroke-width:2}"
    ".cut-text,.mark{fill:#1b2330}.mark{stroke:#fff;stroke-width:2}.key{fill:#"
    "1b2330}"
    "@media(prefers-color-scheme:dark){text{fill:#98a2b0}.paper{fill:#1a1f27}.grid{stroke:#2c333e}"
    ".n{fill:#6ba6e8;stroke:#6ba6e8}.a{fill:#f2865e;stroke:#f2865e}.u{fill:#98a2b0;stroke:#98a2b0}"
    ".curve{stroke:#6ba6e8}.under{fill:#6ba6e8}.warning{stroke:#e0ac3f}.cut{stroke:#e6e9ee}"
    ".cut-text,.mark,.key{fill:#e6e9ee}.mark{stroke:#"
    "1a1f27}}"
    "</style>";

/* -- the axis ------------------------------------------------------------------------------------------ */

void ad_page_axis_choose(page_axis *axis, const page_score *scores, size_t count, double threshold)
{
	double low = count ? scores[0].score : threshold, high = count ? scores[count - 1].score : threshold, pad;

	if (isfinite(threshold)) {
		low = threshold < low ? threshold : low;
		high = threshold > high ? threshold : high;
	}
	if (!(low < high)) {
		pad = fabs(low) > 0 ? 0.5 * fabs(low) : 1;
		*axis = (page_axis){low - pad, high + pad, 0};
		return;
	}
	if (low > 0 && high / low > LOG_FROM) {
		pad = 0.03 * log(high / low);
		*axis = (page_axis){low * exp(-pad), high * exp(pad), 1};
		if (axis->low > 0 && isfinite(axis->high / axis->low))
			return;
	}
	/* Halves, so that even the widest range of doubles has a width. */
	pad = 0.06 * (0.5 * high - 0.5 * low);
	*axis = (page_axis){low - pad, high + pad, 0};
	if (!isfinite(axis->low) || !isfinite(axis->high))
		*axis = (page_axis){low, high, 0};
}

/* 0 .. 1 */
static double axis_at(const page_axis *axis, double value)
{
	double t;

	if (axis->logarithmic)
		t = value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : 0;
	else
		t = (0.5 * value - 0.5 * axis->low) / (0.5 * axis->high - 0.5 * axis->low);
	return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* -- mean and interval --------------------------------------------------------------------------------- */

/* P(|t| <= x) of Student's t with n degrees of freedom (Abramowitz & Stegun 26.7.3, 26.7.4). */
static double student_within(double x, size_t n)
{
	double theta = atan(x / sqrt((double)n)), c = cos(theta), term, sum = 0;
	size_t i;

	if (n % 2) {
		term = c;
		for (i = 3; i <= n; i += 2) {
			sum += term;
			term *= c * c * (double)(i - 1) / (double)i;
		}
		return 2 / acos(-1) * (theta + sin(theta) * sum);
	}
	term = 1;
	for (i = 2; i <= n; i += 2) {
		sum += term;
		term *= c * c * (double)(i - 1) / (double)i;
	}
	return sin(theta) * sum;
}

/* The x within whose reach 99 % lie. */
static double student_99(size_t n)
{
	double low = 2.5, high = 64;
	int i;

	if (n > 2000)
		return 2.5758 + 4.9 / (double)n; /* the normal limit, and its first correction */
	for (i = 0; i < 60; i++) {
		double middle = 0.5 * (low + high);

		if (student_within(middle, n) < 0.99)
			low = middle;
		else
			high = middle;
	}
	return 0.5 * (low + high);
}

page_mean ad_page_mean_of(const page_score *scores, size_t count, int truth)
{
	page_mean m = {0, NAN, NAN};
	double sum = 0, squares = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (scores[i].truth == truth) {
			m.count++;
			sum += scores[i].score;
		}
	if (!m.count)
		return m;
	m.mean = sum / (double)m.count;
	for (i = 0; i < count; i++)
		if (scores[i].truth == truth)
			squares += (scores[i].score - m.mean) * (scores[i].score - m.mean);
	if (m.count > 1)
		m.half = student_99(m.count - 1) * sqrt(squares / (double)(m.count - 1) / (double)m.count);
	return m;
}

/* -- pieces -------------------------------------------------------------------------------------------- */

static void number(ad_buf *b, const char *before, double value)
{
	ad_buf_puts(b, before);
	ad_text_fixed(b, value, 1);
}

static void begin(ad_buf *b, const page_frame *f, const char *id, const char *title, int alone)
{
	ad_buf_puts(b, "<svg ");
	if (alone)
		ad_buf_puts(b, "xmlns=\"http://www.w3.org/2000/svg\" ");
	ad_buf_printf(b, "viewBox=\"0 0 %d %d\" ", (int)f->width, (int)f->height);
	if (alone)
		ad_buf_printf(b, "width=\"%d\" height=\"%d\" ", (int)f->width, (int)f->height);
	ad_buf_printf(
	    b, "class=\"plot\" id=\"%s\" role=\"img\" aria-labelledby=\"%s-title\"><title id=\"%s-title\">%s</title>\n",
	    id, id, id, title);
	if (alone) {
		ad_buf_puts(b, alone_style);
		ad_buf_puts(b, "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
	}
}

static void line(ad_buf *b, const char *class, double x1, double y1, double x2, double y2)
{
	ad_buf_printf(b, "<line class=\"%s\"", class);
	number(b, " x1=\"", x1);
	number(b, "\" y1=\"", y1);
	number(b, "\" x2=\"", x2);
	number(b, "\" y2=\"", y2);
	ad_buf_puts(b, "\"/>\n");
}

static void text_begin(ad_buf *b, double x, double y, const char *anchor, const char *more)
{
	number(b, "<text x=\"", x);
	number(b, "\" y=\"", y);
	ad_buf_printf(b, "\" text-anchor=\"%s\"%s>", anchor, more);
}

static void label(ad_buf *b, double x, double y, const char *anchor, const char *more, const char *text)
{
	text_begin(b, x, y, anchor, more);
	ad_buf_puts(b, text);
	ad_buf_puts(b, "</text>\n");
}

static double across(const page_frame *f, double t)
{
	return f->left + t * (f->right - f->left);
}

static double up(const page_frame *f, double t)
{
	return f->bottom - t * (f->bottom - f->top);
}

/* minor: not shown where the page is narrow (page.css). */
static void tick(ad_buf *b, const page_frame *f, const page_axis *axis, double value, int minor)
{
	double x = across(f, axis_at(axis, value));

	line(b, "axis", x, f->bottom, x, f->bottom + 5);
	text_begin(b, x, f->bottom + 20, "middle", minor ? " class=\"minor\"" : "");
	ad_text_short(b, fabs(value) < 1e-12 * (fabs(axis->low) + fabs(axis->high)) ? 0 : value, 5);
	ad_buf_puts(b, "</text>\n");
}

/* 1, 2 or 5 times a power of ten, so that `range` has at most `most` of them. */
static double nice_step(double range, int most)
{
	double step = pow(10, floor(log10(range / most)));

	if (range / step <= most)
		return step;
	if (range / (2 * step) <= most)
		return 2 * step;
	return range / (5 * step) <= most ? 5 * step : 10 * step;
}

static void score_ticks(ad_buf *b, const page_frame *f, const page_axis *axis)
{
	static const double dense[] = {1, 1.5, 2, 3, 4, 5, 6, 8}, sparse[] = {1, 2, 5};
	const double *marks;
	double decades, step, first, value;
	int i, k, n, every;

	if (!axis->logarithmic) {
		step = nice_step(axis->high - axis->low, 10);
		first = ceil(axis->low / step);
		if (!isfinite(step) || !isfinite(first) || !(step > 0))
			return;
		for (i = 0; i <= 10 && (first + i) * step <= axis->high; i++)
			tick(b, f, axis, (first + i) * step, i % 2);
		return;
	}
	decades = log10(axis->high / axis->low);
	every = (int)ceil(decades / 10);
	n = decades < 1.6 ? 8 : decades < 4 ? 3 : 1;
	marks = n == 8 ? dense : sparse;
	for (k = (int)floor(log10(axis->low)); k <= (int)ceil(log10(axis->high)); k += every)
		for (i = 0; i < n; i++) {
			value = marks[i] * pow(10, k);
			if (value >= axis->low && value <= axis->high)
				tick(b, f, axis, value,
				     decades < 1.6 && dense[i] != 1 && dense[i] != 2 && dense[i] != 5);
		}
}

/* -- histogram ----------------------------------------------------------------------------------------- */

static const struct {
	int truth;
	const char *class;
} kinds[] = {{ADTOOL_TRUTH_UNKNOWN, "u"}, {ADTOOL_TRUTH_NORMAL, "n"}, {ADTOOL_TRUTH_ANOMALOUS, "a"}};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

typedef struct bins {
	size_t n;
	size_t of[KINDS][BINS_MOST], total[KINDS];
	double highest; /* share of its kind that the fullest bin holds */
} bins;

static void bins_count(bins *h, const page_plot *p)
{
	size_t i, k;

	memset(h, 0, sizeof(*h));
	h->n = (size_t)(1.6 * sqrt((double)p->count));
	h->n = h->n < BINS_LEAST ? BINS_LEAST : h->n > BINS_MOST ? BINS_MOST : h->n;
	for (i = 0; i < p->count; i++) {
		size_t at = (size_t)(axis_at(&p->axis, p->scores[i].score) * (double)h->n);

		k = (size_t)(p->scores[i].truth - ADTOOL_TRUTH_UNKNOWN);
		h->of[k][at < h->n ? at : h->n - 1]++;
		h->total[k]++;
	}
	for (k = 0; k < KINDS; k++)
		for (i = 0; i < h->n; i++) {
			double share = h->total[k] ? (double)h->of[k][i] / (double)h->total[k] : 0;

			h->highest = share > h->highest ? share : h->highest;
		}
}

static void bars(ad_buf *b, const page_frame *f, const bins *h, size_t k, double top)
{
	double x, y, before = f->bottom;
	size_t i;

	ad_buf_printf(b, "<path class=\"bars %s", kinds[k].class);
	number(b, "\" d=\"M", f->left);
	number(b, " ", f->bottom);
	for (i = 0; i < h->n; i++) {
		x = across(f, (double)(i + 1) / (double)h->n);
		y = up(f, (double)h->of[k][i] / (double)h->total[k] / top);
		if (y < before || y > before)
			number(b, "V", y);
		number(b, "H", x);
		before = y;
	}
	number(b, "V", f->bottom);
	ad_buf_puts(b, "Z\"/>\n");
}

static void mean_and_interval(ad_buf *b, const page_frame *f, const page_plot *p, size_t k)
{
	page_mean m = ad_page_mean_of(p->scores, p->count, kinds[k].truth);
	char class[16];
	double x;

	if (!isfinite(m.mean))
		return;
	if (isfinite(m.half)) {
		double from = across(f, axis_at(&p->axis, m.mean - m.half));
		double to = across(f, axis_at(&p->axis, m.mean + m.half));

		ad_buf_printf(b, "<rect class=\"band %s\"", kinds[k].class);
		number(b, " x=\"", from);
		number(b, "\" y=\"", f->top);
		number(b, "\" width=\"", to - from < 0.5 ? 0.5 : to - from);
		number(b, "\" height=\"", f->bottom - f->top);
		ad_buf_puts(b, "\"/>\n");
	}
	x = across(f, axis_at(&p->axis, m.mean));
	snprintf(class, sizeof(class), "mean %s", kinds[k].class);
	line(b, class, x, f->top, x, f->bottom);
}

static void threshold_line(ad_buf *b, const page_frame *f, const page_plot *p)
{
	double x = across(f, axis_at(&p->axis, p->threshold));

	number(b, "<g id=\"cut\" transform=\"translate(", x);
	ad_buf_puts(b, " 0)\">\n");
	line(b, "cut", 0, f->top - 6, 0, f->bottom);
	ad_buf_puts(b, "<path class=\"grip\" fill=\"none\"");
	number(b, " d=\"M-14 ", f->top - 6);
	number(b, "h28V", f->bottom);
	ad_buf_puts(b, "h-28Z\"/>\n<circle class=\"mark\" cx=\"0\"");
	number(b, " cy=\"", f->top - 6);
	ad_buf_puts(b, "\" r=\"7\"/>\n");
	/* The text stands where there is room for it. */
	text_begin(b, x > f->width / 2 ? -14 : 14, f->top - 14, x > f->width / 2 ? "end" : "start",
		   " class=\"cut-text\" id=\"cut-text\"");
	ad_buf_puts(b, "threshold ");
	ad_text_short(b, p->threshold, 5);
	ad_buf_puts(b, "</text>\n</g>\n");
}

/* A file of its own has no page around it that says what is what. */
static void key(ad_buf *b, const page_frame *f, const page_plot *p)
{
	static const char *const names[KINDS] = {"all", "normal", "anomalous"};
	double x = f->left + 6;
	size_t k;

	for (k = 0; k < KINDS; k++) {
		page_mean m = ad_page_mean_of(p->scores, p->count, kinds[k].truth);

		if (!m.count)
			continue;
		ad_buf_printf(b, "<rect class=\"%s\"", kinds[k].class);
		number(b, " x=\"", x);
		number(b, "\" y=\"", f->height - 14);
		ad_buf_puts(b, "\" width=\"10\" height=\"10\"/>\n");
		text_begin(b, x + 16, f->height - 5, "start", " class=\"key\"");
		ad_buf_printf(b, "%s, %zu: mean ", names[k], m.count);
		ad_text_short(b, m.mean, 4);
		if (isfinite(m.half)) {
			ad_buf_puts(b, ", its 99 % interval ");
			ad_text_short(b, m.mean - m.half, 4);
			ad_buf_puts(b, " to ");
			ad_text_short(b, m.mean + m.half, 4);
		}
		ad_buf_puts(b, "</text>\n");
		x += 430;
	}
}

void ad_page_histogram(ad_buf *b, const page_plot *p, int alone)
{
	page_frame whole = ad_page_wide;
	const page_frame *f = &whole;
	double top, step, share;
	bins h;
	size_t k;

	whole.height += alone ? KEY : 0;
	bins_count(&h, p);
	step = nice_step(h.highest > 0 ? h.highest : 1, 5);
	top = step * ceil((h.highest > 0 ? h.highest : 1) / step - 1e-9);
	begin(b, f, "hist", "Histogram of the scores", alone);
	for (share = 0; share <= top + 1e-9; share += step) {
		line(b, share > 0 ? "grid" : "axis", f->left, up(f, share / top), f->right, up(f, share / top));
		text_begin(b, f->left - 8, up(f, share / top) + 4, "end", "");
		ad_text_short(b, 100 * share, 3);
		ad_buf_puts(b, " %</text>\n");
	}
	score_ticks(b, f, &p->axis);
	label(b, f->right, f->bottom + 38, "end", " class=\"scores\"",
	      p->axis.logarithmic ? "score (logarithmic)" : "score");
	for (k = 0; k < KINDS; k++)
		if (h.total[k])
			bars(b, f, &h, k, top);
	for (k = 0; k < KINDS; k++)
		mean_and_interval(b, f, p, k);
	if (p->has_warning && p->warning >= p->axis.low && p->warning <= p->axis.high) {
		double x = across(f, axis_at(&p->axis, p->warning));

		line(b, "warning", x, f->top, x, f->bottom);
	}
	if (isfinite(p->threshold))
		threshold_line(b, f, p);
	if (alone)
		key(b, f, p);
	ad_buf_puts(b, "</svg>\n");
}

/* -- ROC and precision-recall -------------------------------------------------------------------------- */

static void unit_axes(ad_buf *b, const page_frame *f, const char *x, const char *y)
{
	char turned[64];
	int i;

	for (i = 0; i <= 5; i++) {
		double t = i / 5.0;

		line(b, i ? "grid" : "axis", f->left, up(f, t), f->right, up(f, t));
		line(b, i ? "grid" : "axis", across(f, t), f->top, across(f, t), f->bottom);
		text_begin(b, f->left - 8, up(f, t) + 4, "end", "");
		ad_text_fixed(b, t, 1);
		ad_buf_puts(b, "</text>\n");
		text_begin(b, across(f, t), f->bottom + 20, "middle", "");
		ad_text_fixed(b, t, 1);
		ad_buf_puts(b, "</text>\n");
	}
	label(b, across(f, 0.5), f->bottom + 42, "middle", "", x);
	snprintf(turned, sizeof(turned), " transform=\"rotate(-90 14 %d)\"", (int)up(f, 0.5));
	label(b, 14, up(f, 0.5), "middle", turned, y);
}

/* A path that passes over points which cannot be told from the last one. */
typedef struct track {
	ad_buf *out;
	double x, y;
	int down;
} track;

static void draw_to(track *p, double x, double y)
{
	if (p->down && fabs(x - p->x) < 0.2 && fabs(y - p->y) < 0.2)
		return;
	number(p->out, p->down ? "L" : "M", x);
	number(p->out, " ", y);
	p->x = x;
	p->y = y;
	p->down = 1;
}

static void mark(ad_buf *b, const char *id, double x, double y)
{
	ad_buf_printf(b, "<circle class=\"mark\" id=\"%s\"", id);
	number(b, " cx=\"", x);
	number(b, "\" cy=\"", y);
	ad_buf_puts(b, "\" r=\"6\"/>\n");
}

/* The next threshold, from the highest score down: all pictures of one score at once. */
static int next(const page_plot *p, size_t *i, size_t *tp, size_t *fp)
{
	double score;

	if (!*i)
		return 0;
	score = p->scores[*i - 1].score;
	while (*i && p->scores[*i - 1].score >= score) {
		--*i;
		*tp += p->scores[*i].truth == ADTOOL_TRUTH_ANOMALOUS;
		*fp += p->scores[*i].truth == ADTOOL_TRUTH_NORMAL;
	}
	return 1;
}

static void count_above(const page_plot *p, size_t *tp, size_t *fp)
{
	size_t i;

	*tp = *fp = 0;
	for (i = p->count; i && p->scores[i - 1].score > p->threshold; i--) {
		*tp += p->scores[i - 1].truth == ADTOOL_TRUTH_ANOMALOUS;
		*fp += p->scores[i - 1].truth == ADTOOL_TRUTH_NORMAL;
	}
}

static void corner_text(ad_buf *b, const page_frame *f, const char *what, double value)
{
	text_begin(b, f->right - 10, f->bottom - 12, "end", " class=\"key\"");
	ad_buf_puts(b, what);
	ad_text_fixed(b, value, 4);
	ad_buf_puts(b, "</text>\n");
}

void ad_page_roc(ad_buf *b, const page_plot *p, double auroc, int alone)
{
	const page_frame *f = &ad_page_square;
	double n = (double)p->normals, a = (double)p->anomalies;
	size_t i, tp, fp, side;

	begin(b, f, "roc", "ROC curve", alone);
	unit_axes(b, f, "false-positive rate", "true-positive rate");
	line(b, "chance", f->left, f->bottom, f->right, f->top);
	for (side = 0; side < 2; side++) {
		track pen = {.out = b};

		ad_buf_puts(b, side ? "<path class=\"curve\" d=\"" : "<path class=\"under\" d=\"");
		draw_to(&pen, f->left, f->bottom);
		for (i = p->count, tp = fp = 0; next(p, &i, &tp, &fp);)
			draw_to(&pen, across(f, (double)fp / n), up(f, (double)tp / a));
		if (!side)
			draw_to(&pen, f->right, f->bottom);
		ad_buf_puts(b, "\"/>\n");
	}
	count_above(p, &tp, &fp);
	mark(b, "roc-mark", across(f, (double)fp / n), up(f, (double)tp / a));
	corner_text(b, f, "AUROC ", auroc);
	ad_buf_puts(b, "</svg>\n");
}

void ad_page_pr(ad_buf *b, const page_plot *p, double average_precision, int alone)
{
	const page_frame *f = &ad_page_square;
	double n = (double)p->normals, a = (double)p->anomalies, recall, precision;
	size_t i, tp, fp, side;

	begin(b, f, "pr", "Precision-recall curve", alone);
	unit_axes(b, f, "recall", "precision");
	line(b, "chance", f->left, up(f, a / (a + n)), f->right, up(f, a / (a + n)));
	/* Steps, as average precision sums them: the precision at a threshold holds for the recall that it adds. */
	for (side = 0; side < 2; side++) {
		track pen = {.out = b};
		double before = 0;

		ad_buf_puts(b, side ? "<path class=\"curve\" d=\"" : "<path class=\"under\" d=\"");
		if (!side)
			draw_to(&pen, f->left, f->bottom);
		for (i = p->count, tp = fp = 0; next(p, &i, &tp, &fp);) {
			recall = (double)tp / a;
			precision = (double)tp / (double)(tp + fp);
			if (!(recall > before))
				continue;
			draw_to(&pen, across(f, before), up(f, precision));
			draw_to(&pen, across(f, recall), up(f, precision));
			before = recall;
		}
		if (!side)
			draw_to(&pen, f->right, f->bottom);
		ad_buf_puts(b, "\"/>\n");
	}
	count_above(p, &tp, &fp);
	mark(b, "pr-mark", across(f, (double)tp / a), up(f, tp + fp ? (double)tp / (double)(tp + fp) : 1));
	corner_text(b, f, "average precision ", average_precision);
	ad_buf_puts(b, "</svg>\n");
}
