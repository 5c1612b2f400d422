/* Groups: which pictures show the same part, by their names. */
#include <regex.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "pipeline.h"

struct key {
	const char *text;
	size_t size, picture;
	int alone; /* matches nothing: a group of its own */
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	size_t size = x->size < y->size ? x->size : y->size;
	int order = size ? memcmp(x->text, y->text, size) : 0;

	if (x->alone != y->alone)
		return x->alone - y->alone;
	if (!x->alone && order)
		return order;
	if (!x->alone && x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return x->picture < y->picture ? -1 : x->picture > y->picture;
}

static int same_group(const struct key *a, const struct key *b)
{
	return !a->alone && !b->alone && a->size == b->size && (!a->size || !memcmp(a->text, b->text, a->size));
}

/* The folder, or the archive and the folder in it. */
static void folder_key(const char *name, const char *archive, struct key *out)
{
	const char *slash = strrchr(name, '/');
	size_t size = slash ? (size_t)(slash - name) : 0, least = archive ? strlen(archive) : 0;

	out->text = name;
	out->size = size > least ? size : least;
}

/* What the first bracket matches, else what the whole does. */
static void regex_key(const regex_t *regex, const char *name, struct key *out)
{
	regmatch_t match[2];

	out->alone = regexec(regex, name, 2, match, 0) != 0;
	if (out->alone)
		return;
	if (match[1].rm_so < 0)
		match[1] = match[0];
	out->text = name + match[1].rm_so;
	out->size = (size_t)(match[1].rm_eo - match[1].rm_so);
}

int ad_groups_by(const char *by, const char *const *names, const char *const *archives, size_t n, size_t *group,
		 size_t *count, size_t *largest, adtool_error *err)
{
	struct key *keys = ad_calloc(n, sizeof(*keys));
	int folders = !strcmp(by, "dir"), code = 0, failed;
	size_t i, groups = 0, size = 0, most = 0;
	regex_t regex;
	char why[256];

	if (!keys)
		return ad_fail_nomem(err);
	if (!folders) {
		failed = regcomp(&regex, by, REG_EXTENDED);
		if (failed) {
			regerror(failed, &regex, why, sizeof(why));
			ad_free(keys);
			return ad_fail(err, ADTOOL_EINVAL, "group by '%.200s': %s", by, why);
		}
	}
	for (i = 0; i < n; i++) {
		keys[i].picture = i;
		if (folders)
			folder_key(names[i], archives[i], &keys[i]);
		else
			regex_key(&regex, names[i], &keys[i]);
	}
	if (!folders)
		regfree(&regex);
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (i = 0; i < n; i++) {
		if (!i || !same_group(&keys[i - 1], &keys[i])) {
			groups++;
			size = 0;
		}
		if (++size > most)
			most = size;
		group[keys[i].picture] = groups - 1;
	}
	ad_free(keys);
	if (groups < 2)
		code = ad_fail(err, ADTOOL_EINVAL, "group by '%.200s': all %zu pictures are of one group", by, n);
	if (!code) {
		*count = groups;
		*largest = most;
	}
	return code;
}
