/* Of a report page: key figures, the threshold and what it makes of the scores, and of each kind of defect. */
#include "html.h"

#include <math.h>

/* Of the scores, by truth: those above the threshold; and those only above the softer limit. */
typedef struct decided {
	size_t of[3], above[3], suspect[3]; /* unknown, normal, anomalous */
} decided;

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

void ad_html_tiles(const writer *w)
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

void ad_html_decision(const writer *w)
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

void ad_html_curves(const writer *w)
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

/* -- kinds of defect ----------------------------------------------------------------------------------- */

static size_t found_of(const writer *w, size_t defect)
{
	const page_plot *p = w->plot;
	size_t i, n = 0;

	for (i = p->count; i && p->scores[i - 1].score > p->threshold; i--)
		n += p->scores[i - 1].defect == defect;
	return n;
}

void ad_html_defects(const writer *w)
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
