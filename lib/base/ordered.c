#include "ordered.h"

#include <pthread.h>
#include <stdint.h>

#include "clock.h"
#include "fail.h"
#include "mem.h"

struct thread {
	struct state *state;
	pthread_t id;
	unsigned number;
};

/* Items are numbered as they are produced; item i lives in slot i % slots. consumed <= taken <= produced. */
struct state {
	const ad_ordered_job *job;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t produced, taken, consumed;
	unsigned working;
	unsigned char *done; /* per slot */
	int ended, stop;
	int produce_code;
	adtool_error produce_error;
	/*
	 * Under the lock: the first by the caller at the latest, the others by the producer, as there are items for
	 * them.
	 */
	struct thread *threads;
	unsigned started;
};

static void *process_all(void *arg);

/* 0, or an errno. */
static int start_worker(struct state *s)
{
	struct thread *t = &s->threads[s->started];
	int failed;

	t->state = s;
	t->number = s->started;
	failed = pthread_create(&t->id, NULL, process_all, t);
	s->started += !failed;
	return failed;
}

static void *produce_all(void *arg)
{
	struct state *s = arg;
	const ad_ordered_job *job = s->job;
	unsigned wanted = job->workers;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		size_t slot = (size_t)(s->produced % job->slots);
		adtool_error error = {0};
		int got;

		if (s->produced - s->consumed == job->slots || (job->ahead && s->produced - s->taken == job->ahead)) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		got = job->produce(job->context, slot, &error);
		pthread_mutex_lock(&s->lock);
		if (got <= 0) {
			s->produce_code = got;
			s->produce_error = error;
			break;
		}
		s->done[slot] = 0;
		s->produced++;
		pthread_cond_broadcast(&s->changed);
		/* Fewer workers than asked for will do. */
		if (s->started < wanted && s->produced > s->started && start_worker(s))
			wanted = 0;
	}
	s->ended = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Under the lock. */
static void set_done(struct state *s, const size_t *slots, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		s->done[slots[i]] = 1;
	pthread_cond_broadcast(&s->changed);
}

static void *process_all(void *arg)
{
	struct thread *me = arg;
	struct state *s = me->state;
	const ad_ordered_job *job = s->job;
	size_t waiting[AD_ORDERED_COMPANY], count = 0;
	double since = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		int idle = s->taken == s->produced, alone, waits;
		size_t slot;

		if (count && (idle || count == AD_ORDERED_COMPANY || ad_now() - since > 0.05)) {
			s->working++;
			pthread_mutex_unlock(&s->lock);
			job->join(job->context, waiting, count, me->number);
			pthread_mutex_lock(&s->lock);
			s->working--;
			set_done(s, waiting, count);
			count = 0;
			continue;
		}
		if (idle && s->ended)
			break;
		if (idle) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		slot = (size_t)(s->taken++ % job->slots);
		alone = s->working == 0 && s->taken == s->produced;
		s->working++;
		if (job->ahead)
			pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
		waits = job->process(job->context, slot, me->number, alone);
		pthread_mutex_lock(&s->lock);
		s->working--;
		if (!waits) {
			set_done(s, &slot, 1);
			continue;
		}
		if (!count)
			since = ad_now();
		waiting[count++] = slot;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int consume_all(struct state *s, adtool_error *err)
{
	const ad_ordered_job *job = s->job;
	int code = job->begin ? job->begin(job->context, err) : 0;

	pthread_mutex_lock(&s->lock);
	while (!code) {
		size_t slot = (size_t)(s->consumed % job->slots);

		if (s->consumed == s->produced && s->ended)
			break;
		if (s->consumed == s->produced || !s->done[slot]) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		code = job->consume(job->context, slot, err);
		pthread_mutex_lock(&s->lock);
		if (code)
			break;
		s->done[slot] = 0;
		s->consumed++;
		pthread_cond_broadcast(&s->changed);
	}
	s->stop = 1;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return code;
}

int ad_ordered_run(const ad_ordered_job *job, adtool_error *err)
{
	struct state s = {.job = job};
	pthread_t producer;
	int code = 0, failed, have_producer = 0;

	s.threads = ad_calloc(job->workers, sizeof(*s.threads));
	s.done = ad_calloc(job->slots, 1);
	if (!s.threads || !s.done) {
		ad_free(s.threads);
		ad_free(s.done);
		return ad_fail_nomem(err);
	}
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.changed, NULL);
	failed = pthread_create(&producer, NULL, produce_all, &s);
	have_producer = !failed;
	if (!failed) {
		pthread_mutex_lock(&s.lock);
		failed = s.started ? 0 : start_worker(&s);
		pthread_mutex_unlock(&s.lock);
	}
	if (!failed)
		code = consume_all(&s, err);
	else
		code = ad_fail(err, ADTOOL_ENOMEM, "cannot start a thread: no memory for it, or too many threads");
	pthread_mutex_lock(&s.lock);
	s.stop = 1;
	pthread_cond_broadcast(&s.changed);
	pthread_mutex_unlock(&s.lock);
	if (have_producer)
		pthread_join(producer, NULL);
	while (s.started)
		pthread_join(s.threads[--s.started].id, NULL);
	if (!code && s.produce_code) {
		code = s.produce_code;
		if (err)
			*err = s.produce_error;
	}
	pthread_cond_destroy(&s.changed);
	pthread_mutex_destroy(&s.lock);
	ad_free(s.threads);
	ad_free(s.done);
	return code;
}
