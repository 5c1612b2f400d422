#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"
#include "backbone.h"
#include "embedded.h"
#include "onnx.h"
#include "plan.h"

struct layer {
	char *name;
	int stride, channels;
};

/* What is found out only when asked for; the rest of a backbone never changes. */
struct digest {
	pthread_mutex_t lock;
	int known;
	char sha256[65];
};

struct adtool_backbone {
	ad_buf owned; /* the file's bytes, when they are this backbone's own */
	const uint8_t *bytes;
	size_t size;
	ad_onnx *onnx;
	char *name;
	adtool_preprocessing preprocessing;
	struct layer *layers;
	size_t n_layers, default_layer;
	int64_t parameters;
	struct digest *digest;
};

/* -- metadata ------------------------------------------------------------------------------------------ */

/* A decimal number at *text; moves it behind. strtod would follow the locale. */
static int parse_number(const char **text, double *out)
{
	const char *s = *text;
	int negative = *s == '-', digits = 0, exponent = 0, scale = 0, sign = 1;
	double value = 0;

	s += *s == '-' || *s == '+';
	for (; *s >= '0' && *s <= '9'; s++, digits++)
		value = value * 10 + (*s - '0');
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, digits++, scale--)
			value = value * 10 + (*s - '0');
	if (!digits || digits > 30)
		return -1;
	if (*s == 'e' || *s == 'E') {
		s++;
		sign = *s == '-' ? -1 : 1;
		s += *s == '-' || *s == '+';
		if (*s < '0' || *s > '9')
			return -1;
		for (; *s >= '0' && *s <= '9'; s++)
			if (exponent < 1000)
				exponent = exponent * 10 + (*s - '0');
	}
	scale += sign * exponent;
	value = scale < 0 ? value / pow(10, -scale) : value * pow(10, scale);
	*out = negative ? -value : value;
	*text = s;
	return isfinite(value) ? 0 : -1;
}

static const char *skip_spaces(const char *s)
{
	while (*s == ' ')
		s++;
	return s;
}

/* One number for all channels, or three. */
static int parse_triple(const adtool_backbone *b, const char *key, float missing, float out[3], adtool_error *err)
{
	const char *text = ad_onnx_metadata(b->onnx, key), *s;
	double value;
	int i;

	for (i = 0; i < 3; i++)
		out[i] = missing;
	if (!text)
		return 0;
	s = skip_spaces(text);
	for (i = 0; i < 3; i++) {
		if (parse_number(&s, &value) || fabs(value) > 1e30)
			goto bad;
		out[i] = (float)value;
		s = skip_spaces(s);
		if (!*s && i == 0) {
			out[1] = out[2] = out[0];
			return 0;
		}
		if (i < 2 && *s++ != ',')
			goto bad;
		s = skip_spaces(s);
	}
	if (!*s)
		return 0;
bad:
	return ad_fail(err, ADTOOL_EFORMAT,
		       "metadata: %s is '%.80s'; one number or three with commas between are needed", key, text);
}

static int parse_preprocessing(adtool_backbone *b, adtool_error *err)
{
	const char *color = ad_onnx_metadata(b->onnx, "color"), *range = ad_onnx_metadata(b->onnx, "range");
	adtool_preprocessing *p = &b->preprocessing;
	int code, i;

	if (color && strcmp(color, "rgb") && strcmp(color, "bgr"))
		return ad_fail(err, ADTOOL_EFORMAT, "metadata: color is '%.80s'; rgb and bgr are known", color);
	p->bgr = color && !strcmp(color, "bgr");
	if (range && strcmp(range, "0..255") && strcmp(range, "0..1"))
		return ad_fail(err, ADTOOL_EFORMAT, "metadata: range is '%.80s'; 0..255 and 0..1 are known", range);
	p->range = range && !strcmp(range, "0..1") ? 1 : 255;
	code = parse_triple(b, "mean", 0, p->mean, err);
	if (!code)
		code = parse_triple(b, "std", 1, p->std, err);
	for (i = 0; i < 3 && !code; i++)
		if (!(p->std[i] > 0))
			code = ad_fail(err, ADTOOL_EFORMAT, "metadata: std is not above 0");
	return code;
}

