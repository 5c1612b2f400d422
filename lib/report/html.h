/* Inside the report room: what the files that write index.html share. */
#ifndef AD_REPORT_HTML_H
#define AD_REPORT_HTML_H

#include "page.h"
#include "text.h"

/* The page, and where it is written. */
typedef struct writer {
	ad_buf *b;
	const adtool_page *page;
	const adtool_page_facts *facts;
	const page_plot *plot;
} writer;

static inline void puts_(const writer *w, const char *text)
{
	ad_buf_puts(w->b, text);
}

/* "12 pictures", "1 picture" */
static inline void plural(const writer *w, size_t n, const char *one)
{
	ad_buf_printf(w->b, "%zu %s%s", n, one, n == 1 ? "" : "s");
}

/* "12.5 %"; a dash where there is no whole. */
static inline void percent(const writer *w, size_t part, size_t whole)
{
	if (!whole) {
		puts_(w, "\xe2\x80\x93");
		return;
	}
	ad_text_fixed(w->b, 100 * (double)part / (double)whole, 1);
	puts_(w, " %");
}

/* 1 or 0. */
static inline size_t is_suspect(const page_plot *p, double score)
{
	return p->has_warning && score > p->warning && !(score > p->threshold);
}

/* -- html_decision.c: key figures; the threshold, and what it makes of the scores ------------------------ */

void ad_html_tiles(const writer *w);
void ad_html_decision(const writer *w);
/* Where there are labels. */
void ad_html_curves(const writer *w);
/* Kinds of defect, where there are any. */
void ad_html_defects(const writer *w);

/* -- html_gallery.c: pictures ---------------------------------------------------------------------------- */

void ad_html_galleries(const writer *w);
/* For the script: what a card of each truth says, and how that looks: not above the threshold, above it, suspect. */
void ad_html_words(const writer *w);

#endif
