/* Features, for those who go on elsewhere. */
#include "pipeline.h"

#include "../base/fail.h"

void adtool_features_options_init(adtool_features_options *o)
{
	memset(o, 0, sizeof(*o));
	o->width = o->height = 224;
	o->grid = 1;
}

struct features_job {
	const adtool_features_options *options;
	size_t shape[3];
	uint64_t done;
};

static int features_emit(struct ad_stream *s, struct ad_picture *p, size_t slot, const float *row, adtool_error *err)
{
	struct features_job *job = s->context;
	const adtool_features_options *o = job->options;
	adtool_error why;

	(void)slot;
	job->done++;
	if (!row) {
		ad_fail(&why, p->code, "%s", ad_buf_text(&p->why));
		if (o->refused)
			o->refused(o->context, ad_buf_text(&p->name), &why);
	} else if (o->features &&
		   o->features(o->context, ad_buf_text(&p->name), row, job->shape[0], job->shape[1], job->shape[2])) {
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	}
	if (o->progress && o->progress(o->context, "features", job->done, 0))
		return ad_fail(err, ADTOOL_ECANCELLED, "stopped");
	return 0;
}

int adtool_features(const adtool_backbone *backbone, adtool_dataset *dataset, const adtool_features_options *o,
		    adtool_error *err)
{
	struct features_job job = {.options = o};
	struct ad_stream s = {.dataset = dataset, .emit = features_emit, .context = &job};
	struct ad_extractor e;
	struct ad_look look = {0};
	ad_plan *plan = NULL;
	ad_pool *pool = NULL;
	int code = ad_stream_check_threads(o->threads, err);

	if (!code && o->geometry.tile_width)
		code = ad_fail(err, ADTOOL_EINVAL, "features are of whole pictures, not of tiles");
	if (!code)
		code = ad_look_create(&o->geometry, NULL, &look, err);
	if (code)
		return code;
	s.threads = ad_stream_threads(o->threads);
	s.extractor = &e;
	code = ad_pool_create(s.threads, &pool, err);
	if (!code)
		code = ad_plan_create(backbone, o->layer, o->width, o->height, pool, &plan, err);
	ad_pool_free(pool);
	if (!code) {
		ad_extractor_init(&e, plan, ad_backbone_preprocessing(backbone), o->width, o->height, o->grid,
				  o->max_pixels);
		e.look = ad_look_is_plain(&look) ? NULL : &look;
		e.background = o->geometry.background;
		e.isolate = o->isolate;
		job.shape[0] = e.shape[0];
		job.shape[1] = o->grid ? o->grid : e.shape[1];
		job.shape[2] = o->grid ? o->grid : e.shape[2];
		code = ad_extractor_check(&e, err);
	}
	if (!code)
		code = ad_stream_run(&s, err);
	ad_plan_free(plan);
	ad_look_release(&look);
	return code;
}
