#include "tiff.h"

#include "fail.h"

#include <inttypes.h>
#include <string.h>

/* Tags ascend, and this one is the lowest in use. */
enum { SUBFILE_TYPE = 254, ENTRIES_SEEN = 4, REDUCED = 1, MASK = 4 };

struct walk {
	ad_tiff_read_fn *read;
	void *context;
	int big_endian, big; /* big: BigTIFF, whose numbers have 64 bits */
	uint64_t at;         /* the directory; 0: no more */
};

static uint64_t number(const struct walk *w, const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		v = v << 8 | p[w->big_endian ? i : n - 1 - i];
	return v;
}

static int start(struct walk *w, ad_tiff_read_fn *read, void *context)
{
	uint8_t h[16];

	memset(w, 0, sizeof(*w));
	w->read = read;
	w->context = context;
	if (read(context, 0, h, 8))
		return -1;
	w->big_endian = h[0] == 'M';
	w->big = number(w, h + 2, 2) == 43;
	if (w->big && read(context, 8, h + 8, 8))
		return -1;
	w->at = w->big ? number(w, h + 8, 8) : number(w, h + 4, 4);
	return w->at ? 0 : -1;
}

/* Moves to the next directory, and says whether this one is a page of its own. -1: it cannot be read. */
static int step(struct walk *w, int *page)
{
	unsigned count_size = w->big ? 8 : 2, entry_size = w->big ? 20 : 12, next_size = w->big ? 8 : 4;
	uint8_t p[ENTRIES_SEEN * 20];
	uint64_t n, seen, i;

	if (w->at > UINT64_MAX / 2 || w->read(w->context, w->at, p, count_size))
		return -1;
	n = number(w, p, count_size);
	seen = n < ENTRIES_SEEN ? n : ENTRIES_SEEN;
	if (!n || n > UINT32_MAX / 32 || w->read(w->context, w->at + count_size, p, (size_t)seen * entry_size))
		return -1;
	*page = 1;
	for (i = 0; i < seen; i++) {
		const uint8_t *entry = p + i * entry_size;

		if (number(w, entry, 2) == SUBFILE_TYPE &&
		    number(w, entry + (w->big ? 12 : 8), 4) & (REDUCED | MASK))
			*page = 0;
	}
	if (w->read(w->context, w->at + count_size + n * entry_size, p, next_size))
		w->at = UINT64_MAX; /* the chain breaks behind it */
	else
		w->at = number(w, p, next_size);
	return 0;
}

/*
 * The directories of a chain that runs in a circle, by Brent's search: `period` steps lead from one on the circle to
 * itself. Two walkers that far apart meet where it begins.
 */
static uint64_t distinct(ad_tiff_read_fn *read, void *context, uint64_t period)
{
	struct walk front, back;
	uint64_t n;
	int page;

	start(&front, read, context);
	start(&back, read, context);
	for (n = 0; n < period; n++)
		step(&front, &page);
	for (; front.at != back.at; n++)
		if (step(&front, &page) || step(&back, &page))
			break;
	return n;
}

unsigned ad_tiff_count(ad_tiff_read_fn *read, void *context)
{
	uint64_t mark = 0, steps = 0, power = 1, most = UINT64_MAX, i;
	unsigned count = 0;
	struct walk w;
	int page;

	if (start(&w, read, context))
		return 1;
	for (i = 0; w.at && count < AD_TIFF_MOST_PAGES; i++) {
		if (step(&w, &page))
			return count + 1;
		count += page != 0;
		if (w.at && w.at == mark) {
			most = distinct(read, context, steps + 1);
			break;
		}
		if (++steps == power) {
			mark = w.at;
			power *= 2;
			steps = 0;
		}
	}
	if (most != UINT64_MAX) {
		start(&w, read, context);
		for (count = 0, i = 0; i < most && !step(&w, &page); i++)
			count += page != 0;
	}
	return count ? count : 1;
}

int ad_tiff_find(ad_tiff_read_fn *read, void *context, unsigned page, uint64_t *offset, adtool_error *err)
{
	unsigned count = 0;
	struct walk w;
	uint64_t first;
	int own;

	if (start(&w, read, context))
		return ad_fail(err, ADTOOL_EFORMAT, "truncated TIFF: it ends before its first directory");
	first = w.at;
	while (w.at && count < AD_TIFF_MOST_PAGES) {
		uint64_t here = w.at;

		if (step(&w, &own)) {
			if (count + 1 == page)
				return ad_fail(err, ADTOOL_EFORMAT,
					       "damaged or truncated TIFF: the directory of page %u is not in "
					       "its bytes",
					       page);
			break;
		}
		count += own != 0;
		if (own && count == page) {
			*offset = here;
			return 0;
		}
	}
	if (page == 1 && !count) {
		*offset = first;
		return 0;
	}
	return ad_fail(err, ADTOOL_EFORMAT, "there is no page %u: the TIFF has %u", page, count ? count : 1);
}
