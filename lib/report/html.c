/* A report page as HTML. */
#include "page.h"

#include <limits.h>
#include <math.h>
#include <time.h>

#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "assets.h"
#include "text.h"

typedef struct writer {
	ad_buf *b;
	const adtool_page *page;
	const adtool_page_facts *facts;
	const page_plot *plot;
} writer;

static void puts_(const writer *w, const char *text)
{
	ad_buf_puts(w->b, text);
}

/* "12 pictures", "1 picture" */
static void plural(const writer *w, size_t n, const char *one)
{
	ad_buf_printf(w->b, "%zu %s%s", n, one, n == 1 ? "" : "s");
}

static void percent(const writer *w, size_t part, size_t whole)
{
	if (!whole) {
		puts_(w, "\xe2\x80\x93");
		return;
	}
	ad_text_fixed(w->b, 100 * (double)part / (double)whole, 1);
	puts_(w, " %");
}

static const char *title_of(const writer *w)
{
	static const char *const titles[] = {"Training report", "Score report", "Evaluation report"};

	return titles[w->page->kind];
}

/* Of the scores, by truth: those above the threshold; and those only above the softer limit. */
typedef struct decided {
	size_t of[3], above[3], suspect[3]; /* unknown, normal, anomalous */
} decided;

static size_t is_suspect(const page_plot *p, double score)
{
	return p->has_warning && score > p->warning && !(score > p->threshold);
}

static decided decide(const writer *w)
{
	const page_plot *p = w->plot;
	decided d = {{0}, {0}, {0}};
	size_t i;

	for (i = 0; i < p->count; i++) {
		int k = p->scores[i].truth + 1;

		d.of[k]++;
		d.above[k] += p->scores[i].score > p->threshold;
		d.suspect[k] += is_suspect(p, p->scores[i].score);
	}
	return d;
}

enum { UNKNOWN, NORMAL, ANOMALOUS };

/* -- head ---------------------------------------------------------------------------------------------- */

/* Nothing from elsewhere, and no script or style but these very ones. */
static void policy(const writer *w, const char *directive, const char *text)
{
	unsigned char digest[32];

	ad_sha256(text, strlen(text), digest);
	ad_buf_printf(w->b, "; %s 'sha256-", directive);
	ad_text_base64(w->b, digest, sizeof(digest));
	puts_(w, "'");
}

static void head(const writer *w)
{
	puts_(w, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; base-uri "
		 "'none'; "
		 "form-action 'none'");
	policy(w, "style-src", ad_page_css);
	policy(w, "script-src", ad_page_js);
	puts_(w, "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		 "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"adtool ");
	puts_(w, adtool_version());
	puts_(w, "\">\n<link rel=\"icon\" href=\"data:,\">\n<title>adtool: ");
	puts_(w, title_of(w));
	puts_(w, "</title>\n<style>");
	puts_(w, ad_page_css);
	puts_(w, "</style>\n</head>\n<body>\n");
}

static void lead(const writer *w)
{
	const adtool_model_info *m = w->facts->model;
	time_t now = time(NULL);
	struct tm utc;
	char date[40];

	ad_buf_printf(w->b, "<header>\n<h1>%s</h1>\n<p class=\"lead\">Model ", title_of(w));
	if (w->facts->model_path) {
		puts_(w, "<bdi>");
		ad_text_html(w->b, w->facts->model_path);
		puts_(w, "</bdi>, ");
	}
	puts_(w, "trained on ");
	plural(w, m->pictures_used, "normal picture");
	if (gmtime_r(&now, &utc) && strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &utc))
		ad_buf_printf(w->b, ". Written %s by adtool %s.", date, adtool_version());
	puts_(w, "</p>\n");
}

/* -- key figures --------------------------------------------------------------------------------------- */

static void tile_begin(const writer *w, const char *name)
{
	puts_(w, "<div class=\"tile\"><dt>");
	ad_text_html(w->b, name);
	puts_(w, "</dt><dd><span class=\"value\">");
}

static void tile_end(const writer *w, const char *note)
{
	puts_(w, "</span>");
	if (note[0]) {
		puts_(w, "<span class=\"note\">");
		ad_text_html(w->b, note);
		puts_(w, "</span>");
	}
	puts_(w, "</dd></div>\n");
}

static void tile_number(const writer *w, const char *name, double value, const char *note)
{
	tile_begin(w, name);
	ad_text_fixed(w->b, value, 4);
	tile_end(w, note);
}