int adtool_backbone_set_preprocessing(adtool_backbone *b, const adtool_preprocessing *p, adtool_error *err)
{
	if (p->range != 1 && p->range != 255)
		return ad_fail(err, ADTOOL_EINVAL, "a range of %g; 1 and 255 are known", (double)p->range);
	for (int i = 0; i < 3; i++) {
		if (!isfinite(p->mean[i]))
			return ad_fail(err, ADTOOL_EINVAL, "a mean that is not finite");
		if (!isfinite(p->std[i]) || !(p->std[i] > 0))
			return ad_fail(err, ADTOOL_EINVAL, "a standard deviation of %g; it must be above 0",
				       (double)p->std[i]);
	}
	b->preprocessing = *p;
	b->preprocessing.bgr = p->bgr != 0;
	return 0;
}

/* A whole number of at most six digits at *text; moves it behind. */
static int parse_count(const char **text, int *out)
{
	const char *s = *text;
	int value = 0, digits = 0;

	for (; *s >= '0' && *s <= '9' && digits < 6; s++, digits++)
		value = value * 10 + (*s - '0');
	*text = s;
	*out = value;
	return digits && value ? 0 : -1;
}

static int add_layer(adtool_backbone *b, const char *name, size_t length, int stride, int channels, adtool_error *err)
{
	struct layer *bigger = ad_realloc_array(b->layers, b->n_layers + 1, sizeof(*bigger)), *layer;

	if (!bigger)
		return ad_fail_nomem(err);
	b->layers = bigger;
	layer = &b->layers[b->n_layers];
	*layer = (struct layer){ad_strndup(name, length), stride, channels};
	if (!layer->name)
		return ad_fail_nomem(err);
	b->n_layers++;
	if (ad_onnx_find(b->onnx, layer->name) < 0)
		return ad_fail(err, ADTOOL_EFORMAT, "metadata: there is no tensor '%.200s' to be a layer", layer->name);
	return 0;
}

/* name[:/stride[:channels]] with commas between. */
static int parse_layers(adtool_backbone *b, adtool_error *err)
{
	const char *text = ad_onnx_metadata(b->onnx, "layers"), *s = text, *end, *mark, *at;
	int stride, channels, code;

	for (; s && *(s = skip_spaces(s)); s = *end ? end + 1 : end) {
		end = strchrnul(s, ',');
		for (mark = end, at = s; at + 1 < end; at++)
			if (at[0] == ':' && at[1] == '/')
				mark = at;
		stride = channels = 0;
		at = mark + 2;
		if (mark < end && (parse_count(&at, &stride) || (*at == ':' && (at++, parse_count(&at, &channels))) ||
				   skip_spaces(at) < end))
			return ad_fail(err, ADTOOL_EFORMAT,
				       "metadata: layers has '%.*s'; NAME:/STRIDE:CHANNELS is needed",
				       end - s > 80 ? 80 : (int)(end - s), s);
		code = add_layer(b, s, (size_t)(mark - s), stride, channels, err);
		if (code)
			return code;
	}
	return 0;
}

/* The metadata's layers, then the graph's other outputs. */
static int find_layers(adtool_backbone *b, adtool_error *err)
{
	const Ad__GraphProto *g = b->onnx->graph;
	const char *wanted = ad_onnx_metadata(b->onnx, "default_layer");
	size_t i, j, listed;
	int code = parse_layers(b, err);

	if (code)
		return code;
	listed = b->n_layers;
	for (i = 0; i < g->n_output; i++) {
		const char *name = g->output[i]->name;

		for (j = 0; j < b->n_layers && name && strcmp(b->layers[j].name, name); j++)
			;
		if (!name || j < b->n_layers)
			continue;
		code = add_layer(b, name, strlen(name), 0, 0, err);
		if (code)
			return code;
	}
	if (!b->n_layers && !wanted)
		return ad_fail(err, ADTOOL_EFORMAT, "the graph has no output");
	if (!wanted) {
		b->default_layer = (listed ? listed : b->n_layers) - 1;
		return 0;
	}
	for (j = 0; j < b->n_layers && strcmp(b->layers[j].name, wanted); j++)
		;
	b->default_layer = j;
	return j < b->n_layers ? 0 : add_layer(b, wanted, strlen(wanted), 0, 0, err);
}

/* -- opening ------------------------------------------------------------------------------------------- */

