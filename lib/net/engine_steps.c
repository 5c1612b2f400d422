/* The steps that are not convolutions: windows, pixel by pixel, layout. */
#include "engine_internal.h"

enum { TASK_FLOATS = 1 << 16 };

/* -- windows ----------------------------------------------------------------------------------------- */

void engine_window_rows(const window_step *w, size_t y0, size_t y1, size_t *i0, size_t *i1)
{
	size_t top = y0 * w->window.stride[0];
	size_t bottom = (y1 - 1) * w->window.stride[0] + (w->window.kernel[0] - 1) * w->window.dilation[0] + 1;

	*i0 = top > w->window.pads[0] ? min_size(top - w->window.pads[0], w->in.h) : 0;
	*i1 = bottom > w->window.pads[0] ? min_size(bottom - w->window.pads[0], w->in.h) : 0;
	*i1 = max_size(*i0, *i1);
}

static void window(const step *s, const run *r, size_t task, float *scratch)
{
	const window_step *w = &s->u.window;
	size_t groups = div_up(w->in.blocks, w->planes);
	size_t vl = r->k->vl, piece = task / groups, p0 = task % groups * w->planes;
	size_t p1 = min_size(p0 + w->planes, w->in.blocks), taps = w->window.kernel[0] * w->window.kernel[1];
	size_t y0 = cut(w->out.h, piece, w->pieces), y1 = cut(w->out.h, piece + 1, w->pieces), i0, i1;
	const float *in = from(r, s->in), *res = s->res.buffer == BUFFER_NONE ? NULL : from(r, s->res);
	const float *weights = r->e->weights;
	ad_window_args a = {
	    .h = w->in.h,
	    .w = w->in.w,
	    .ow = w->out.w,
	    .y0 = y0,
	    .y1 = y1,
	    .count_padding = w->count_padding,
	    .fn = w->fn,
	};

	memcpy(a.kernel, w->window.kernel, sizeof(a.kernel));
	memcpy(a.stride, w->window.stride, sizeof(a.stride));
	memcpy(a.dilation, w->window.dilation, sizeof(a.dilation));
	memcpy(a.pads, w->window.pads, sizeof(a.pads));
	engine_window_rows(w, y0, y1, &i0, &i1);
	for (size_t p = p0; p < p1; p++) {
		size_t at0 = p * w->out.plane + y0 * w->out.w * vl;

		a.in = in + p * w->in.plane;
		if (w->scale != SIZE_MAX) {
			r->k->affine(&(ad_affine_args){a.in + i0 * w->in.w * vl, scratch, (i1 - i0) * w->in.w,
						       weights + w->scale + p * vl, weights + w->shift + p * vl,
						       w->pre});
			a.in = scratch;
			a.row0 = i0;
		}
		a.out = at(r, s->out) + at0;
		a.weights = w->weights == SIZE_MAX ? NULL : weights + w->weights + p * taps * vl;
		a.bias = w->bias == SIZE_MAX ? NULL : weights + w->bias + p * vl;
		a.res = res ? res + at0 : NULL;
		w->kernel(&a);
	}
}

void engine_window_plan(const ad_engine *e, step *s)
{
	window_step *w = &s->u.window;
	size_t work = w->in.plane + w->out.plane;

	s->run = window;
	/* At least two bands of rows where there are rows for it: see take in engine_run.c. */
	w->pieces = min_size(max_size(work / TASK_FLOATS, 2), max_size(1, w->out.h / 4));
	w->planes = min_size(max_size(TASK_FLOATS / max_size(work / w->pieces, 1), 1), w->in.blocks);
	s->tasks = w->pieces * div_up(w->in.blocks, w->planes);
	s->scratch = 0;
	if (w->scale != SIZE_MAX) {
		for (size_t i = 0; i < w->pieces; i++) {
			size_t i0, i1;

			engine_window_rows(w, cut(w->out.h, i, w->pieces), cut(w->out.h, i + 1, w->pieces), &i0, &i1);
			s->scratch = max_size(s->scratch, (i1 - i0) * w->in.w * e->k->vl);
		}
	}
}

/* -- pixel by pixel ---------------------------------------------------------------------------------- */

/* The blocks and pixels of a task. */
struct part {
	size_t b0, b1, p0, pixels;
};

static struct part part_of(const pixel_step *p, size_t vl, size_t task)
{
	size_t groups = div_up(p->shape.blocks, p->planes), piece = task / groups;
	size_t total = p->shape.plane / vl, units = div_up(total, AD_VL_MAX), end;
	struct part part = {.b0 = task % groups * p->planes};

	part.b1 = min_size(part.b0 + p->planes, p->shape.blocks);
	part.p0 = cut(units, piece, p->pieces) * AD_VL_MAX;
	end = min_size(cut(units, piece + 1, p->pieces) * AD_VL_MAX, total);
	part.pixels = end - part.p0;
	return part;
}

