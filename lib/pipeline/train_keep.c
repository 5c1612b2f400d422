/* Stats: the maps of all pictures, kept from the first training to the last update. */
#include "trainer.h"

#include "../base/fail.h"
#include "../base/mem.h"

int ad_train_merge_kept(struct trainer *t, adtool_error *err)
{
	const adtool_train_options *o = t->options;
	const adtool_model_info *old = &o->from->info;
	struct list *l = &t->list;
	size_t fresh = l->count, mapless = 0, named, i;
	int code;

	if (!adtool_model_keeps_stats(o->from))
		return ad_fail(
		    err, ADTOOL_EINVAL,
		    "the model keeps no stats, so it cannot be updated: train it again on all pictures, keeping stats");
	if (strcmp(o->layer ? o->layer : "", old->layer) || o->width != old->width || o->height != old->height ||
	    o->method != old->method || o->precision != old->precision || t->extractor.grid != old->grid ||
	    o->mask != o->from->mask_image ||
	    !ad_look_same(&o->geometry, &old->geometry))
		return ad_fail(err, ADTOOL_EINVAL,
			       "an update keeps layer, input size, geometry, mask, precision, grid and method");
	if (!fresh)
		return ad_fail(err, ADTOOL_EINVAL, "no new picture");
	code = ad_stats_open(o->from, &t->stats, err);
	for (i = 0; !code && i < t->stats.count; i++) {
		adtool_item item = {.name = t->stats.kept[i].name};

		mapless += !t->stats.kept[i].map;
		if (ad_train_list_find(l, fresh, item.name))
			continue;
		code = ad_train_list_add(l, &item, err);
		if (code)
			break;
		l->entries[l->count - 1].kept = i + 1;
		t->refused += !t->stats.kept[i].map;
	}
	if (code)
		return code;
	/*
	 * Those that were refused by their folder or archive have no name; dropped ones look like those that have one.
	 */
	named = mapless > old->pictures_dropped ? mapless - old->pictures_dropped : 0;
	l->refused += old->pictures_refused > named ? old->pictures_refused - named : 0;
	t->dropped_before = old->pictures_dropped < t->refused ? old->pictures_dropped : t->refused;
	ad_train_list_sort(l);
	return 0;
}