static int count_parameters(adtool_backbone *b, adtool_error *err)
{
	const ad_onnx *onnx = b->onnx;
	uint8_t *used = ad_calloc(onnx->n_tensors, 1);
	size_t i, count;
	int code = 0;

	if (!used)
		return ad_fail_nomem(err);
	for (i = 0; i < onnx->first[onnx->graph->n_node]; i++)
		if (onnx->reads[i] >= 0)
			used[onnx->reads[i]] = 1;
	for (i = 0; i < onnx->n_tensors && !code; i++) {
		if (!used[i] || onnx->tensors[i].source != AD_FROM_INITIALIZER)
			continue;
		code = ad_onnx_count(onnx->graph->initializer[onnx->tensors[i].index], &count, err);
		if (!code)
			b->parameters += (int64_t)count;
	}
	ad_free(used);
	return code;
}

/* name: what to call it when its metadata do not say; may be NULL. */
static int finish_open(adtool_backbone *b, const char *name, adtool_error *err)
{
	const char *own;
	int code = ad_onnx_open(b->bytes, b->size, &b->onnx, err);

	if (!code)
		code = parse_preprocessing(b, err);
	if (!code)
		code = find_layers(b, err);
	if (!code)
		code = count_parameters(b, err);
	if (code)
		return code;
	own = ad_onnx_metadata(b->onnx, "name");
	b->name = ad_strdup(own && *own ? own : name ? name : "");
	b->digest = ad_calloc(1, sizeof(*b->digest));
	if (!b->name || !b->digest)
		return ad_fail_nomem(err);
	if (pthread_mutex_init(&b->digest->lock, NULL)) {
		ad_free(b->digest);
		b->digest = NULL;
		return ad_fail_nomem(err);
	}
	return 0;
}

/* bytes == NULL: those of `owned`, which is taken over in any case. */
static int open_bytes(const void *bytes, size_t size, ad_buf owned, const char *name, adtool_backbone **out,
		      adtool_error *err)
{
	adtool_backbone *b = ad_calloc(1, sizeof(*b));
	int code;

	if (!b) {
		ad_buf_release(&owned);
		return ad_fail_nomem(err);
	}
	b->owned = owned;
	b->bytes = bytes ? bytes : owned.data;
	b->size = bytes ? size : owned.size;
	code = finish_open(b, name, err);
	if (code) {
		adtool_backbone_free(b);
		return code;
	}
	*out = b;
	return 0;
}

static int open_file(const char *path, adtool_backbone **out, adtool_error *err)
{
	const char *base = strrchr(path, '/');
	ad_buf bytes = {0};
	char *stem;
	size_t length;
	int code = ad_file_read(path, AD_ONNX_MAX_BYTES, &bytes, err);

	base = base ? base + 1 : path;
	length = strlen(base);
	if (length > 5 && !strcmp(base + length - 5, ".onnx"))
		length -= 5;
	stem = ad_strndup(base, length);
	if (!code && !stem)
		code = ad_fail_nomem(err);
	if (code)
		ad_buf_release(&bytes);
	else
		code = open_bytes(NULL, 0, bytes, stem, out, err);
	ad_free(stem);
	return code;
}

int ad_backbone_open_view(const void *onnx, size_t size, adtool_backbone **out, adtool_error *err)
{
	return open_bytes(onnx ? onnx : "", onnx ? size : 0, (ad_buf){0}, NULL, out, err);
}

int adtool_backbone_open_memory(const void *onnx, size_t size, adtool_backbone **out, adtool_error *err)
{
	ad_buf copy = {0};

	if (size > AD_ONNX_MAX_BYTES)
		return ad_backbone_open_view(onnx, size, out, err);
	if (ad_buf_add(&copy, onnx, size)) {
		ad_buf_release(&copy);
		return ad_fail_nomem(err);
	}
	return open_bytes(NULL, 0, copy, NULL, out, err);
}

/*
 * The folders where backbones are looked for, in order: fn(folder, context) until one call gives other than 0,
 * which is returned.
 */
