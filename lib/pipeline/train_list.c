/*
 * The pictures of a training, by name. Names come first: how many pictures there are decides how to fit, and their
 * order must not depend on the inputs'.
 */
#include "trainer.h"

#include "../base/fail.h"
#include "../base/mem.h"

void ad_train_list_release(struct list *l)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		ad_free(l->entries[i].name);
		ad_free(l->entries[i].archive);
	}
	ad_free(l->entries);
	memset(l, 0, sizeof(*l));
}

int ad_train_list_add(struct list *l, const adtool_item *item, adtool_error *err)
{
	struct entry *e;

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 256;
		struct entry *more = ad_realloc_array(l->entries, capacity, sizeof(*more));

		if (!more)
			return ad_fail_nomem(err);
		l->entries = more;
		l->capacity = capacity;
	}
	e = &l->entries[l->count];
	e->place = l->count;
	e->kept = 0;
	e->name = ad_strdup(item->name);
	e->archive = item->archive ? ad_strdup(item->archive) : NULL;
	l->count++;
	return e->name && (e->archive || !item->archive) ? 0 : ad_fail_nomem(err);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->place < y->place ? -1 : 1;
}

void ad_train_list_sort(struct list *l)
{
	qsort(l->entries, l->count, sizeof(*l->entries), compare_entries);
}

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct entry *)element)->name);
}

struct entry *ad_train_list_find(const struct list *l, size_t count, const char *name)
{
	return bsearch(name, l->entries, count, sizeof(*l->entries), compare_name);
}

int ad_train_list_fill(const char *const *inputs, size_t count, const adtool_dataset_options *dataset_options,
		       const adtool_train_options *o, struct list *l, adtool_error *err)
{
	adtool_dataset *dataset = NULL;
	adtool_item item;
	size_t i, kept = 0;
	int code = adtool_dataset_open(inputs, count, dataset_options, &dataset, err), got = 0;

	while (!code && (got = adtool_dataset_next(dataset, &item, err)) > 0) {
		if (item.code) {
			ad_train_refused(o, item.name, item.code, item.why);
			l->refused++;
			continue;
		}
		code = ad_train_list_add(l, &item, err);
		if (!code && l->count % 256 == 0)
			code = ad_train_progress(o, "listing", l->count, 0, err);
	}
	if (!code && got < 0)
		code = got;
	if (!code)
		l->passed_over = adtool_dataset_passed_over(dataset);
	adtool_dataset_free(dataset);
	if (code || !l->count)
		return code;
	ad_train_list_sort(l);
	/* The same picture given twice would calibrate on itself. */
	for (i = 0; i < l->count; i++) {
		if (kept && !strcmp(l->entries[kept - 1].name, l->entries[i].name)) {
			ad_free(l->entries[i].name);
			ad_free(l->entries[i].archive);
		} else {
			l->entries[kept++] = l->entries[i];
		}
	}
	l->count = kept;
	return 0;
}
