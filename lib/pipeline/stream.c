/* Many pictures through all threads, rows out in order. */
#include "pipeline.h"

#include "../base/digest.h"
#include "../base/fail.h"
#include "../base/mem.h"
#include "../base/ordered.h"
#include "../dataset/dataset.h"

static int refuse(struct ad_picture *p, int code, const char *why)
{
	p->code = code;
	ad_buf_clear(&p->why);
	return ad_buf_puts(&p->why, why);
}

static int stream_produce(void *context, size_t slot, adtool_error *err)
{
	struct ad_stream *s = context;
	struct ad_picture *p = &s->pictures[slot];
	adtool_item item;
	adtool_error why;
	int got;

	do {
		got = adtool_dataset_next(s->dataset, &item, err);
		if (got <= 0)
			return got;
		p->index = 0;
	} while (s->select && !s->select(s, &item, &p->index));
	p->code = 0;
	p->page = item.page;
	p->width = p->height = 0;
	ad_buf_clear(&p->name);
	ad_buf_clear(&p->label);
	ad_buf_clear(&p->archive);
	ad_buf_clear(&p->bytes);
	ad_buf_puts(&p->name, item.name);
	ad_buf_puts(&p->label, item.label ? item.label : "");
	ad_buf_puts(&p->archive, item.archive ? item.archive : "");
	if (item.code)
		refuse(p, item.code, item.why ? item.why : adtool_code_string(item.code));
	else if ((got = ad_dataset_take(s->dataset, &p->bytes, &why)) != 0)
		refuse(p, got, why.message);
	if (p->name.failed || p->label.failed || p->archive.failed || p->bytes.failed || p->why.failed)
		return ad_fail_nomem(err);
	return 1;
}

/* Whether there is something to go on with. */
static int wait_until_prepared(struct ad_stream *s)
{
	int ready;

	pthread_mutex_lock(&s->lock);
	while (!s->ready)
		pthread_cond_wait(&s->prepared, &s->lock);
	ready = s->ready;
	pthread_mutex_unlock(&s->lock);
	return ready > 0;
}

static int stream_prepare(void *context, adtool_error *err)
{
	struct ad_stream *s = context;
	const struct ad_extractor *e = s->extractor;
	int code = s->prepare ? s->prepare(s, s->pool, err) : 0;

	if (!code) {
		s->row_size = s->tiled ? 0 : ad_extractor_row(e);
		s->rows = ad_malloc_aligned(s->slots * s->row_size, sizeof(float));
		if (!s->rows)
			code = ad_fail_nomem(err);
	}
	pthread_mutex_lock(&s->lock);
	s->ready = code ? -1 : 1;
	pthread_cond_broadcast(&s->prepared);
	pthread_mutex_unlock(&s->lock);
	return code;
}

/* Pages of one file are not copies of each other. */
static void take_digest(struct ad_picture *p)
{
	char text[96];
	int n;

	ad_sha256_hex(p->bytes.data, p->bytes.size, p->digest);
	if (!p->page)
		return;
	n = snprintf(text, sizeof(text), "%s#%u", p->digest, p->page);
	ad_sha256_hex(text, (size_t)n, p->digest);
}