static int each_folder(int (*fn)(const char *folder, void *context), void *context, adtool_error *err)
{
	const char *list = getenv("ADTOOL_BACKBONES"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	ad_buf path = {0};
	int result = 0;

	while (list && *list && !result) {
		const char *end = strchrnul(list, ':');

		ad_buf_clear(&path);
		ad_buf_add(&path, list, (size_t)(end - list));
		if (path.size && !path.failed)
			result = fn((const char *)path.data, context);
		list = *end ? end + 1 : end;
	}
	ad_buf_clear(&path);
	/* The XDG specification: a relative path there is to be ignored. */
	if (data && *data == '/')
		ad_buf_printf(&path, "%s/adtool/backbones", data);
	else if (home && *home)
		ad_buf_printf(&path, "%s/.local/share/adtool/backbones", home);
	if (!result && path.size && !path.failed)
		result = fn((const char *)path.data, context);
	if (path.failed)
		result = ad_fail_nomem(err);
	ad_buf_release(&path);
	return result ? result : fn(ADTOOL_DATADIR "/backbones", context);
}

struct search {
	const char *name;
	char *path; /* what was found */
	int failed;
};

static int look_in(const char *folder, void *context)
{
	struct search *search = context;
	ad_buf path = {0};
	int found = 0;

	ad_buf_printf(&path, "%s/%s.onnx", folder, search->name);
	if (path.failed) {
		search->failed = 1;
	} else if (!access((const char *)path.data, F_OK)) {
		search->path = ad_strdup((const char *)path.data);
		search->failed = !search->path;
		found = 1;
	}
	ad_buf_release(&path);
	return found || search->failed;
}

static int is_path(const char *name)
{
	size_t length = strlen(name);

	return strchr(name, '/') || (length > 5 && !strcmp(name + length - 5, ".onnx") && !access(name, F_OK));
}

int adtool_backbone_open(const char *name, adtool_backbone **out, adtool_error *err)
{
	struct search search = {.name = name};
	ad_embedded embedded;
	size_t i;
	int code;

	if (!name) {
		ad_embedded_at(0, &embedded);
		search.name = name = embedded.name;
	}
	if (is_path(name))
		return open_file(name, out, err);
	code = *name ? each_folder(look_in, &search, err) : 0;
	if (code < 0)
		return code;
	if (search.failed)
		return ad_fail_nomem(err);
	if (search.path) {
		code = open_file(search.path, out, err);
		if (code)
			ad_fail_within(err, code, "%s", search.path);
		ad_free(search.path);
		return code;
	}
	for (i = 0; ad_embedded_at(i, &embedded); i++)
		if (!strcmp(embedded.name, name))
			return open_bytes(embedded.data, embedded.size, (ad_buf){0}, name, out, err);
	if (!access(name, F_OK))
		return ad_fail(
		    err, ADTOOL_EINVAL,
		    "there is no backbone '%.200s' among those installed (adtool backbone list); the file of "
		    "that name is ./%.200s",
		    name, name);
	return ad_fail(err, ADTOOL_EINVAL,
		       "there is no backbone '%.200s': no such file, none of that name among those "
		       "installed (adtool backbone list)",
		       name);
}

void adtool_backbone_free(adtool_backbone *b)
{
	size_t i;

	if (!b)
		return;
	for (i = 0; i < b->n_layers; i++)
		ad_free(b->layers[i].name);
	ad_free(b->layers);
	ad_onnx_free(b->onnx);
	ad_free(b->name);
	if (b->digest)
		pthread_mutex_destroy(&b->digest->lock);
	ad_free(b->digest);
	ad_buf_release(&b->owned);
	ad_free(b);
}

/* -- listing ------------------------------------------------------------------------------------------- */

struct listing {
	int (*fn)(const char *name, const char *where, void *context);
	void *context;
	char **seen;
	size_t n_seen;
	adtool_error *err;
};

static int list_one(struct listing *l, const char *name, const char *where)
{
	char **bigger, *copy;
	size_t i;

	for (i = 0; i < l->n_seen; i++)
		if (!strcmp(l->seen[i], name))
			return 0;
	bigger = ad_realloc_array(l->seen, l->n_seen + 1, sizeof(*bigger));
	if (!bigger)
		return ad_fail_nomem(l->err);
	l->seen = bigger;
	copy = ad_strdup(name);
	if (!copy)
		return ad_fail_nomem(l->err);
	l->seen[l->n_seen++] = copy;
	return l->fn(name, where, l->context) ? ad_fail(l->err, ADTOOL_ECANCELLED, "listing was stopped") : 0;
}

static int is_onnx(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + length - 5, ".onnx");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A folder that is not there, or cannot be read, has no backbones. */
static int list_folder(const char *folder, void *context)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_onnx, by_bytes), i, code = 0;

	for (i = 0; i < n; i++) {
		entries[i]->d_name[strlen(entries[i]->d_name) - 5] = '\0';
		if (!code)
			code = list_one(context, entries[i]->d_name, folder);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return code;
}

int adtool_backbone_list(int (*fn)(const char *name, const char *where, void *context), void *context,
			 adtool_error *err)
{
	struct listing l = {.fn = fn, .context = context, .err = err};
	ad_embedded embedded;
	size_t i;
	int code = each_folder(list_folder, &l, err);

	for (i = 0; !code && ad_embedded_at(i, &embedded); i++)
		code = list_one(&l, embedded.name, "(embedded)");
	for (i = 0; i < l.n_seen; i++)
		ad_free(l.seen[i]);
	ad_free(l.seen);
	return code;
}

