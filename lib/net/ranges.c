#include "ranges.h"

#include <math.h>

#include "../base/fail.h"
#include "../base/mem.h"
#include "graph_internal.h"
#include "plan.h"

struct ad_observer {
	ad_plan *plan;
	size_t n;
	const char **names; /* in text */
	size_t *counts;     /* floats of each */
	size_t *channels, all;
	float *ranges;
	char *text;
};

/* A tensor whose name fits a line, and that a convolution reads or makes. */
static int is_wanted(const ad_graph *g, int value, unsigned char *wanted)
{
	const ad_value *v = &g->values[value];

	if (wanted[value] || v->rank != 4 || v->dims[0] != 1 || !*v->name || strpbrk(v->name, "\n\r"))
		return 0;
	wanted[value] = 1;
	return 1;
}

static int list_tensors(ad_observer *o, const ad_graph *g, adtool_error *err)
{
	unsigned char *wanted = ad_calloc(g->n_values, 1);
	size_t text = 0, at = 0;

	o->names = ad_malloc_array(g->n_values, sizeof(*o->names));
	o->counts = ad_malloc_array(g->n_values, sizeof(*o->counts));
	o->channels = ad_malloc_array(g->n_values, sizeof(*o->channels));
	if (!wanted || !o->names || !o->counts || !o->channels) {
		ad_free(wanted);
		return ad_fail_nomem(err);
	}
	for (size_t i = 0; i < g->n_nodes; i++) {
		const ad_node *n = &g->nodes[i];

		for (size_t j = 0; n->op == AD_OP_CONV && j <= n->n_inputs; j++) {
			int v = j < n->n_inputs ? n->inputs[j] : n->output;

			if (!is_wanted(g, v, wanted))
				continue;
			o->names[o->n] = g->values[v].name;
			o->counts[o->n] = g->values[v].count;
			o->channels[o->n++] = g->values[v].dims[1];
			o->all += g->values[v].dims[1];
			text += strlen(g->values[v].name) + 1;
		}
	}
	ad_free(wanted);
	if (!o->n)
		return ad_fail(err, ADTOOL_EUNSUPPORTED, "there is no convolution in it to be done in 8 bits");
	/* The graph goes. */
	o->text = ad_malloc(text);
	o->ranges = ad_calloc(o->all, 2 * sizeof(*o->ranges));
	if (!o->text || !o->ranges)
		return ad_fail_nomem(err);
	for (size_t i = 0; i < o->n; i++) {
		size_t size = strlen(o->names[i]) + 1;

		memcpy(o->text + at, o->names[i], size);
		o->names[i] = o->text + at;
		at += size;
	}
	return 0;
}

int ad_observer_create(const adtool_backbone *backbone, const char *layer, unsigned width, unsigned height,
		       ad_pool *pool, ad_observer **out, adtool_error *err)
{
	const size_t shape[3] = {3, height, width};
	ad_observer *o = ad_calloc(1, sizeof(*o));
	ad_graph *graph = NULL;
	int code = o ? ad_backbone_graph(backbone, layer, shape, &graph, err) : ad_fail_nomem(err);

	if (!code)
		code = list_tensors(o, graph, err);
	if (!code)
		code = ad_plan_create_layers(backbone, o->names, o->n, width, height, pool, &o->plan, err);
	ad_graph_free(graph);
	if (code)
		ad_observer_free(o);
	else
		*out = o;
	return code;
}

void ad_observer_free(ad_observer *o)
{
	if (!o)
		return;
	ad_plan_free(o->plan);
	ad_free(o->names);
	ad_free(o->counts);
	ad_free(o->channels);
	ad_free(o->ranges);
	ad_free(o->text);
	ad_free(o);
}

const ad_plan *ad_observer_plan(const ad_observer *o)
{
	return o->plan;
}

