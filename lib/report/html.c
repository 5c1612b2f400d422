/* A report page as HTML. */
#include "html.h"

#include <math.h>
#include <time.h>

#include "../base/digest.h"
#include "../base/fail.h"
#include "assets.h"

static const char *title_of(const writer *w)
{
	static const char *const titles[] = {"Training report", "Score report", "Evaluation report"};

	return titles[w->page->kind];
}

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

/* -- tables --------------------------------------------------------------------------------------------- */

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
	ad_html_words(w);
	puts_(w, "}");
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
	ad_html_tiles(&w);
	if (plot->count)
		ad_html_decision(&w);
	ad_html_curves(&w);
	ad_html_defects(&w);
	ad_html_galleries(&w);
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
