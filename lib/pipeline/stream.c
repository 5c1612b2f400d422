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

void ad_picture_fail(struct ad_picture *p, int code, const char *why)
{
	if (refuse(p, code, why))
		ad_buf_release(&p->why);
}

/* -- files of several pages ---------------------------------------------------------------------------- */

/* What *file points to has a user less. */
static void leave_file(struct ad_stream *s, struct ad_paged_file **file)
{
	struct ad_paged_file *f = *file;
	unsigned left;

	*file = NULL;
	if (!f)
		return;
	pthread_mutex_lock(&s->lock);
	left = --f->users;
	pthread_mutex_unlock(&s->lock);
	if (left)
		return;
	pthread_mutex_destroy(&f->lock);
	ad_buf_release(&f->bytes);
	ad_free(f);
}

/* The file of this page, its bytes fetched unless they are there. */
static int enter_file(struct ad_stream *s, struct ad_picture *p, adtool_error *err)
{
	const void *data;
	size_t size;
	int code = adtool_dataset_read(s->dataset, &data, &size, err);

	if (code)
		return code;
	if (!s->file || s->file_number != ad_dataset_file(s->dataset)) {
		leave_file(s, &s->file);
		s->file = ad_calloc(1, sizeof(*s->file));
		if (!s->file)
			return ad_fail_nomem(err);
		pthread_mutex_init(&s->file->lock, NULL);
		s->file->users = 1;
		if (ad_buf_add(&s->file->bytes, data, size)) {
			leave_file(s, &s->file);
			return ad_fail_nomem(err);
		}
		s->file_number = ad_dataset_file(s->dataset);
	}
	pthread_mutex_lock(&s->lock);
	s->file->users++;
	pthread_mutex_unlock(&s->lock);
	p->file = s->file;
	return 0;
}

static const ad_buf *bytes_of(const struct ad_picture *p)
{
	return p->file ? &p->file->bytes : &p->bytes;
}

/* -- reading, working, giving out ----------------------------------------------------------------------- */

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
	else if ((got = item.page ? enter_file(s, p, &why) : ad_dataset_take(s->dataset, &p->bytes, &why)) != 0)
		refuse(p, got, why.message);
	if (!item.page)
		leave_file(s, &s->file);
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

	if (!p->file) {
		ad_sha256_hex(p->bytes.data, p->bytes.size, p->digest);
		return;
	}
	pthread_mutex_lock(&p->file->lock);
	if (!p->file->digest[0])
		ad_sha256_hex(p->file->bytes.data, p->file->bytes.size, p->file->digest);
	pthread_mutex_unlock(&p->file->lock);
	n = snprintf(text, sizeof(text), "%s#%u", p->file->digest, p->page);
	ad_sha256_hex(text, (size_t)n, p->digest);
}

static int stream_process(void *context, size_t slot, unsigned worker, int alone)
{
	struct ad_stream *s = context;
	struct ad_picture *p = &s->pictures[slot];
	adtool_image *image = NULL;
	adtool_error why = {0};
	struct ad_scratch *scratch = &s->scratch[worker];
	adtool_image_options options;
	float *row = NULL;
	ad_pool *pool = NULL;
	int code = 0, waits = s->together && !s->tiled && !s->whole_pictures;

	if (p->code)
		return 0;
	if (s->want_digest)
		take_digest(p);
	if (!s->tiled && !s->whole_pictures && !s->extractor->look) {
		code = ad_extract_file(s->extractor, scratch, bytes_of(p)->data, bytes_of(p)->size, p->page, &p->width,
				       &p->height, &why);
	} else if (!s->tiled || s->whole_pictures) {
		options = ad_extractor_decoding(s->extractor);
		options.page = p->page;
		code = adtool_image_decode_with(bytes_of(p)->data, bytes_of(p)->size, &options, &image, &why);
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
		const struct ad_source source = {image, bytes_of(p)->data, bytes_of(p)->size, p->page, NULL};

		code = s->tiled(s, p, slot, &source, pool, &s->rooms[pool ? s->threads : worker], &why);
	} else if (!code) {
		row = s->rows + slot * s->row_size;
		ad_extract_row(s->extractor, scratch, pool, row);
	}
	if (pool)
		pthread_mutex_unlock(&s->pool_lock);
	if (!code && !s->tiled && !waits && s->work)
		code = s->work(s, p, slot, scratch, image, row, &why);
	if (code)
		ad_picture_fail(p, code, why.message);
	adtool_image_free(image);
	/* What waits, for others or for those before it, holds little meanwhile. */
	ad_buf_release(&p->bytes);
	return !code && waits;
}

static void stream_join(void *context, const size_t *slots, size_t count, unsigned worker)
{
	struct ad_stream *s = context;

	s->together(s, slots, count, &s->scratch[worker]);
}

static int stream_consume(void *context, size_t slot, adtool_error *err)
{
	struct ad_stream *s = context;
	struct ad_picture *p = &s->pictures[slot];

	leave_file(s, &p->file);
	if (p->code == ADTOOL_ENOMEM)
		return ad_fail(err, ADTOOL_ENOMEM, "%s: out of memory", ad_buf_text(&p->name));
	return s->emit(s, p, slot, p->code ? NULL : s->rows + slot * s->row_size, err);
}

/* The pictures that are read while others are worked on. */
static size_t ahead_of(unsigned threads)
{
	return (size_t)threads + 2;
}

size_t ad_stream_slots(unsigned threads, int together)
{
	return ahead_of(threads) + threads * (size_t)(together ? AD_ORDERED_COMPANY : 1);
}

int ad_stream_run(struct ad_stream *s, adtool_error *err)
{
	ad_ordered_job job = {
	    .workers = s->threads,
	    .slots = ad_stream_slots(s->threads, s->together != NULL),
	    .ahead = ahead_of(s->threads),
	    .produce = stream_produce,
	    .process = stream_process,
	    .join = stream_join,
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
		leave_file(s, &s->pictures[i].file);
	}
	leave_file(s, &s->file);
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