int ad_observer_add(ad_observer *o, const float *outputs, adtool_error *err)
{
	float *range = o->ranges;

	for (size_t i = 0; i < o->n; i++) {
		size_t inner = o->counts[i] / o->channels[i];

		for (size_t c = 0; c < o->channels[i]; c++, range += 2, outputs += inner) {
			float low = range[0], high = range[1], sum = 0;

			for (size_t j = 0; j < inner; j++) {
				low = outputs[j] < low ? outputs[j] : low;
				high = outputs[j] > high ? outputs[j] : high;
				sum += outputs[j] - outputs[j]; /* 0, unless one is not finite */
			}
			if (sum != 0 || isnan(sum))
				return ad_fail(err, ADTOOL_ENUMERIC, "tensor '%.100s' has values that are not finite",
					       o->names[i]);
			range[0] = low;
			range[1] = high;
		}
	}
	return 0;
}

int ad_observer_finish(const ad_observer *o, ad_buf *names, float **ranges, size_t *count, adtool_error *err)
{
	float *copy = ad_malloc_array(o->all, 2 * sizeof(*copy));

	for (size_t i = 0; i < o->n; i++)
		ad_buf_printf(names, "%zu %s\n", o->channels[i], o->names[i]);
	if (!copy || names->failed) {
		ad_free(copy);
		return ad_fail_nomem(err);
	}
	memcpy(copy, o->ranges, o->all * 2 * sizeof(*copy));
	*ranges = copy;
	*count = o->all;
	return 0;
}

/* -- plans ------------------------------------------------------------------------------------------- */

struct named {
	const char *name;
	size_t length, channels;
	const ad_range *ranges;
};

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->length < y->length ? x->length : y->length);

	return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* A line: digits, a blank, a name. Returns what follows it, or NULL. */
static const char *parse_line(const char *at, const char *end, struct named *out)
{
	const char *line = memchr(at, '\n', (size_t)(end - at));
	size_t channels = 0;

	if (!line)
		return NULL;
	for (; at < line && *at >= '0' && *at <= '9' && channels < AD_MAX_TENSOR; at++)
		channels = channels * 10 + (size_t)(*at - '0');
	if (!channels || at + 1 >= line || *at != ' ')
		return NULL;
	*out = (struct named){at + 1, (size_t)(line - at - 1), channels, NULL};
	return line + 1;
}

static int sort_names(const ad_ranges *r, struct named *list, size_t *count, adtool_error *err)
{
	const char *at = r->names, *end = at + r->names_size;
	size_t n = 0, used = 0;

	while (at < end) {
		const char *next = parse_line(at, end, &list[n]);

		if (!next || list[n].channels > r->count - used)
			break;
		list[n].ranges = (const ad_range *)(const void *)(r->ranges + 2 * used);
		used += list[n++].channels;
		at = next;
	}
	if (at < end || used < r->count)
		return ad_fail(err, ADTOOL_EFORMAT, "line %zu of the ranges' names does not fit %zu ranges", n + 1,
			       r->count);
	qsort(list, n, sizeof(*list), compare_named);
	for (size_t i = 1; i < n; i++)
		if (!compare_named(&list[i - 1], &list[i]))
			return ad_fail(err, ADTOOL_EFORMAT, "there are two lines of ranges for '%.*s'",
				       (int)(list[i].length < 100 ? list[i].length : 100), list[i].name);
	*count = n;
	return 0;
}

static size_t lines_of(const ad_ranges *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->names_size; i++)
		n += r->names[i] == '\n';
	return n;
}

int ad_ranges_match(const ad_graph *graph, const ad_ranges *ranges, const ad_range ***out, adtool_error *err)
{
	struct named *list = ad_malloc_array(lines_of(ranges) + 1, sizeof(*list));
	const ad_range **of_values = ad_calloc(graph->n_values, sizeof(*of_values));
	size_t n = 0;
	int code = list && of_values ? sort_names(ranges, list, &n, err) : ad_fail_nomem(err);

	for (size_t i = 0; !code && i < graph->n_values; i++) {
		const ad_value *v = &graph->values[i];
		const struct named key = {v->name, strlen(v->name), 0, NULL};
		const struct named *found = n ? bsearch(&key, list, n, sizeof(*list), compare_named) : NULL;

		if (found && v->rank == 4 && found->channels == v->dims[1])
			of_values[i] = found->ranges;
	}
	ad_free(list);
	if (code)
		ad_free(of_values);
	else
		*out = of_values;
	return code;
}
