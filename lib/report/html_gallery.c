/* Of a report page: pictures with their heat maps. */
#include "html.h"

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

void ad_html_galleries(const writer *w)
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

/* What a card of this truth says, and how that looks: not above the threshold, above it, suspect. */
static void words_of(const writer *w, const char *truth, enum shown no, enum shown yes, const char *end)
{
	ad_buf_printf(w->b, "\"%s\":[[\"%s\",\"%s\"],[\"%s\",\"%s\"],[\"%s\",\"%s\"]]%s", truth, shown_as[no].word,
		      shown_as[no].look, shown_as[yes].word, shown_as[yes].look, suspect_word(no),
		      shown_as[SHOWN_SUSPECT].look, end);
}

void ad_html_words(const writer *w)
{
	words_of(w, "a", SHOWN_MISS, SHOWN_FOUND, ",");
	words_of(w, "n", SHOWN_PASSED, SHOWN_FALSE_ALARM, ",");
	words_of(w, "u", SHOWN_NORMAL, SHOWN_ANOMALOUS, "");
}