/* -- what it is ---------------------------------------------------------------------------------------- */

static const char *metadata_or_empty(const adtool_backbone *b, const char *key)
{
	const char *value = ad_onnx_metadata(b->onnx, key);

	return value ? value : "";
}

int adtool_backbone_get_info(const adtool_backbone *b, adtool_backbone_info *info, adtool_error *err)
{
	(void)err;
	pthread_mutex_lock(&b->digest->lock);
	if (!b->digest->known)
		ad_sha256_hex(b->bytes, b->size, b->digest->sha256);
	b->digest->known = 1;
	pthread_mutex_unlock(&b->digest->lock);
	*info = (adtool_backbone_info){
	    .name = b->name,
	    .licence = metadata_or_empty(b, "licence"),
	    .source = metadata_or_empty(b, "source"),
	    .sha256 = b->digest->sha256,
	    .preprocessing = b->preprocessing,
	    .default_layer = ad_backbone_default_layer(b),
	    .layers = b->n_layers,
	    .nodes = b->onnx->graph->n_node,
	    .parameters = b->parameters,
	    .opset = b->onnx->opset,
	};
	return 0;
}

const adtool_preprocessing *ad_backbone_preprocessing(const adtool_backbone *b)
{
	return &b->preprocessing;
}

const char *ad_backbone_default_layer(const adtool_backbone *b)
{
	return b->layers[b->default_layer].name;
}

int adtool_backbone_layer(const adtool_backbone *b, size_t index, adtool_layer_info *info, adtool_error *err)
{
	if (index >= b->n_layers)
		return ad_fail(err, ADTOOL_EINVAL, "there is no layer number %zu", index);
	*info = (adtool_layer_info){b->layers[index].name, b->layers[index].stride, b->layers[index].channels};
	return 0;
}

/*
 * The layer that is meant. Any tensor of the graph may be one; a name that none has is answered with those there are.
 */
static int resolve_layer(const adtool_backbone *b, const char *layer, const char **out, adtool_error *err)
{
	ad_buf names = {0};
	size_t i;

	if (!layer || !*layer)
		layer = ad_backbone_default_layer(b);
	if (ad_onnx_find(b->onnx, layer) >= 0) {
		*out = layer;
		return 0;
	}
	for (i = 0; i < b->n_layers; i++)
		ad_buf_printf(&names, "%s%s", i ? ", " : "", b->layers[i].name);
	ad_fail(err, ADTOOL_EINVAL, "there is no layer '%.100s'; layers are %.200s%s", layer, ad_buf_text(&names),
		names.size > 200 ? " ..." : "");
	ad_buf_release(&names);
	return ADTOOL_EINVAL;
}

int ad_backbone_plan(const adtool_backbone *b, const char *const *layers, size_t count, const size_t shape[3],
		      ad_pool *pool, ad_plan **out, adtool_error *err)
{
	const char **names = ad_malloc_array(count, sizeof(*names));
	size_t i;
	int code = names ? 0 : ad_fail_nomem(err);

	for (i = 0; !code && i < count; i++)
		code = resolve_layer(b, layers[i], &names[i], err);
	if (!code)
		code = ad_plan_build(b->onnx, names, count, shape, pool, out, err);
	ad_free(names);
	return code;
}

int ad_backbone_graph(const adtool_backbone *b, const char *layer, const size_t shape[3], ad_graph **out,
		      adtool_error *err)
{
	const char *name;
	int code = resolve_layer(b, layer, &name, err);

	return code ? code : ad_graph_build(b->onnx, &name, 1, shape, out, err);
}

/* -- running ------------------------------------------------------------------------------------------- */

int ad_plan_create(const adtool_backbone *b, const char *layer, unsigned width, unsigned height, ad_pool *pool,
		   ad_plan **out, adtool_error *err)
{
	return ad_plan_create_layers(b, &layer, 1, width, height, pool, out, err);
}

int ad_plan_create_layers(const adtool_backbone *b, const char *const *layers, size_t count, unsigned width,
			  unsigned height, ad_pool *pool, ad_plan **out, adtool_error *err)
{
	const size_t shape[3] = {3, height, width};

	return ad_backbone_plan(b, layers, count, shape, pool, out, err);
}