void engine_pixels_plan(const ad_engine *e, step *s, int whole)
{
	pixel_step *p = &s->u.pixel;
	size_t pixels = p->shape.plane / e->k->vl;

	p->pieces = whole || pixels < 4 * AD_VL_MAX ? 1 : max_size(2, p->shape.plane / TASK_FLOATS);
	p->planes = TASK_FLOATS / max_size(p->shape.plane / p->pieces, 1);
	p->planes = min_size(max_size(p->planes, 1), p->shape.blocks);
	s->tasks = p->pieces * div_up(p->shape.blocks, p->planes);
}

void engine_affine(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t vl = r->k->vl;
	struct part t = part_of(p, vl, task);

	(void)scratch;
	for (size_t b = t.b0; b < t.b1; b++)
		r->k->affine(&(ad_affine_args){from(r, s->in) + b * p->shape.plane + t.p0 * vl,
					       at(r, s->out) + b * p->shape.plane + t.p0 * vl, t.pixels,
					       p->scale == SIZE_MAX ? NULL : r->e->weights + p->scale + b * vl,
					       p->shift == SIZE_MAX ? NULL : r->e->weights + p->shift + b * vl, p->fn});
}

void engine_binary(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t vl = r->k->vl;
	struct part t = part_of(p, vl, task);

	(void)scratch;
	for (size_t b = t.b0; b < t.b1; b++) {
		const float *y = p->scale != SIZE_MAX ? r->e->weights + p->scale : from(r, s->res);
		ad_binary_args a = {
		    .kind = p->kind,
		    .x = from(r, s->in) + b * (p->x_step ? p->shape.plane : vl) + t.p0 * p->x_step,
		    .y = y + b * (p->y_step ? p->shape.plane : vl) + t.p0 * p->y_step,
		    .x_step = p->x_step,
		    .y_step = p->y_step,
		    .out = at(r, s->out) + b * p->shape.plane + t.p0 * vl,
		    .pixels = t.pixels,
		    .fn = p->fn,
		};

		if (p->swapped) {
			const float *x = a.x;

			a.x = a.y;
			a.y = x;
			a.x_step = p->y_step;
			a.y_step = p->x_step;
		}
		r->k->binary(&a);
	}
}

void engine_mean(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t vl = r->k->vl;
	struct part t = part_of(p, vl, task);

	(void)scratch;
	for (size_t b = t.b0; b < t.b1; b++)
		r->k->mean(
		    &(ad_mean_args){from(r, s->in) + b * p->shape.plane, p->shape.plane / vl, at(r, s->out) + b * vl});
}

/* -- layout ------------------------------------------------------------------------------------------ */

void engine_pack(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t vl = r->k->vl, pixels = p->shape.plane / vl;
	struct part t = part_of(p, vl, task);

	(void)scratch;
	for (size_t b = t.b0; b < t.b1; b++)
		r->k->pack(&(ad_pack_args){.in = from(r, s->in) + b * vl * pixels + t.p0,
					   .step = pixels,
					   .channels = min_size(vl, p->shape.c - b * vl),
					   .pixels = t.pixels,
					   .out = at(r, s->out) + b * p->shape.plane + t.p0 * vl,
					   .pixel = vl});
}

void engine_unpack(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t vl = r->k->vl, pixels = p->shape.plane / vl;
	struct part t = part_of(p, vl, task);

	(void)scratch;
	for (size_t b = t.b0; b < t.b1; b++)
		r->k->unpack(&(ad_unpack_args){from(r, s->in) + b * p->shape.plane + t.p0 * vl, pixels,
					       min_size(vl, p->shape.c - b * vl), t.pixels,
					       at(r, s->out) + b * vl * pixels + t.p0});
}

void engine_copy(const step *s, const run *r, size_t task, float *scratch)
{
	const pixel_step *p = &s->u.pixel;
	size_t b0 = task * p->planes, b1 = min_size(b0 + p->planes, p->shape.blocks);

	(void)scratch;
	memcpy(at(r, s->out) + b0 * p->shape.plane, from(r, s->in) + b0 * p->shape.plane,
	       (b1 - b0) * p->shape.plane * sizeof(float));
}

void engine_copy_band(const void *in, size_t h, size_t w, size_t size, const ad_window *win, size_t y, size_t rows,
		      size_t width, int pad, void *to)
{
	size_t left = min_size(win->pads[1], width), middle = min_size(w, width - left);
	size_t right = width - left - middle;
	char *row = to;

	for (size_t i = 0; i < rows; i++, row += width * size) {
		size_t iy = y + i - win->pads[0]; /* wraps to more than h above the plane */

		if (iy >= h) {
			memset(row, pad, width * size);
			continue;
		}
		memset(row, pad, left * size);
		memcpy(row + left * size, (const char *)in + iy * w * size, middle * size);
		memset(row + (left + middle) * size, pad, right * size);
	}
}