static void stream_process(void *context, size_t slot, unsigned worker, int alone)
{
	struct ad_stream *s = context;
	struct ad_picture *p = &s->pictures[slot];
	adtool_image *image = NULL;
	adtool_error why = {0};
	struct ad_scratch *scratch = &s->scratch[worker];
	adtool_image_options options;
	float *row = NULL;
	ad_pool *pool = NULL;
	int code = 0;

	if (p->code)
		return;
	if (s->want_digest)
		take_digest(p);
	if (!s->tiled && !s->whole_pictures && !s->extractor->look) {
		code = ad_extract_file(s->extractor, scratch, p->bytes.data, p->bytes.size, p->page, &p->width, &p->height,
				       &why);
	} else if (!s->tiled || s->whole_pictures) {
		options = ad_extractor_decoding(s->extractor);
		options.page = p->page;
		code = adtool_image_decode_with(p->bytes.data, p->bytes.size, &options, &image, &why);
		if (!code) {
			p->width = adtool_image_width(image);
			p->height = adtool_image_height(image);
		}
		if (!code && !s->tiled)
			code = ad_extract_tensor(s->extractor, scratch, image, &why);
	}
	if (!wait_until_prepared(s))
		code = ad_fail(&why, ADTOOL_ECANCELLED, "stopped");
	if (!code && !s->tiled)
		code = ad_scratch_create(scratch, s->extractor, &why);
	if (!code && alone && s->pool && !pthread_mutex_trylock(&s->pool_lock))
		pool = s->pool;
	if (!code && s->tiled) {
		const struct ad_source source = {image, p->bytes.data, p->bytes.size, p->page};

		code = s->tiled(s, p, slot, &source, pool, &s->rooms[pool ? s->threads : worker], &why);
	} else if (!code) {
		row = s->rows + slot * s->row_size;
		ad_extract_row(s->extractor, scratch, pool, row);
	}
	if (pool)
		pthread_mutex_unlock(&s->pool_lock);
	if (!code && !s->tiled && s->work)
		code = s->work(s, p, slot, scratch, image, row, &why);
	if (code && refuse(p, code, why.message))
		ad_buf_release(&p->why);
	adtool_image_free(image);
}

static int stream_consume(void *context, size_t slot, adtool_error *err)
{
	struct ad_stream *s = context;
	struct ad_picture *p = &s->pictures[slot];

	/* A picture of unusual size must not hold its memory for the rest of the job. */
	if (p->bytes.capacity > (size_t)32 << 20)
		ad_buf_release(&p->bytes);
	if (p->code == ADTOOL_ENOMEM)
		return ad_fail(err, ADTOOL_ENOMEM, "%s: out of memory", ad_buf_text(&p->name));
	return s->emit(s, p, slot, p->code ? NULL : s->rows + slot * s->row_size, err);
}

size_t ad_stream_slots(unsigned threads)
{
	return (size_t)threads * 2 + 2;
}

int ad_stream_run(struct ad_stream *s, adtool_error *err)
{
	ad_ordered_job job = {
	    .workers = s->threads,
	    .slots = ad_stream_slots(s->threads),
	    .produce = stream_produce,
	    .process = stream_process,
	    .consume = stream_consume,
	    .context = s,
	};
	size_t i;
	int code = 0;

	s->slots = job.slots;
	s->pictures = ad_calloc(s->slots, sizeof(*s->pictures));
	s->scratch = ad_calloc(s->threads, sizeof(*s->scratch));
	s->rooms = ad_calloc(s->threads + (size_t)1, sizeof(*s->rooms));
	pthread_mutex_init(&s->pool_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->prepared, NULL);
	if (!s->pictures || !s->scratch || !s->rooms)
		code = ad_fail_nomem(err);
	if (!code && s->threads > 1)
		code = ad_pool_create(s->threads, &s->pool, err);
	/* One thread asked for: nothing runs beside the preparing. */
	if (!code && s->threads == 1)
		code = stream_prepare(s, err);
	else
		job.begin = stream_prepare;
	if (!code)
		code = ad_ordered_run(&job, err);
	for (i = 0; s->pictures && i < s->slots; i++) {
		ad_buf_release(&s->pictures[i].name);
		ad_buf_release(&s->pictures[i].label);
		ad_buf_release(&s->pictures[i].archive);
		ad_buf_release(&s->pictures[i].why);
		ad_buf_release(&s->pictures[i].bytes);
	}
	for (i = 0; s->scratch && i < s->threads; i++)
		ad_scratch_release(&s->scratch[i]);
	for (i = 0; s->rooms && i <= s->threads; i++)
		ad_tile_room_release(&s->rooms[i]);
	ad_pool_free(s->pool);
	pthread_mutex_destroy(&s->pool_lock);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->prepared);
	ad_free(s->pictures);
	ad_free(s->scratch);
	ad_free(s->rooms);
	ad_free_aligned(s->rows);
	return code;
}

unsigned ad_stream_threads(unsigned threads)
{
	return threads ? threads : ad_cpu_count();
}

int ad_stream_check_threads(unsigned threads, adtool_error *err)
{
	return threads > 1024 ? ad_fail(err, ADTOOL_EINVAL, "%u threads; at most 1024 make sense", threads) : 0;
}