/* With its interval, where that is known. */
static void tile_metric(const writer *w, const char *name, double value, const adtool_interval *interval,
			const char *note)
{
	if (!interval) {
		tile_number(w, name, value, note);
		return;
	}
	tile_begin(w, name);
	ad_text_fixed(w->b, value, 4);
	puts_(w, "</span><span class=\"note\">95 % interval ");
	ad_text_fixed(w->b, interval->low, 4);
	puts_(w, " to ");
	ad_text_fixed(w->b, interval->high, 4);
	tile_end(w, "");
}

static void tile_count(const writer *w, const char *name, size_t value, const char *note)
{
	tile_begin(w, name);
	ad_buf_printf(w->b, "%zu", value);
	tile_end(w, note);
}

static void tile_of(const writer *w, const char *name, size_t part, size_t whole, const char *note)
{
	tile_begin(w, name);
	ad_buf_printf(w->b, "%zu of %zu", part, whole);
	tile_end(w, note);
}

static void tiles(const writer *w)
{
	const adtool_metrics *m = w->facts->metrics;
	const adtool_model_info *info = w->facts->model;
	const page_text *own = &w->page->figures;
	decided d = decide(w);
	size_t i;

	puts_(w, "<dl class=\"tiles\">\n");
	if (m) {
		tile_metric(w, "AUROC", m->auroc, w->facts->auroc_interval, "1 is perfect, 0.5 is chance");
		tile_metric(w, "Average precision", m->average_precision, w->facts->ap_interval,
			    "area under the precision-recall curve");
	}
	switch (w->page->kind) {
	case ADTOOL_PAGE_EVAL:
		tile_of(w, "Anomalies found", d.above[ANOMALOUS], d.of[ANOMALOUS], "at the threshold in force");
		tile_of(w, "False alarms", d.above[NORMAL], d.of[NORMAL], "normal pictures called anomalous");
		break;
	case ADTOOL_PAGE_SCORE:
		tile_count(w, "Pictures", w->plot->count, "scored");
		tile_count(w, "Anomalous", d.above[UNKNOWN] + d.above[ANOMALOUS] + d.above[NORMAL],
			   "above the threshold");
		if (w->plot->has_warning)
			tile_count(w, "Suspect", d.suspect[UNKNOWN] + d.suspect[ANOMALOUS] + d.suspect[NORMAL],
				   "above the softer limit");
		tile_count(w, "Refused", w->page->refused_count, "could not be read");
		break;
	case ADTOOL_PAGE_TRAIN:
		tile_count(w, "Pictures", info->pictures_used, "learned from");
		tile_count(w, "Refused", info->pictures_refused, "could not be used");
		tile_count(w, "Components", info->components, "that explain what is normal");
		tile_begin(w, "Threshold");
		ad_text_short(w->b, w->facts->threshold, 5);
		tile_end(w, "anomalous above it");
		break;
	}
	for (i = 0; i + 2 < own->count; i += 3) {
		tile_begin(w, own->cells[i]);
		ad_text_html(w->b, own->cells[i + 1]);
		tile_end(w, own->cells[i + 2]);
	}
	puts_(w, "</dl>\n</header>\n<main>\n");
}

/* -- the decision -------------------------------------------------------------------------------------- */

static void mean_key(const writer *w, int truth, const char *class, const char *name)
{
	page_mean m = ad_page_mean_of(w->plot->scores, w->plot->count, truth);

	if (!m.count)
		return;
	ad_buf_printf(w->b, "<li><span class=\"swatch %s\"></span>%s, %zu: mean ", class, name, m.count);
	ad_text_short(w->b, m.mean, 4);
	if (isfinite(m.half)) {
		puts_(w, ", its 99 % interval ");
		ad_text_short(w->b, m.mean - m.half, 4);
		puts_(w, " to ");
		ad_text_short(w->b, m.mean + m.half, 4);
	}
	puts_(w, "</li>\n");
}