static int compare_digests(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int ad_train_take_kept(struct trainer *t, adtool_error *err)
{
	size_t size = ad_extractor_pooled(&t->extractor) * sizeof(float), n = t->list.count, known = 0, i, kept = 0;
	const char **digests = ad_malloc_array(n, sizeof(*digests));

	if (!digests)
		return ad_fail_nomem(err);
	for (i = 0; i < n; i++) {
		size_t index = t->list.entries[i].kept;
		const struct ad_kept *k = index ? &t->stats.kept[index - 1] : NULL;

		if (!k || !k->map)
			continue;
		if (t->tiles)
			t->tiles[i] = (struct ad_tiles){k->width, k->height, k->maps, k->map, NULL};
		else
			memcpy(t->pooled + i * (size / sizeof(float)), k->map, size);
		memcpy(t->digests[i], k->digest, sizeof(k->digest));
		t->used[i] = 1;
		digests[known++] = k->digest;
	}
	qsort(digests, known, sizeof(*digests), compare_digests);
	for (i = 0; i < n; i++) {
		const char *digest = t->digests[i];

		if (!t->list.entries[i].kept && t->used[i] &&
		    bsearch(&digest, digests, known, sizeof(*digests), compare_digests)) {
			ad_free(t->list.entries[i].name);
			ad_free(t->list.entries[i].archive);
			if (t->thumbnails)
				ad_buf_release(&t->thumbnails[i].jpeg);
			if (t->tiles)
				ad_train_tiles_release(&t->tiles[i]);
			t->known++;
			continue;
		}
		if (kept < i) {
			t->list.entries[kept] = t->list.entries[i];
			t->used[kept] = t->used[i];
			memcpy(t->digests[kept], t->digests[i], sizeof(t->digests[i]));
			if (t->thumbnails) {
				t->thumbnails[kept] = t->thumbnails[i];
				memset(&t->thumbnails[i], 0, sizeof(*t->thumbnails));
			}
			if (t->tiles) {
				t->tiles[kept] = t->tiles[i];
				memset(&t->tiles[i], 0, sizeof(*t->tiles));
			} else {
				memcpy(t->pooled + kept * (size / sizeof(float)),
				       t->pooled + i * (size / sizeof(float)), size);
			}
		}
		kept++;
	}
	t->list.count = kept;
	ad_free(digests);
	return 0;
}

int ad_train_add_pooled(struct trainer *t, adtool_error *err)
{
	size_t cells = ad_extractor_cells(&t->extractor), size = ad_extractor_pooled(&t->extractor), i;
	float *row = ad_malloc_array(size, sizeof(float));
	int code = row ? 0 : ad_fail_nomem(err), sampled;

	for (sampled = 1; sampled >= 0; sampled--) {
		for (i = 0; !code && i < t->list.count; i++) {
			const float *map = t->pooled + i * size;

			if (!t->used[i] || t->sampled[i] != sampled)
				continue;
			if (t->basis.from)
				ad_channels_apply(&t->basis, map, cells, row);
			code = ad_fitter_add(t->fitter, i, t->basis.from ? row : map, err);
			if (code)
				code = ad_fail_within(err, code, "%s", t->list.entries[i].name);
		}
	}
	ad_free(row);
	return code;
}

/* Moves the maps of the pictures used together, where they are. */
static size_t join_pooled(adtool_model *m, struct trainer *t, size_t size)
{
	size_t rows = 0, i;

	for (i = 0; i < t->list.count; i++) {
		if (!t->used[i])
			continue;
		if (rows < i)
			memcpy(t->pooled + rows * size, t->pooled + i * size, size * sizeof(float));
		rows++;
	}
	m->stats = t->pooled;
	t->pooled = NULL;
	return rows;
}

/* Copies them picture by picture, so that there is never more than one of them twice. */
static int join_tiles(adtool_model *m, struct trainer *t, size_t size, size_t *rows, adtool_error *err)
{
	size_t n = 0, at = 0, i;

	for (i = 0; i < t->list.count; i++)
		n += t->used[i] ? t->tiles[i].count : 0;
	m->stats = ad_malloc_aligned(n, size * sizeof(float));
	if (!m->stats)
		return ad_fail_nomem(err);
	for (i = 0; i < t->list.count; i++) {
		if (t->used[i]) {
			memcpy(m->stats + at * size, t->tiles[i].rows, t->tiles[i].count * size * sizeof(float));
			at += t->tiles[i].count;
		}
		ad_train_tiles_release(&t->tiles[i]);
	}
	m->info.tiles_kept = n;
	*rows = n;
	return 0;
}

int ad_train_fill_stats(adtool_model *m, struct trainer *t, adtool_error *err)
{
	size_t size = ad_extractor_pooled(&t->extractor), i, rows = 0;
	size_t g = t->extractor.grid, high = t->extractor.cells ? 1 : g,
	       wide = t->extractor.cells ? t->extractor.cells->count : g;
	int code = 0;

	for (i = 0; i < t->list.count; i++) {
		const struct ad_tiles *tiles = t->tiles && t->used[i] ? &t->tiles[i] : NULL;
		const unsigned shape[2] = {tiles ? tiles->width : 0, tiles ? tiles->height : 0};

		ad_stats_line(&m->stats_names, t->used[i] ? t->digests[i] : NULL, t->tiles ? shape : NULL,
			      t->list.entries[i].name);
	}
	if (m->stats_names.failed)
		return ad_fail_nomem(err);
	if (t->tiles)
		code = join_tiles(m, t, size, &rows, err);
	else
		rows = join_pooled(m, t, size);
	if (code)
		return code;
	m->parts.stats = (ad_npy){.item_size = 4, .ndim = 4, .shape = {rows, t->extractor.shape[0], high, wide},
				  .count = rows * size, .data = m->stats};
	m->parts.stats_names = ad_buf_text(&m->stats_names);
	m->parts.stats_names_size = m->stats_names.size;
	return 0;
}
