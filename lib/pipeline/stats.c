/* The pictures that a model keeps: their maps, names and digests, so that more can be learned without the old files. */
#include <string.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "pipeline.h"

#define REFUSED "----------------------------------------------------------------"

int adtool_model_keeps_stats(const adtool_model *m)
{
	return m->bundle ? ad_bundle_has_stats(m->bundle) : m->parts.stats.data != NULL;
}

int ad_stats_line(ad_buf *out, const char *digest, const unsigned size[2], const char *name)
{
	ad_buf_puts(out, digest ? digest : REFUSED);
	if (size)
		ad_buf_printf(out, "  %ux%u", size[0], size[1]);
	ad_buf_puts(out, "  ");
	for (; *name; name++) {
		if (*name == '\\')
			ad_buf_puts(out, "\\\\");
		else if (*name == '\n')
			ad_buf_puts(out, "\\n");
		else
			ad_buf_putc(out, *name);
	}
	return ad_buf_putc(out, '\n');
}

static char *unescaped(const char *text, size_t size)
{
	char *out = ad_strndup(text, size), *to = out;
	const char *from = out;

	for (; out && *from; from++) {
		if (*from == '\\' && from[1])
			*to++ = *++from == 'n' ? '\n' : *from;
		else
			*to++ = *from;
	}
	if (out)
		*to = '\0';
	return out;
}

static int fail_line(const struct ad_stats *s, adtool_error *err, const char *what)
{
	return ad_fail(err, ADTOOL_EFORMAT, "stats.txt: line %zu: %s", s->count + 1, what);
}

/* "WxH" and two blanks, whose end is returned; NULL: something else. */
static const char *parse_size(const char *at, const char *end, unsigned size[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		const char *first = at;

		for (size[i] = 0; at < end && *at >= '0' && *at <= '9' && at - first < 8; at++)
			size[i] = size[i] * 10 + (unsigned)(*at - '0');
		if (at == first || at == end || *at++ != (i ? ' ' : 'x'))
			return NULL;
	}
	return at < end && *at == ' ' ? at + 1 : NULL;
}

/* How many maps the picture has, by its size. */
static int count_maps(const struct ad_stats *s, const adtool_model *m, struct ad_kept *k, adtool_error *err)
{
	ad_tiling tiling;
	adtool_error why;

	if (!k->width || !k->height)
		return fail_line(s, err, "has no size of the picture");
	if (ad_tiles_of(&m->look, m->info.grid, k->width, k->height, &tiling, &why))
		return fail_line(s, err, why.message);
	k->maps = ad_tiles_seen(&tiling, m->look.mask, k->width, k->height);
	return k->maps ? 0 : fail_line(s, err, "has no tile");
}

static int parse_line(struct ad_stats *s, const adtool_model *m, const char *line, size_t size, adtool_error *err)
{
	struct ad_kept *k = &s->kept[s->count];
	const char *end = line + size, *name = line + 66;
	int tiles = m->info.geometry.tile_width > 0, code = 0;
	unsigned wide_high[2] = {0, 0};

	if (size < 67 || line[64] != ' ' || line[65] != ' ')
		return fail_line(s, err, "is no digest and name");
	if (tiles && !(name = parse_size(name, end, wide_high)))
		return fail_line(s, err, "has no size of the picture");
	if (name == end)
		return fail_line(s, err, "is no digest and name");
	k->width = wide_high[0];
	k->height = wide_high[1];
	if (memcmp(line, REFUSED, 64)) {
		memcpy(k->digest, line, 64);
		k->digest[64] = '\0';
		if (strspn(k->digest, "0123456789abcdef") != 64)
			return fail_line(s, err, "is no digest and name");
		k->maps = 1;
		if (tiles)
			code = count_maps(s, m, k, err);
		if (code)
			return code;
		if (k->maps > s->raw.maps.shape[0] - s->rows)
			return fail_line(s, err, "more pictures than maps");
		k->map = (const float *)s->raw.maps.data + s->rows * s->size;
		s->rows += k->maps;
	}
	k->name = unescaped(name, (size_t)(end - name));
	if (!k->name)
		return ad_fail_nomem(err);
	if (s->count && strcmp(k[-1].name, k->name) >= 0)
		code = fail_line(s, err, "names are not in ascending order");
	s->count++;
	return code;
}

int ad_stats_open(const adtool_model *m, struct ad_stats *out, adtool_error *err)
{
	struct ad_stats s = {0};
	const char *at, *end, *newline;
	size_t lines = 0;
	int code = 0;

	if (m->bundle) {
		code = ad_bundle_stats_load(m->bundle, &s.raw, err);
	} else {
		s.raw.maps = m->parts.stats;
		s.raw.names = m->parts.stats_names;
		s.raw.names_size = m->parts.stats_names_size;
	}
	if (code)
		return code;
	s.size = s.raw.maps.shape[1] * s.raw.maps.shape[2] * s.raw.maps.shape[3];
	at = s.raw.names;
	end = at + s.raw.names_size;
	if (memchr(at, '\0', s.raw.names_size) || end[-1] != '\n')
		code = ad_fail(err, ADTOOL_EFORMAT, "stats.txt: does not end in a newline, or holds NUL bytes");
	for (; !code && at < end; at++)
		lines += *at == '\n';
	if (!code) {
		s.kept = ad_calloc(lines, sizeof(*s.kept));
		if (!s.kept)
			code = ad_fail_nomem(err);
	}
	for (at = s.raw.names; !code && at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		code = parse_line(&s, m, at, (size_t)(newline - at), err);
	}
	if (!code && s.rows != s.raw.maps.shape[0])
		code = ad_fail(err, ADTOOL_EFORMAT, "stats.txt: names pictures of %zu maps where stats.npy has %zu",
			       s.rows, s.raw.maps.shape[0]);
	if (code) {
		ad_stats_release(&s);
		return code;
	}
	*out = s;
	return 0;
}

void ad_stats_release(struct ad_stats *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		ad_free(s->kept[i].name);
	ad_free(s->kept);
	ad_bundle_stats_release(&s->raw);
	memset(s, 0, sizeof(*s));
}