static void decision_row(const writer *w, const char *name, const char *key, int k, const decided *d)
{
	static const char *const looks[][2] = {{"", ""}, {"good", "bad"}, {"bad", "good"}};
	size_t yes = d->above[k], middle = d->suspect[k], no = d->of[k] - yes - middle;

	if (!d->of[k])
		return;
	ad_buf_printf(w->b, "<tr><th scope=\"row\">%s</th><td class=\"num %s%s\" id=\"%s-no\">%zu</td>", name,
		      looks[k][0], no ? "" : " zero", key, no);
	if (w->plot->has_warning)
		ad_buf_printf(w->b, "<td class=\"num\" id=\"%s-suspect\">%zu</td>", key, middle);
	ad_buf_printf(w->b, "<td class=\"num %s%s\" id=\"%s-yes\">%zu</td><td class=\"num\" id=\"%s-rate\">",
		      looks[k][1], yes ? "" : " zero", key, yes, key);
	percent(w, yes, d->of[k]);
	puts_(w, "</td></tr>\n");
}

static void rule_text(const writer *w)
{
	const adtool_page_facts *f = w->facts;

	switch (f->rule) {
	case ADTOOL_RULE_CONFORMAL:
		puts_(w, "conformal, for a false-alarm rate of ");
		ad_text_short(w->b, f->alpha, 6);
		break;
	case ADTOOL_RULE_EXTRAPOLATED:
		puts_(w, "extrapolated, for a false-alarm rate of ");
		ad_text_short(w->b, f->alpha, 6);
		break;
	case ADTOOL_RULE_QUANTILE:
		puts_(w, "a quantile of the calibration scores");
		break;
	case ADTOOL_RULE_TAIL:
		puts_(w, "from the tail of the calibration scores, for a false-alarm rate of ");
		ad_text_short(w->b, f->alpha, 6);
		break;
	case ADTOOL_RULE_TPR:
	case ADTOOL_RULE_F1:
	case ADTOOL_RULE_COST:
		puts_(w, "set on labelled pictures");
		break;
	case ADTOOL_RULE_FDR:
		puts_(w, "by the false-discovery rate of this batch");
		break;
	default:
		puts_(w, "given by hand");
		break;
	}
}

static void rates(const writer *w, const decided *d)
{
	size_t tp = d->above[ANOMALOUS], fp = d->above[NORMAL], a = d->of[ANOMALOUS], n = d->of[NORMAL];

	if (!a || !n)
		return;
	puts_(w, "<dl class=\"facts\">\n<dt>precision</dt><dd id=\"precision\">");
	percent(w, tp, tp + fp);
	puts_(w, "</dd>\n<dt>F1</dt><dd id=\"f1\">");
	ad_text_fixed(w->b, 2 * (double)tp / (double)(a + tp + fp), 4);
	puts_(w, "</dd>\n<dt>accuracy</dt><dd id=\"accuracy\">");
	percent(w, tp + n - fp, a + n);
	puts_(w, "</dd>\n</dl>\n");
}

