/*
 * The lines of stats.txt: what a model says of the pictures it keeps, with and without tiles; and what it may not say.
 */
#include "../../lib/pipeline/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define REFUSED "----------------------------------------------------------------"

static float maps[64 * 4];

/* Maps of 2 x 2 x 1; tiles of 10 x 10. */
static int open_stats(const char *text, unsigned tile, size_t count, struct ad_stats *out, adtool_error *err)
{
	static adtool_model m;

	memset(&m, 0, sizeof(m));
	m.info.grid = 2;
	m.look.geometry.tile_width = m.look.geometry.tile_height = tile;
	m.info.geometry = m.look.geometry;
	m.parts.stats =
	    (ad_npy){.item_size = 4, .ndim = 4, .shape = {count, 1, 2, 2}, .count = count * 4, .data = maps};
	m.parts.stats_names = text;
	m.parts.stats_names_size = strlen(text);
	return ad_stats_open(&m, out, err);
}

static void lines_are_what_is_written(void **state)
{
	static const unsigned sizes[2][2] = {{25, 10}, {9, 31}};
	struct ad_stats s;
	adtool_error err;
	ad_buf text = {0};

	(void)state;
	ad_stats_line(&text, DIGEST, sizes[0], "a  b\\\n");
	ad_stats_line(&text, NULL, (const unsigned[2]){0, 0}, "b");
	ad_stats_line(&text, DIGEST, sizes[1], "c");
	/* 3 x 1 tiles, and 1 x 4. */
	assert_int_equal(open_stats(ad_buf_text(&text), 10, 7, &s, &err), 0);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.rows, 7);
	assert_string_equal(s.kept[0].name, "a  b\\\n");
	assert_string_equal(s.kept[0].digest, DIGEST);
	assert_int_equal(s.kept[0].width, 25);
	assert_int_equal(s.kept[0].height, 10);
	assert_int_equal(s.kept[0].maps, 3);
	assert_ptr_equal(s.kept[0].map, maps);
	assert_null(s.kept[1].map);
	assert_int_equal(s.kept[2].maps, 4);
	assert_ptr_equal(s.kept[2].map, maps + 3 * 4);
	ad_stats_release(&s);
	ad_buf_release(&text);
	ad_stats_line(&text, DIGEST, NULL, "10x10  c");
	assert_int_equal(open_stats(ad_buf_text(&text), 0, 1, &s, &err), 0);
	assert_string_equal(s.kept[0].name, "10x10  c");
	assert_int_equal(s.kept[0].width, 0);
	ad_stats_release(&s);
	ad_buf_release(&text);
}

static void damage_is_told_of(void **state)
{
	static const struct {
		const char *text;
		unsigned tile;
		size_t count;
		const char *why;
	} wrong[] = {
		{DIGEST "  a\n", 10, 1, "line 1: has no size of the picture"},
		{DIGEST "  10x  a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  x10  a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  10x10 a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  10x10\n", 10, 1, "line 1: has no size"},
		{DIGEST "  10 x10  a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  -1x10  a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  123456789x10  a\n", 10, 1, "line 1: has no size"},
		{DIGEST "  10x10  \n", 10, 1, "line 1: is no digest and name"},
		{DIGEST "  0x10  a\n", 10, 1, "line 1: "},
		{DIGEST "  99999999x99999999  a\n", 10, 1, "line 1: "},
		{DIGEST "  20x10  a\n", 10, 1, "line 1: more pictures than maps"},
		{DIGEST "  10x10  a\n" DIGEST "  10x10  b\n", 10, 1, "line 2: more pictures than maps"},
		{DIGEST "  10x10  a\n", 10, 2, "names pictures of 1 maps where stats.npy has 2"},
		{DIGEST "  10x10  b\n" DIGEST "  10x10  a\n", 10, 2, "line 2: names are not in ascending order"},
		{REFUSED "  b\n", 10, 1, "line 1: has no size of the picture"},
		{DIGEST "  10x10  a", 10, 1, "does not end in a newline"},
		{DIGEST " 10x10  a\n", 10, 1, "line 1: is no digest and name"},
		{"\n", 0, 1, "line 1: is no digest and name"},
		{DIGEST "  a\n" DIGEST "  b\n", 0, 1, "line 2: more pictures than maps"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct ad_stats s;
		adtool_error err;

		assert_int_equal(open_stats(wrong[i].text, wrong[i].tile, wrong[i].count, &s, &err), ADTOOL_EFORMAT);
		if (!strstr(err.message, wrong[i].why))
			fail_msg("'%s' is not in '%s'", wrong[i].why, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_what_is_written),
		cmocka_unit_test(damage_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
