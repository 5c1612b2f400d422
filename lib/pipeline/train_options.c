/* The options of a training: as they are where nothing is said, those of a model, and what cannot be. */
#include <string.h>
#include <unistd.h>

#include "../base/fail.h"
#include "trainer.h"

void adtool_train_options_init(adtool_train_options *o)
{
	memset(o, 0, sizeof(*o));
	o->width = o->height = 224;
	o->geometry = (adtool_geometry){.fit = ADTOOL_STRETCH};
	o->grid = 7;
	o->method = ADTOOL_FRE;
	o->channels = 128;
	o->energy = 0.97;
	o->components = SIZE_MAX;
	o->aggregate = ADTOOL_TOP;
	o->top = 0.1;
	o->alpha = 0.01;
}

int adtool_train_options_from(const adtool_model *model, adtool_train_options *o, adtool_error *err)
{
	const adtool_model_info *info = &model->info;

	if (!(info->alpha > 0 && info->alpha < 1) && !(o->alpha > 0 && o->alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL,
			       "its threshold was not set for a false-alarm rate, so one has to be given");
	o->layer = info->layer;
	o->width = info->width;
	o->height = info->height;
	o->geometry = info->geometry;
	o->mask = model->mask_image;
	o->precision = info->precision;
	o->grid = info->grid;
	o->method = info->method;
	o->channels = info->channels;
	if (info->energy > 0)
		o->energy = info->energy;
	o->components = info->components_by == ADTOOL_COMPONENTS_GIVEN ? info->components_asked : SIZE_MAX;
	o->aggregate = info->aggregate;
	if (info->top > 0)
		o->top = info->top;
	if (info->alpha > 0 && info->alpha < 1)
		o->alpha = info->alpha;
	o->seed = info->seed;
	o->group_by = info->group_by[0] ? info->group_by : NULL;
	o->from = model;
	return 0;
}

int ad_train_check_options(const adtool_train_options *o, adtool_error *err)
{
	if (o->width < 1 || o->height < 1 || o->width > 4096 || o->height > 4096)
		return ad_fail(err, ADTOOL_EINVAL, "input size %u x %u; each side is 1 to 4096", o->width, o->height);
	if (o->grid < 1 || o->grid > 256)
		return ad_fail(err, ADTOOL_EINVAL, "grid %u; it is 1 to 256", o->grid);
	if (!(o->energy > 0 && o->energy < 1))
		return ad_fail(err, ADTOOL_EINVAL, "energy %g; it lies between 0 and 1", o->energy);
	if (!(o->top > 0 && o->top <= 1))
		return ad_fail(err, ADTOOL_EINVAL, "top fraction %g; it is more than 0 and at most 1", o->top);
	if (!(o->alpha > 0 && o->alpha < 1))
		return ad_fail(err, ADTOOL_EINVAL, "alpha %g; it lies between 0 and 1", o->alpha);
	if (adtool_geometry_check(&o->geometry, err))
		return ADTOOL_EINVAL;
	if (o->precision != ADTOOL_FLOAT32 && o->precision != ADTOOL_INT8 && o->precision != ADTOOL_BF16)
		return ad_fail(err, ADTOOL_EINVAL, "precision %d is not known", (int)o->precision);
	/* Measured: it loses more accuracy than may be. */
	if (o->precision != ADTOOL_FLOAT32 && o->method == ADTOOL_PPCA)
		return ad_fail(err, ADTOOL_EINVAL,
			       "%s does not go with ppca, whose likelihood is of differences too fine for it",
			       o->precision == ADTOOL_INT8 ? "int8" : "bf16");
	if (o->group_by && (!*o->group_by || strlen(o->group_by) > 127))
		return ad_fail(err, ADTOOL_EINVAL, "group by: 'dir', or an expression of 1 to 127 bytes");
	return ad_stream_check_threads(o->threads, err);
}

size_t ad_train_channels(const adtool_train_options *o, size_t channels)
{
	return o->method == ADTOOL_FRE && o->channels && o->channels < channels ? o->channels : channels;
}

ad_fit_options ad_train_fit_options(const adtool_train_options *o, size_t channels, size_t cells)
{
	return (ad_fit_options){
	    .method = o->method,
	    .dimensions = channels * cells,
	    .cells = cells,
	    .energy = o->energy,
	    .components = o->components,
	    .aggregate = o->aggregate,
	    .top = o->top,
	    .alpha = o->alpha,
	    .seed = o->seed,
	};
}

uint64_t ad_memory_limit(uint64_t asked)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)4 << 30;

	return asked ? asked : machine / 4 * 3;
}