void ad_backbone_input_shape(const adtool_backbone *b, unsigned width, unsigned height, size_t shape[3])
{
	const int64_t channels = ad_onnx_picture_dim(b->onnx, 1);

	shape[0] = channels ? (size_t)channels : 3;
	shape[1] = height;
	shape[2] = width;
}

int adtool_backbone_cost(const adtool_backbone *b, const char *layer, unsigned width, unsigned height,
			 adtool_layer_cost *cost, adtool_error *err)
{
	ad_plan *plan;
	size_t shape[3], result[3];
	int code;

	ad_backbone_input_shape(b, width, height, shape);
	code = ad_backbone_plan(b, &layer, 1, shape, NULL, &plan, err);

	if (code)
		return code;
	ad_plan_output_shape(plan, 0, result);
	*cost = (adtool_layer_cost){
	    .channels = result[0],
	    .height = result[1],
	    .width = result[2],
	    .multiply_adds = (int64_t)ad_plan_multiply_adds(plan),
	    .parameters = ad_plan_parameters(plan),
	    .nodes = ad_plan_nodes(plan),
	    .arena_bytes = ad_plan_arena_bytes(plan),
	};
	ad_plan_free(plan);
	return 0;
}

int adtool_backbone_run(const adtool_backbone *b, const char *layer, const float *input, const size_t input_shape[4],
			unsigned threads, float **out, size_t shape[4], int *ndim, adtool_error *err)
{
	ad_pool *pool = NULL;
	ad_plan *plan = NULL;
	void *arena = NULL;
	float *result = NULL;
	size_t dims[AD_RANK], count = 1;
	int rank, i, code;

	if (input_shape[0] != 1)
		return ad_fail(err, ADTOOL_EINVAL, "the input is a batch of %zu; it must be 1", input_shape[0]);
	code = ad_pool_create(threads, &pool, err);
	if (!code)
		code = ad_backbone_plan(b, &layer, 1, input_shape + 1, pool, &plan, err);
	if (code)
		goto out;
	rank = ad_plan_output_dims(plan, 0, dims);
	for (i = 0; i < AD_RANK; i++)
		count *= dims[i];
	arena = ad_malloc_aligned(ad_plan_arena_bytes(plan), 1);
	result = ad_malloc_array(count, sizeof(*result));
	if (!arena || !result) {
		code = ad_fail_nomem(err);
		goto out;
	}
	ad_plan_run(plan, arena, pool, input, result);
	*out = result;
	result = NULL;
	memcpy(shape, dims, sizeof(dims));
	*ndim = rank;
out:
	ad_free(result);
	ad_free_aligned(arena);
	ad_plan_free(plan);
	ad_pool_free(pool);
	return code;
}

/* -- cutting ------------------------------------------------------------------------------------------- */

int ad_backbone_cut(const adtool_backbone *b, const char *layer, ad_buf *out, adtool_error *err)
{
	const char *name;
	const struct layer *known = NULL;
	ad_buf layers = {0};
	size_t i;
	int code = resolve_layer(b, layer, &name, err), tensor;

	if (code)
		return code;
	tensor = ad_onnx_find(b->onnx, name);
	if (b->onnx->tensors[tensor].source != AD_FROM_NODE)
		return ad_fail(err, ADTOOL_EINVAL, "'%s' is nothing that is computed, so it is no layer", name);
	for (i = 0; i < b->n_layers; i++)
		if (!strcmp(b->layers[i].name, name))
			known = &b->layers[i];
	ad_buf_puts(&layers, name);
	if (known && known->stride) {
		ad_buf_printf(&layers, ":/%d", known->stride);
		if (known->channels)
			ad_buf_printf(&layers, ":%d", known->channels);
	}
	/* A name with a comma cannot be in the list. */
	code = layers.failed
		   ? ad_fail_nomem(err)
		   : ad_onnx_cut(b->onnx, tensor, strchr(name, ',') ? NULL : (const char *)layers.data, out, err);
	ad_buf_release(&layers);
	return code;
}

int adtool_backbone_cut(const adtool_backbone *b, const char *layer, const char *path, adtool_error *err)
{
	ad_buf bytes = {0};
	int code = ad_backbone_cut(b, layer, &bytes, err);

	if (!code) {
		code = ad_file_write(path, bytes.data, bytes.size, err);
		if (code)
			ad_fail_within(err, code, "%s", path);
	}
	ad_buf_release(&bytes);
	return code;
}