static void decision(const writer *w)
{
	decided d = decide(w);

	puts_(w, "<section class=\"keep\" aria-labelledby=\"decision\">\n<h2 id=\"decision\">Decision</h2>\n<p "
		 "class=\"note\">");
	if (w->page->kind == ADTOOL_PAGE_TRAIN)
		puts_(w, "Scores of the calibration: of pictures that the fit they were scored by had not seen. ");
	puts_(w, "A picture is called anomalous when its score is above the threshold: ");
	ad_text_short(w->b, w->facts->threshold, 6);
	puts_(w, ", ");
	rule_text(w);
	if (w->plot->has_warning) {
		puts_(w, ". Above the softer limit, ");
		ad_text_short(w->b, w->plot->warning, 6);
		puts_(w, " for a rate of ");
		ad_text_short(w->b, w->facts->model->warn_alpha, 6);
		puts_(w, " (the dotted line), it is called suspect");
	}
	puts_(w, ". Dashed lines are means, the bands around them their 99 % confidence intervals.</p>\n<ul "
		 "class=\"keys\">\n");
	mean_key(w, ADTOOL_TRUTH_UNKNOWN, "u", "pictures");
	mean_key(w, ADTOOL_TRUTH_NORMAL, "n", w->page->kind == ADTOOL_PAGE_TRAIN ? "held-out normal" : "normal");
	mean_key(w, ADTOOL_TRUTH_ANOMALOUS, "a", "anomalous");
	puts_(w, "</ul>\n");
	ad_page_histogram(w->b, w->plot, 0);
	puts_(w,
	      "<div class=\"control\" id=\"control\" hidden>\n"
	      "<input type=\"range\" id=\"range\" min=\"0\" max=\"1\" step=\"0.0005\" value=\"0.5\" "
	      "aria-label=\"Try another threshold\">\n<div class=\"row\"><label for=\"value\">Try a threshold:</label> "
	      "<input type=\"number\" id=\"value\" step=\"any\"> <button type=\"button\" id=\"reset\">Reset</button> "
	      "<span class=\"note\">Or drag the line. To use it: <code>adtool score <span class=\"together\" "
	      "id=\"command\"></span></code></span></div>\n</div>\n"
	      "<div class=\"two decision\">\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">");
	puts_(w, w->page->kind == ADTOOL_PAGE_EVAL ? "in truth" : "<span class=\"note\">&nbsp;</span>");
	puts_(w, "</th><th scope=\"col\" class=\"num\">called normal</th>");
	if (w->plot->has_warning)
		puts_(w, "<th scope=\"col\" class=\"num\">called suspect</th>");
	puts_(w, "<th scope=\"col\" class=\"num\">called anomalous</th>"
		 "<th scope=\"col\" class=\"num\">rate</th></tr></thead>\n<tbody aria-live=\"polite\">\n");
	decision_row(w, "pictures", "u", UNKNOWN, &d);
	decision_row(w, w->page->kind == ADTOOL_PAGE_TRAIN ? "held-out normal" : "normal", "n", NORMAL, &d);
	decision_row(w, "anomalous", "a", ANOMALOUS, &d);
	puts_(w, "</tbody>\n</table></div>\n");
	rates(w, &d);
	puts_(w, "</div>\n</section>\n");
}

static void curves(const writer *w)
{
	const adtool_metrics *m = w->facts->metrics;

	if (!m || !w->plot->normals || !w->plot->anomalies)
		return;
	puts_(w, "<section class=\"keep\" aria-labelledby=\"curves\">\n<h2 id=\"curves\">All thresholds</h2>\n<p "
		 "class=\"note\">"
		 "The dot is the threshold above; dashed is what guessing would give. Best F1: ");
	ad_text_fixed(w->b, m->best_f1, 4);
	puts_(w, " from a score of ");
	ad_text_short(w->b, m->best_f1_threshold, 6);
	puts_(w, " on. To find 95 % of the anomalies costs ");
	ad_text_fixed(w->b, 100 * m->fpr_at_tpr_95, 1);
	puts_(w, " % false alarms, to find all ");
	ad_text_fixed(w->b, 100 * m->fpr_at_tpr_100, 1);
	puts_(w, " %.</p>\n<div class=\"two\">\n<figure>\n");
	ad_page_roc(w->b, w->plot, m->auroc, 0);
	puts_(w, "</figure>\n<figure>\n");
	ad_page_pr(w->b, w->plot, m->average_precision, 0);
	puts_(w, "</figure>\n</div>\n</section>\n");
}

/* -- tables -------------------------------------------------------------------------------------------- */

static size_t found_of(const writer *w, size_t defect)
{
	const page_plot *p = w->plot;
	size_t i, n = 0;

	for (i = p->count; i && p->scores[i - 1].score > p->threshold; i--)
		n += p->scores[i - 1].defect == defect;
	return n;
}

static void defects(const writer *w)
{
	const adtool_page *page = w->page;
	size_t i;

	if (!page->defect_count)
		return;
	puts_(w, "<section class=\"keep\" aria-labelledby=\"defects\">\n<h2 id=\"defects\">Kinds of defect</h2>\n<p "
		 "class=\"note\">"
		 "By folder. The AUROC is that of the kind against all normal pictures.</p>\n<div "
		 "class=\"scroll\"><table>\n<thead>"
		 "<tr><th scope=\"col\">defect</th><th scope=\"col\" class=\"num\">pictures</th><th scope=\"col\" "
		 "class=\"num\">"
		 "found</th><th scope=\"col\" class=\"num\">share</th><th scope=\"col\" class=\"only-wide\"><span "
		 "class=\"note\">&nbsp;</span></th>"
		 "<th scope=\"col\" class=\"num\">AUROC</th></tr></thead>\n<tbody>\n");
	for (i = 0; i < page->defect_count; i++) {
		size_t found = found_of(w, i), of = page->defects[i].count;

		puts_(w, "<tr><th scope=\"row\"><bdi>");
		ad_text_html(w->b, page->defects[i].name);
		ad_buf_printf(w->b,
			      "</bdi></th><td class=\"num\">%zu</td><td class=\"num\" id=\"found-%zu\">%zu</td>"
			      "<td class=\"num\" id=\"share-%zu\">",
			      of, i, found, i);
		percent(w, found, of);
		ad_buf_printf(
		    w->b,
		    "</td><td class=\"num only-wide\"><svg class=\"bar\" viewBox=\"0 0 100 8\" "
		    "preserveAspectRatio=\"none\" "
		    "aria-hidden=\"true\"><rect class=\"ground\" width=\"100\" height=\"8\"/><rect class=\"level\" "
		    "id=\"bar-%zu\" width=\"",
		    i);
		ad_text_fixed(w->b, of ? 100 * (double)found / (double)of : 0, 2);
		puts_(w, "\" height=\"8\"/></svg></td><td class=\"num\">");
		ad_text_fixed(w->b, page->defects[i].auroc, 4);
		puts_(w, "</td></tr>\n");
	}
	puts_(w, "</tbody>\n</table></div>\n</section>\n");
}

/* Text that reads as a number is set to the right. */
static int is_number(const char *text)
{
	return text[0] && !text[strspn(text, "0123456789.,+-e% ")] && strpbrk(text, "0123456789");
}

static void table(const writer *w, const page_table *t)
{
	size_t i, rows = t->columns ? t->text.count / t->columns : 0, r;

	puts_(w, "<section>\n<h2>");
	ad_text_html(w->b, t->heading);
	puts_(w, "</h2>\n");
	if (t->note[0]) {
		puts_(w, "<p class=\"note\">");
		ad_text_html(w->b, t->note);
		puts_(w, "</p>\n");
	}
	puts_(w, "<div class=\"scroll\"><table class=\"text\">\n");
	for (r = 0; r < rows; r++) {
		puts_(w, r ? "<tr>" : "<thead><tr>");
		for (i = 0; i < t->columns; i++) {
			const char *cell = t->text.cells[r * t->columns + i];
			/* A column is aligned as its first row is. */
			int right = rows > 1 && is_number(t->text.cells[t->columns + i]);

			puts_(w, r ? "<td" : "<th scope=\"col\"");
			puts_(w, right ? " class=\"num\"><bdi>" : "><bdi>");
			ad_text_html(w->b, cell);
			puts_(w, r ? "</bdi></td>" : "</bdi></th>");
		}
		puts_(w, r ? "</tr>\n" : "</tr></thead>\n<tbody>\n");
	}
	puts_(w, "</tbody>\n</table></div>\n</section>\n");
}

/* -- gallery ------------------------------------------------------------------------------------------- */

static const struct {
	const char *heading, *what, *word, *look, *truth;
} shown_as[SHOWN_KINDS] = {
    [SHOWN_MISS] = {"Misses", "anomalous, called normal; the least noticed first", "miss", "bad", "a"},
    [SHOWN_FALSE_ALARM] = {"False alarms", "normal, called anomalous; the highest score first", "false alarm", "bad",
			   "n"},
    [SHOWN_FOUND] = {"Found", "anomalous, and called so; the highest score first", "found", "good", "a"},
    [SHOWN_PASSED] = {"Passed", "normal, and called so; the highest score first", "passed", "plain", "n"},
    [SHOWN_ANOMALOUS] = {"Anomalous", "the highest score first", "anomalous", "bad", "u"},
    [SHOWN_SUSPECT] = {"Suspect", "above the softer limit only; the highest score first", "suspect", "warn", "u"},
    [SHOWN_NORMAL] = {"Normal", "the highest score first", "normal", "plain", "u"},
};

/* What a suspect picture is called, by its truth; all of them look alike. */
static const char *suspect_word(enum shown kind)
{
	return kind == SHOWN_MISS ? "miss, suspect" : kind == SHOWN_PASSED ? "passed, suspect" : "suspect";
}

static void picture(const writer *w, const ad_buf *jpeg, const char *alt, const char *name)
{
	puts_(w, "<img loading=\"lazy\" decoding=\"async\" src=\"data:image/jpeg;base64,");
	ad_text_base64(w->b, jpeg->data, jpeg->size);
	ad_buf_printf(w->b, "\" alt=\"%s", alt);
	ad_text_html(w->b, name);
	puts_(w, "\">");
}

static void card(const writer *w, const shown_picture *p, enum shown kind)
{
	size_t suspect = is_suspect(w->plot, p->score);

	ad_buf_printf(w->b, "<li class=\"card\" data-truth=\"%s\" data-score=\"", shown_as[kind].truth);
	ad_buf_double(w->b, p->score);
	ad_buf_printf(w->b, "\"><figure><div class=\"pair%s\">", p->heat.size ? "" : " one");
	picture(w, &p->image, "", p->name);
	if (p->heat.size)
		picture(w, &p->heat, "Heat map of ", p->name);
	puts_(w, "</div><figcaption><bdi class=\"name\">");
	ad_text_html_path(w->b, p->name);
	ad_buf_printf(w->b, "</bdi><span class=\"badge %s\">%s</span><span class=\"figures\">score ",
		      suspect ? shown_as[SHOWN_SUSPECT].look : shown_as[kind].look,
		      suspect ? suspect_word(kind) : shown_as[kind].word);
	ad_text_short(w->b, p->score, 5);
	puts_(w, " \xc2\xb7 p ");
	ad_text_short(w->b, p->p, 3);
	if (p->defect) {
		puts_(w, " \xc2\xb7 <bdi>");
		ad_text_html(w->b, p->defect);
		puts_(w, "</bdi>");
	}
	ad_buf_printf(w->b,
		      " \xc2\xb7 <span class=\"together\">%u \xc3\x97 %u</span></span></figcaption></figure></li>\n",
		      p->width, p->height);
}

/* The scale of heat maps (lib/image/heat.c): its colours, and where on it the level stands. */
static const char scale[] =
    "<p class=\"scale\"><span>calm</span><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    "<defs><linearGradient id=\"heat\"><stop offset=\"0\" stop-color=\"#151b29\"/><stop offset=\".2\" "
    "stop-color=\"#213049\"/>"
    "<stop offset=\".4\" stop-color=\"#344768\"/><stop offset=\".46\" stop-color=\"#84487f\"/><stop offset=\".58\" "
    "stop-color=\"#c94c5e\"/><stop offset=\".72\" stop-color=\"#ee733a\"/><stop offset=\".86\" stop-color=\"#fbaf38\"/>"
    "<stop offset=\"1\" stop-color=\"#fdf3a9\"/></linearGradient></defs><rect width=\"100\" height=\"10\" "
    "fill=\"url(#heat)\"/>"
    "</svg><span>8 times the level and more; the line around what is hot is the level</span></p>\n";

static void galleries(const writer *w)
{
	const adtool_page *page = w->page;
	size_t shown = 0, of = 0, i;
	int heat = 0;
	enum shown k;

	for (k = 0; k < SHOWN_KINDS; k++) {
		shown += page->shown[k].count;
		of += page->shown[k].of;
		heat |= page->shown[k].count && page->shown[k].pictures[0].heat.size;
	}
	if (!shown)
		return;
	puts_(w,
	      "<section aria-labelledby=\"gallery\">\n<h2 id=\"gallery\">Pictures</h2>\n<p class=\"note\">Worst first");
	if (heat)
		puts_(w, ", each with its heat map beside it: what the model could not explain");
	ad_buf_printf(w->b, ". %zu of ", shown);
	if (page->kind == ADTOOL_PAGE_TRAIN) {
		plural(w, w->plot->count, "picture");
		puts_(w, " that were held out of a fit: look among them for what is no normal picture.</p>\n");
	} else {
		plural(w, of, "picture");
		ad_buf_printf(w->b, "; at most %u of a kind are shown.</p>\n", ADTOOL_PAGE_PICTURES);
	}
	if (heat)
		puts_(w, scale);
	for (k = 0; k < SHOWN_KINDS; k++) {
		const gallery *g = &page->shown[k];

		if (!g->count)
			continue;
		ad_buf_printf(w->b, "<h3>%s <span class=\"count\">", shown_as[k].heading);
		if (g->count < g->of)
			ad_buf_printf(w->b, "%zu of %zu", g->count, g->of);
		else
			ad_buf_printf(w->b, "%zu", g->of);
		ad_buf_printf(w->b, " \xc2\xb7 %s</span></h3>\n<ul class=\"gallery\">\n", shown_as[k].what);
		for (i = 0; i < g->count; i++)
			card(w, &g->pictures[i], k);
		puts_(w, "</ul>\n");
	}
	puts_(w, "</section>\n");
}

/* -- what was trained ---------------------------------------------------------------------------------- */

static void fact(const writer *w, const char *name)
{
	ad_buf_printf(w->b, "<dt>%s</dt><dd>", name);
}

static void fact_text(const writer *w, const char *name, const char *value)
{
	if (!value[0])
		return;
	fact(w, name);
	puts_(w, "<bdi>");
	ad_text_html(w->b, value);
	puts_(w, "</bdi></dd>\n");
}

static void trained(const writer *w)
{
	const adtool_model_info *m = w->facts->model;
	static const char *const aggregates[] = {"mean of the largest cells", "largest cell", "sum of the cells"};

	puts_(w, "<div><h2>What was trained</h2>\n<dl class=\"facts\">\n");
	fact(w, "pictures");
	ad_buf_printf(w->b, "%zu used, %zu refused</dd>\n", m->pictures_used, m->pictures_refused);
	fact_text(w, "their digest", m->pictures_digest);
	fact_text(w, "backbone", m->backbone_name);
	fact_text(w, "its licence", m->backbone_licence);
	fact_text(w, "layer", m->layer);
	fact(w, "feature map");
	ad_buf_printf(w->b, "%zu channels, %zu \xc3\x97 %zu cells, from %u \xc3\x97 %u pixels</dd>\n",
		      m->layer_channels, m->layer_width, m->layer_height, m->width, m->height);
	fact(w, "method");
	if (m->method == ADTOOL_FRE)
		ad_buf_printf(w->b, "feature reconstruction error on %u \xc3\x97 %u cells, %zu channels</dd>\n",
			      m->grid, m->grid, m->channels);
	else
		puts_(w, "probabilistic PCA</dd>\n");
	fact(w, "components");
	ad_buf_printf(w->b, "%zu of %zu dimensions, ", m->components, m->dimensions);
	ad_text_fixed(w->b, 100 * m->energy_kept, 2);
	puts_(w, " % of the energy</dd>\n");
	if (m->method == ADTOOL_FRE) {
		fact(w, "score");
		puts_(w, aggregates[m->aggregate]);
		if (m->aggregate == ADTOOL_TOP) {
			puts_(w, ", ");
			ad_text_short(w->b, 100 * m->top, 4);
			puts_(w, " % of them");
		}
		puts_(w, "</dd>\n");
	}
	fact(w, "calibration");
	plural(w, m->calibration_count, "score");
	if (m->calibration == ADTOOL_CV_FOLDS)
		ad_buf_printf(w->b, ", %u folds", m->folds);
	else
		puts_(w, m->calibration == ADTOOL_CV_LEAVE_ONE_OUT ? ", each picture left out once"
								   : ", of pictures held out");
	puts_(w, "</dd>\n");
	if (m->rule == ADTOOL_RULE_EXTRAPOLATED) {
		fact(w, "threshold");
		ad_buf_printf(w->b, "extrapolated: %zu normal pictures would support it</dd>\n", m->normals_needed);
	}
	fact(w, "seed");
	ad_buf_printf(w->b, "%llu</dd>\n</dl></div>\n", (unsigned long long)m->seed);
}

static void timing(const writer *w)
{
	const page_text *t = &w->page->timings;
	size_t i;

	if (!t->count)
		return;
	puts_(w, "<div><h2>Timing</h2>\n<dl class=\"facts\">\n");
	for (i = 0; i + 1 < t->count; i += 2) {
		puts_(w, "<dt>");
		ad_text_html(w->b, t->cells[i]);
		puts_(w, "</dt><dd>");
		for (const char *c = t->cells[i + 1]; *c; c++)
			ad_buf_putc(w->b, *c == ',' ? '.' : *c);
		puts_(w, " s</dd>\n");
	}
	puts_(w, "</dl></div>\n");
}

static void refused(const writer *w)
{
	const page_text *t = &w->page->refused;
	size_t i;

	if (!t->count)
		return;
	puts_(w,
	      "<section aria-labelledby=\"refused\">\n<h2 id=\"refused\">Could not be read</h2>\n<p class=\"note\">");
	if (t->count / 2 < w->page->refused_count)
		ad_buf_printf(w->b, "The first %zu of ", t->count / 2);
	plural(w, w->page->refused_count, "picture");
	puts_(w, ".</p>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">picture</th><th "
		 "scope=\"col\">why</th></tr>"
		 "</thead>\n<tbody>\n");
	for (i = 0; i + 1 < t->count; i += 2) {
		puts_(w, "<tr><th scope=\"row\"><bdi>");
		ad_text_html(w->b, t->cells[i]);
		puts_(w, "</bdi></th><td><bdi>");
		ad_text_html(w->b, t->cells[i + 1]);
		puts_(w, "</bdi></td></tr>\n");
	}
	puts_(w, "</tbody>\n</table></div>\n</section>\n");
}

/* -- the script's data --------------------------------------------------------------------------------- */

/* Numbers only: nothing that comes from a file's name stands within a script element. */
static void list(const writer *w, const char *name, int truth, unsigned defect)
{
	const page_plot *p = w->plot;
	const char *between = "";
	size_t i;

	if (name)
		ad_buf_printf(w->b, ",\"%s\":", name);
	puts_(w, "[");
	for (i = 0; i < p->count; i++)
		if (p->scores[i].truth == truth && (name || p->scores[i].defect == defect)) {
			puts_(w, between);
			ad_buf_double(w->b, p->scores[i].score);
			between = ",";
		}
	puts_(w, "]");
}

/* What a card of this truth says, and how that looks: not above the threshold, above it, suspect. */
static void words(const writer *w, const char *truth, enum shown no, enum shown yes, const char *end)
{
	ad_buf_printf(w->b, "\"%s\":[[\"%s\",\"%s\"],[\"%s\",\"%s\"],[\"%s\",\"%s\"]]%s", truth, shown_as[no].word,
		      shown_as[no].look, shown_as[yes].word, shown_as[yes].look, suspect_word(no),
		      shown_as[SHOWN_SUSPECT].look, end);
}

static void data(const writer *w)
{
	const page_frame *f = &ad_page_wide, *s = &ad_page_square;
	const page_axis *axis = &w->plot->axis;
	size_t i;

	puts_(w, "<script type=\"application/json\" id=\"data\">{\"axis\":{\"low\":");
	ad_buf_double(w->b, axis->low);
	puts_(w, ",\"high\":");
	ad_buf_double(w->b, axis->high);
	ad_buf_printf(w->b, ",\"log\":%s},\"threshold\":", axis->logarithmic ? "true" : "false");
	ad_text_json_number(w->b, w->plot->threshold);
	puts_(w, ",\"warning\":");
	ad_text_json_number(w->b, w->plot->has_warning ? w->plot->warning : NAN);
	ad_buf_printf(w->b, ",\"frame\":[%d,%d,%d],\"square\":[%d,%d,%d,%d],\"words\":{", (int)f->left, (int)f->right,
		      (int)f->width, (int)s->left, (int)s->right, (int)s->top, (int)s->bottom);
	words(w, "a", SHOWN_MISS, SHOWN_FOUND, ",");
	words(w, "n", SHOWN_PASSED, SHOWN_FALSE_ALARM, ",");
	words(w, "u", SHOWN_NORMAL, SHOWN_ANOMALOUS, "}");
	list(w, "unknown", ADTOOL_TRUTH_UNKNOWN, 0);
	list(w, "normal", ADTOOL_TRUTH_NORMAL, 0);
	list(w, "anomalous", ADTOOL_TRUTH_ANOMALOUS, 0);
	puts_(w, ",\"defects\":[");
	for (i = 0; i < w->page->defect_count; i++) {
		puts_(w, i ? "," : "");
		list(w, NULL, ADTOOL_TRUTH_ANOMALOUS, (unsigned)i);
	}
	puts_(w, "]}</script>\n");
}

int ad_page_html(const adtool_page *page, const adtool_page_facts *facts, const page_plot *plot, ad_buf *out,
		 adtool_error *err)
{
	writer w = {out, page, facts, plot};
	size_t i;

	head(&w);
	lead(&w);
	tiles(&w);
	if (plot->count)
		decision(&w);
	curves(&w);
	defects(&w);
	galleries(&w);
	for (i = 0; i < page->table_count; i++)
		table(&w, &page->tables[i]);
	refused(&w);
	puts_(&w, "<section class=\"keep\">\n<div class=\"two\">\n");
	trained(&w);
	timing(&w);
	puts_(&w, "</div>\n</section>\n</main>\n<footer><p>All of this page is in this one file. Plots: "
		  "<code>hist.svg</code>");
	puts_(&w, facts->metrics ? ", <code>roc.svg</code> and <code>pr.svg</code> beside it.</p></footer>\n"
				 : " beside it.</p></footer>\n");
	data(&w);
	puts_(&w, "<script>");
	puts_(&w, ad_page_js);
	puts_(&w, "</script>\n</body>\n</html>\n");
	return out->failed ? ad_fail_nomem(err) : 0;
}
