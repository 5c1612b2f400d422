/*
 * The bodies of the vector kernels, written once. A room (avx2, avx512, neon) defines what follows and then
 * includes this file, which ends in the table AD_TABLE:
 *
 *   vf                      a register of VL floats
 *   v_load v_store          unaligned
 *   v_set1 v_zero v_add v_sub v_mul v_div
 *   v_fma(a, b, c)          a b + c
 *   v_max(a, b)             a > b ? a : b       v_min(a, b)  a < b ? a : b   (so NaN in b stays)
 *   v_max_nan(a, b)         the larger; NaN if either is
 *   v_if_negative(x, a, b)  x < 0 ? a : b
 *   v_round(x)              to the nearest whole number
 *   v_ldexp(x, n)           x 2^n, n whole, -126 .. 127
 *   v_bf16(x)               rounded to bfloat16, as bf16.h says
 *   v_transpose(r)          VL registers, VL x VL
 *   vm v_mask(on)           of an int; v_if(mask, x): x, or 0 where that was 0; never a branch
 *   v_keep(x)               a statement: x is in a register, and not read from memory at each use
 *   TILE1 TILE2 TILE3       pixels of the convolution's register tile with 1, 2, 3 blocks of channels
 *   DEPTHWISE_TILE          pixels of each of the two rows of the depthwise convolution's register tile
 *   CONV_HALF               0, or 1 with what conv_half needs:
 *   v_pair(p)               the two floats at p, VL / 2 times
 *   v_fold(a, b)            the sums of neighbouring elements of a, then of b
 *   AD_TABLE AD_ISA         the table's name; the room's name as a string
 *   fp_enter fp_leave       as in kernel.h
 */
#define CONV_ARGS ad_conv_args
#define PER 1
#define c_load v_load
#define c_set1(p) v_set1(*(p))
#define c_fma v_fma
typedef float c_number;
typedef vf c_wide;
#include "conv.h"

/* -- activations ------------------------------------------------------------------------------------- */

/* exp(x) for |x| <= 87: 2^n e^r, r in +-ln(2)/2, by its Taylor polynomial of degree 7 (error below 2^-24). NaN stays.
 */
INLINE vf v_exp(vf x)
{
	vf n, r, p;

	x = v_max(v_set1(-87.0f), v_min(v_set1(87.0f), x));
	n = v_round(v_mul(x, v_set1(1.44269504f)));
	r = v_fma(n, v_set1(-0.693359375f), x);
	r = v_fma(n, v_set1(2.12194440e-4f), r);
	p = v_set1(1.0f / 5040);
	p = v_fma(p, r, v_set1(1.0f / 720));
	p = v_fma(p, r, v_set1(1.0f / 120));
	p = v_fma(p, r, v_set1(1.0f / 24));
	p = v_fma(p, r, v_set1(1.0f / 6));
	p = v_fma(p, r, v_set1(0.5f));
	p = v_fma(p, r, v_set1(1.0f));
	p = v_fma(p, r, v_set1(1.0f));
	return v_ldexp(p, n);
}

INLINE vf v_sigmoid(vf x)
{
	return v_div(v_set1(1.0f), v_add(v_set1(1.0f), v_exp(v_sub(v_zero(), x))));
}

INLINE int is_late(const ad_fn *fn)
{
	return fn->kind > AD_FN_CLIP;
}

static void apply_late(const ad_fn *fn, float *x, size_t pixels)
{
	float *end = x + pixels * VL;
	vf a = v_set1(fn->a), b = v_set1(fn->b), one = v_set1(1.0f), zero = v_zero();

	switch (fn->kind) {
	case AD_FN_NONE:
	case AD_FN_RELU:
	case AD_FN_CLIP:
		return;
	case AD_FN_LEAKY:
		for (; x < end; x += VL)
			v_store(x, v_if_negative(v_load(x), v_mul(a, v_load(x)), v_load(x)));
		return;
	case AD_FN_SIGMOID:
		for (; x < end; x += VL)
			v_store(x, v_sigmoid(v_load(x)));
		return;
	case AD_FN_HARDSIGMOID:
		for (; x < end; x += VL)
			v_store(x, v_max(zero, v_min(one, v_fma(a, v_load(x), b))));
		return;
	case AD_FN_HARDSWISH:
		for (; x < end; x += VL)
			v_store(x, v_mul(v_load(x), v_max(zero, v_min(one, v_fma(a, v_load(x), b)))));
		return;
	case AD_FN_SWISH:
		for (; x < end; x += VL)
			v_store(x, v_mul(v_load(x), v_sigmoid(v_load(x))));
		return;
	}
}

/* -- convolution ------------------------------------------------------------------------------------- */

#if CONV_HALF
/*
 * A block and half a block: three registers hold their channels' sums over even and over odd inputs, side by side,
 * which are added in the end.
 */
INLINE void conv_half_tile(const ad_conv_args *a, size_t first, const size_t P)
{
	const float *w = a->w, *block = a->in + first * a->pixel;
	vf sum[3 * TILE3];

	EACH (i, 3 * P)
		sum[i] = v_zero();
	if (a->res && a->res != a->out) {
		EACH (p, P) {
			__builtin_prefetch(a->res + (first + p) * VL);
			__builtin_prefetch(a->res + a->res_block + (first + p) * VL);
		}
	}
	for (size_t i = 0; i < a->n[0]; i++, block += a->step[0]) {
		const float *x = block;

		for (size_t k = i + 1 < a->n[0] ? a->run : a->last; k > 0; k -= 2, x += 2, w += 3 * VL) {
			vf wide[3];

			EACH (r, 3)
				wide[r] = v_load(w + r * VL);
			EACH (p, P) {
				vf pair = v_pair(x + p * a->pixel);

				EACH (r, 3)
					sum[p * 3 + r] = v_fma(pair, wide[r], sum[p * 3 + r]);
			}
		}
	}
	EACH (p, P) {
		const vf both[2] = {v_fold(sum[p * 3], sum[p * 3 + 1]), v_fold(sum[p * 3 + 2], v_zero())};
		clamp c = clamp_of(&a->fn);

		EACH (r, 2) {
			vf y = a->bias ? v_add(both[r], v_load(a->bias + r * VL)) : both[r];

			if (a->res)
				y = v_add(y, v_load(a->res + r * a->res_block + (first + p) * VL));
			v_store(a->out + r * a->out_block + (first + p) * VL, v_clamp(&c, y));
		}
	}
}

#define HALF_FN(P, R)                                                                                                  \
	static __attribute__((noinline)) void half_##P(const ad_conv_args *a, size_t first)                            \
	{                                                                                                              \
		conv_half_tile(a, first, P);                                                                           \
	}
#define HALF_NAME(P, R) half_##P,

TILES(TILE3, HALF_FN, )

static void conv_half(const ad_conv_args *a)
{
	static void (*const tiles[])(const ad_conv_args *a, size_t first) = {TILES(TILE3, HALF_NAME, )};
	size_t count = (a->pixels + TILE3 - 1) / TILE3, first = 0;

	for (size_t t = 0; t < count; t++) {
		size_t size = (a->pixels - first) / (count - t);

		tiles[size - 1](a, first);
		first += size;
	}
}
#endif

static void conv(const ad_conv_args *a)
{
#if CONV_HALF
	if (a->half)
		conv_half(a);
	else
#endif
		conv_tiles(a);
	if (is_late(&a->fn))
		for (size_t r = 0; r < a->blocks; r++)
			apply_late(&a->fn, a->out + r * a->out_block, a->pixels);
}

/* -- windows ----------------------------------------------------------------------------------------- */

enum window { DEPTHWISE, MAX_POOL, AVERAGE_POOL };

/* N output pixels whose windows have the same rows and all their columns inside. */
INLINE void window_inside(const ad_window_args *a, taps rows, const float *in, float *out, const float *res,
			  const size_t N, const size_t KW, const enum window what, const clamp *c, float divisor)
{
	size_t kw = KW ? KW : a->kernel[1], step = a->stride[1] * VL, dilation = a->dilation[1] * VL;
	const float *w = a->weights + (what == DEPTHWISE ? rows.k0 * kw * VL : 0);
	vf acc[8];

	EACH (p, N)
		acc[p] = what == MAX_POOL               ? v_set1(-INFINITY)
			 : what == DEPTHWISE && a->bias ? v_load(a->bias)
							: v_zero();
	for (size_t ky = rows.k0; ky < rows.k1; ky++) {
		const float *row = in + (ky - rows.k0) * a->dilation[0] * a->w * VL;

		EACH (kx, kw) {
			vf tap = what == DEPTHWISE ? v_load(w) : v_zero();

			EACH (p, N) {
				vf x = v_load(row + kx * dilation + p * step);

				if (what == DEPTHWISE)
					acc[p] = v_fma(x, tap, acc[p]);
				else if (what == MAX_POOL)
					acc[p] = v_max_nan(acc[p], x);
				else
					acc[p] = v_add(acc[p], x);
			}
			w += what == DEPTHWISE ? VL : 0;
		}
	}
	EACH (p, N) {
		if (what == AVERAGE_POOL)
			acc[p] = v_div(acc[p], v_set1(divisor));
		if (what == DEPTHWISE) {
			if (res)
				acc[p] = v_add(acc[p], v_load(res + p * VL));
			acc[p] = v_clamp(c, acc[p]);
		}
		v_store(out + p * VL, acc[p]);
	}
}

/* One output pixel, any window. */
INLINE void window_edge(const ad_window_args *a, size_t y, size_t x, taps rows, float *out, const float *res,
			const enum window what, const clamp *c)
{
	taps cols = taps_of(x, a->kernel[1], a->stride[1], a->dilation[1], a->pads[1], a->w);
	vf acc = what == MAX_POOL ? v_set1(-INFINITY) : what == DEPTHWISE && a->bias ? v_load(a->bias) : v_zero();
	size_t cells = 0;

	for (size_t ky = rows.k0; ky < rows.k1; ky++) {
		size_t iy = rows.at + (ky - rows.k0) * a->dilation[0] - a->row0;

		for (size_t kx = cols.k0; kx < cols.k1; kx++) {
			vf v = v_load(a->in + (iy * a->w + cols.at + (kx - cols.k0) * a->dilation[1]) * VL);

			cells++;
			if (what == DEPTHWISE)
				acc = v_fma(v, v_load(a->weights + (ky * a->kernel[1] + kx) * VL), acc);
			else if (what == MAX_POOL)
				acc = v_max_nan(acc, v);
			else
				acc = v_add(acc, v);
		}
	}
	if (what == AVERAGE_POOL) {
		if (a->count_padding) {
			taps all_rows =
			    taps_of(y, a->kernel[0], a->stride[0], a->dilation[0], 0, a->h + a->pads[0] + a->pads[2]);
			taps all_cols =
			    taps_of(x, a->kernel[1], a->stride[1], a->dilation[1], 0, a->w + a->pads[1] + a->pads[3]);

			cells = (all_rows.k1 - all_rows.k0) * (all_cols.k1 - all_cols.k0);
		}
		acc = cells ? v_div(acc, v_set1((float)cells)) : v_zero();
	}
	if (what == DEPTHWISE) {
		if (res)
			acc = v_add(acc, v_load(res));
		acc = v_clamp(c, acc);
	}
	v_store(out, acc);
}

INLINE void window(const ad_window_args *a, const size_t KW, const enum window what)
{
	size_t span = (a->kernel[1] - 1) * a->dilation[1] + 1;
	/* Output columns x0 .. x1-1 have all taps inside. */
	size_t x0 = (a->pads[1] + a->stride[1] - 1) / a->stride[1], x1;
	clamp c = clamp_of(&a->fn);

	x1 = a->w + a->pads[1] >= span ? (a->w + a->pads[1] - span) / a->stride[1] + 1 : 0;
	x1 = x1 < a->ow ? x1 : a->ow;
	x0 = x0 < a->ow ? x0 : a->ow;
	if (x1 < x0)
		x1 = x0;
	for (size_t y = a->y0; y < a->y1; y++) {
		taps rows = taps_of(y, a->kernel[0], a->stride[0], a->dilation[0], a->pads[0], a->h);
		size_t start = (y - a->y0) * a->ow * VL, x = 0, height = rows.k1 - rows.k0;
		float *out = a->out + start;
		const float *res = what == DEPTHWISE && a->res ? a->res + start : NULL, *in;

		if (what == AVERAGE_POOL && a->count_padding) {
			taps all =
			    taps_of(y, a->kernel[0], a->stride[0], a->dilation[0], 0, a->h + a->pads[0] + a->pads[2]);

			height = all.k1 - all.k0;
		}
		for (; x < x0; x++)
			window_edge(a, y, x, rows, out + x * VL, res ? res + x * VL : NULL, what, &c);
		if (rows.k1 > rows.k0) {
			float divisor = (float)(height * a->kernel[1]);

			in = a->in + ((rows.at - a->row0) * a->w - a->pads[1]) * VL;
			for (; x + 8 <= x1; x += 8)
				window_inside(a, rows, in + x * a->stride[1] * VL, out + x * VL,
					      res ? res + x * VL : NULL, 8, KW, what, &c, divisor);
			for (; x + 3 <= x1; x += 3)
				window_inside(a, rows, in + x * a->stride[1] * VL, out + x * VL,
					      res ? res + x * VL : NULL, 3, KW, what, &c, divisor);
			for (; x < x1; x++)
				window_inside(a, rows, in + x * a->stride[1] * VL, out + x * VL,
					      res ? res + x * VL : NULL, 1, KW, what, &c, divisor);
		}
		for (; x < a->ow; x++)
			window_edge(a, y, x, rows, out + x * VL, res ? res + x * VL : NULL, what, &c);
		if (what == DEPTHWISE && is_late(&a->fn))
			apply_late(&a->fn, out, a->ow);
	}
}

/* Tiles of equal size side by side, in rows y0 .. y1 - 1. */
typedef struct depthwise_run {
	size_t first, count; /* output pixel, tiles */
	int left, right;     /* the first column of the first window, the last one of the last are outside */
	size_t y0, y1;
} depthwise_run;

/*
 * 3x3 depthwise: P pixels of ROWS output rows (1, 2) in registers, and the weights; each input pixel is read once, and
 * nothing branches within a tile. The taps of an output come in the same order as in window_inside.
 */
INLINE void depthwise_tiles(const ad_window_args *a, const depthwise_run *run, const size_t P, const size_t ROWS,
			    const size_t S)
{
	const size_t columns = (P - 1) * S + 3, rows = (ROWS - 1) * S + 3, line = a->w * VL, pitch = a->ow * VL;
	vf w[9], bias = a->bias ? v_load(a->bias) : v_zero();
	clamp c = clamp_of(&a->fn);

	EACH (t, 9)
		w[t] = v_load(a->weights + t * VL);
	for (size_t y = run->y0; y + ROWS <= run->y1; y += ROWS) {
		size_t start = ((y - a->y0) * a->ow + run->first) * VL, first = y * S - a->pads[0];
		const float *in = a->in + ((first - a->row0) * a->w + run->first * S - a->pads[1]) * VL;
		const float *res = a->res ? a->res + start : NULL;
		float *out = a->out + start;

		for (size_t tile = 0; tile < run->count; tile++) {
			/* A column that is outside: 0, in place of its neighbour. */
			size_t no_left = tile == 0 && run->left, no_right = tile + 1 == run->count && run->right;
			size_t at_left = no_left * VL, at_right = (columns - 1 - no_right) * VL;
			vm left = v_mask(!no_left), right = v_mask(!no_right);
			vf sum[16];

			EACH (p, P * ROWS)
				sum[p] = bias;
			EACH (i, rows) {
				const float *row = in + i * line;

				if (first + i >= a->h) /* above the plane, too */
					continue;
				EACH (j, columns) {
					vf x = j == 0             ? v_if(left, v_load(row + at_left))
					       : j == columns - 1 ? v_if(right, v_load(row + at_right))
								  : v_load(row + j * VL);

					v_keep(x);
					EACH (r, ROWS) {
						EACH (p, P) {
							const size_t ky = i - r * S, kx = j - p * S; /* wrap */

							if (ky < 3 && kx < 3)
								sum[r * P + p] =
								    v_fma(x, w[ky * 3 + kx], sum[r * P + p]);
						}
					}
				}
			}
			if (res) {
				EACH (r, ROWS)
					EACH (p, P)
						sum[r * P + p] =
						    v_add(sum[r * P + p], v_load(res + r * pitch + p * VL));
				res += P * VL;
			}
			EACH (r, ROWS)
				EACH (p, P)
					v_store(out + r * pitch + p * VL, v_clamp(&c, sum[r * P + p]));
			in += P * S * VL;
			out += P * VL;
		}
	}
}

typedef void depthwise_fn(const ad_window_args *a, const depthwise_run *run);

#define DEPTHWISE_FN(P, ROWS, S)                                                                                       \
	static __attribute__((noinline)) void depthwise_##P##_##ROWS##_##S(const ad_window_args *a,                    \
									   const depthwise_run *run)                   \
	{                                                                                                              \
		depthwise_tiles(a, run, P, ROWS, S);                                                                   \
	}
#define DEPTHWISE_FNS(P, R) DEPTHWISE_FN(P, 1, 1) DEPTHWISE_FN(P, 1, 2) DEPTHWISE_FN(P, 2, 1) DEPTHWISE_FN(P, 2, 2)
#define DEPTHWISE_NAMES(P, R)                                                                                          \
	{{depthwise_##P##_1_1, depthwise_##P##_1_2}, {depthwise_##P##_2_1, depthwise_##P##_2_2}},

TILES(DEPTHWISE_TILE, DEPTHWISE_FNS, )

/* 3x3, stride 1 or 2, not dilated, at most a column of a window outside at either side. */
static void depthwise_3x3(const ad_window_args *a)
{
	static depthwise_fn *const fns[][2][2] = {TILES(DEPTHWISE_TILE, DEPTHWISE_NAMES, )};
	/* As even as they come: first those of `size` pixels, then those of one more. */
	size_t s = a->stride[0], count = (a->ow + DEPTHWISE_TILE - 1) / DEPTHWISE_TILE, size = a->ow / count;
	size_t bigger = a->ow % count, smaller = count - bigger, even = a->y0 + (a->y1 - a->y0) / 2 * 2;
	int left = a->pads[1] != 0, right = (a->ow - 1) * s + 3 > a->w + a->pads[1];
	const depthwise_run runs[] = {
	    {0, smaller, left, right && !bigger, a->y0, even},
	    {0, smaller, left, right && !bigger, even, a->y1},
	    {smaller * size, bigger, 0, right, a->y0, even},
	    {smaller * size, bigger, 0, right, even, a->y1},
	};

	for (size_t i = 0; i < 4; i++)
		if (runs[i].count && runs[i].y0 < runs[i].y1)
			fns[size - 1 + i / 2][1 - i % 2][s - 1](a, &runs[i]);
	apply_late(&a->fn, a->out, (a->y1 - a->y0) * a->ow);
}

static void depthwise(const ad_window_args *a)
{
	if (a->kernel[0] == 3 && a->kernel[1] == 3 && a->stride[0] == a->stride[1] && a->stride[0] <= 2 &&
	    a->dilation[0] == 1 && a->dilation[1] == 1 && a->pads[1] <= 1 &&
	    (a->ow - 1) * a->stride[1] + 2 <= a->w + a->pads[1])
		depthwise_3x3(a);
	else if (a->kernel[1] == 3)
		window(a, 3, DEPTHWISE);
	else if (a->kernel[1] == 5)
		window(a, 5, DEPTHWISE);
	else
		window(a, 0, DEPTHWISE);
}

static void max_pool(const ad_window_args *a)
{
	if (a->kernel[1] == 3)
		window(a, 3, MAX_POOL);
	else
		window(a, 0, MAX_POOL);
}

static void average_pool(const ad_window_args *a)
{
	window(a, 0, AVERAGE_POOL);
}

/* -- Winograd ---------------------------------------------------------------------------------------- */

/* One column (or row) of B^T d: from[0], from[step], ... -> to[0], to[stride], ... */
INLINE void wino_in_1d(const vf *d, vf *t, const size_t M)
{
	if (M == 2) {
		t[0] = v_sub(d[0], d[2]);
		t[1] = v_add(d[1], d[2]);
		t[2] = v_sub(d[2], d[1]);
		t[3] = v_sub(d[1], d[3]);
	} else {
		vf four = v_set1(4.0f), minus5 = v_set1(-5.0f), two = v_set1(2.0f), minus4 = v_set1(-4.0f),
		   minus2 = v_set1(-2.0f);
		vf even = v_fma(minus4, d[2], d[4]), odd = v_fma(minus4, d[1], d[3]);
		vf e2 = v_sub(d[4], d[2]), o2 = v_sub(d[3], d[1]);

		t[0] = v_fma(four, d[0], v_fma(minus5, d[2], d[4]));
		t[1] = v_add(even, odd);
		t[2] = v_sub(even, odd);
		t[3] = v_fma(two, o2, e2);
		t[4] = v_fma(minus2, o2, e2);
		t[5] = v_fma(four, d[1], v_fma(minus5, d[3], d[5]));
	}
}

INLINE void wino_out_1d(const vf *m, vf *o, const size_t M)
{
	vf s1 = v_add(m[1], m[2]), d1 = v_sub(m[1], m[2]);

	if (M == 2) {
		o[0] = v_add(m[0], s1);
		o[1] = v_sub(d1, m[3]);
	} else {
		vf s2 = v_add(m[3], m[4]), d2 = v_sub(m[3], m[4]);

		o[0] = v_add(v_add(m[0], s1), s2);
		o[1] = v_fma(v_set1(2.0f), d2, d1);
		o[2] = v_fma(v_set1(4.0f), s2, s1);
		o[3] = v_add(v_fma(v_set1(8.0f), d2, d1), m[5]);
	}
}

INLINE void wino_in_m(const ad_wino_in_args *a, const size_t M)
{
	static const float zeros[VL];
	const size_t n = M + 2;

	for (size_t t = a->t0; t < a->t1; t++) {
		/* The patch's first row and column, from the plane's; rows and columns outside wrap to huge numbers. */
		size_t y = t / a->tiles_x * M - a->pad_top, x = t % a->tiles_x * M - a->pad_left;
		float *v = a->v + (t - a->t0) * VL;
		const float *rows[6];
		vf half[6][6];

		EACH (i, n)
			rows[i] = y + i < a->h ? a->in + (y + i) * a->w * VL : NULL;
		EACH (j, n) {
			vf d[6], r[6];

			if (x + j < a->w) {
				EACH (i, n)
					d[i] = v_load(rows[i] ? rows[i] + (x + j) * VL : zeros);
				wino_in_1d(d, r, M);
			} else {
				EACH (i, n)
					r[i] = v_zero();
			}
			EACH (i, n)
				half[i][j] = r[i];
		}
		EACH (i, n) {
			vf r[6];

			wino_in_1d(half[i], r, M);
			EACH (j, n)
				v_store(v + (i * n + j) * a->xi_step, r[j]);
		}
	}
}

static void wino_in(const ad_wino_in_args *a)
{
	if (a->m == 2)
		wino_in_m(a, 2);
	else
		wino_in_m(a, 4);
}

INLINE void wino_out_m(const ad_wino_out_args *a, const size_t M)
{
	const size_t n = M + 2;
	clamp c = clamp_of(&a->fn);

	for (size_t t = a->t0; t < a->t1; t++) {
		size_t y = t / a->tiles_x * M, x = t % a->tiles_x * M;
		const float *v = a->v + (t - a->t0) * VL;
		vf half[4][6], bias = a->bias ? v_load(a->bias) : v_zero();
		size_t rows = a->h - y < M ? a->h - y : M, cols = a->w - x < M ? a->w - x : M;

		EACH (j, n) {
			vf m[6], o[4];

			EACH (i, n)
				m[i] = v_load(v + (i * n + j) * a->xi_step);
			wino_out_1d(m, o, M);
			EACH (i, M)
				half[i][j] = o[i];
		}
		EACH (i, M) {
			vf o[4];
			size_t at = ((y + i) * a->w + x) * VL;

			if (i >= rows)
				break;
			wino_out_1d(half[i], o, M);
			EACH (j, M) {
				if (j >= cols)
					break;
				o[j] = v_add(o[j], bias);
				if (a->res)
					o[j] = v_add(o[j], v_load(a->res + at + j * VL));
				v_store(a->out + at + j * VL, v_clamp(&c, o[j]));
			}
			if (is_late(&a->fn))
				apply_late(&a->fn, a->out + at, cols);
		}
	}
}

static void wino_out(const ad_wino_out_args *a)
{
	if (a->m == 2)
		wino_out_m(a, 2);
	else
		wino_out_m(a, 4);
}

INLINE void wino_weights_1d(const vf *g, vf *t, const size_t M)
{
	if (M == 2) {
		vf half = v_set1(0.5f), ends = v_mul(half, v_add(g[0], g[2])), middle = v_mul(half, g[1]);

		t[0] = g[0];
		t[1] = v_add(ends, middle);
		t[2] = v_sub(ends, middle);
		t[3] = g[2];
	} else {
		vf sixth = v_set1(-1.0f / 6), a = v_mul(sixth, v_add(g[0], g[2])), b = v_mul(sixth, g[1]);
		vf c = v_fma(v_set1(1.0f / 6), g[2], v_mul(v_set1(1.0f / 24), g[0])),
		   d = v_mul(v_set1(1.0f / 12), g[1]);

		t[0] = v_mul(v_set1(0.25f), g[0]);
		t[1] = v_add(a, b);
		t[2] = v_sub(a, b);
		t[3] = v_add(c, d);
		t[4] = v_sub(c, d);
		t[5] = g[2];
	}
}

INLINE void wino_weights_m(const ad_wino_weights_args *a, const size_t M)
{
	const size_t n = M + 2;
	vf half[6][3];

	EACH (j, 3) {
		vf g[3], t[6];

		EACH (i, 3)
			g[i] = v_load(a->in + (i * 3 + j) * VL);
		wino_weights_1d(g, t, M);
		EACH (i, n)
			half[i][j] = t[i];
	}
	EACH (i, n) {
		vf t[6];

		wino_weights_1d(half[i], t, M);
		EACH (j, n)
			v_store(a->u + (i * n + j) * a->xi_step, t[j]);
	}
}

static void wino_weights(const ad_wino_weights_args *a)
{
	if (a->m == 2)
		wino_weights_m(a, 2);
	else
		wino_weights_m(a, 4);
}

/* -- pixel by pixel ---------------------------------------------------------------------------------- */

static void affine(const ad_affine_args *a)
{
	vf scale = a->scale ? v_load(a->scale) : v_set1(1.0f), shift = a->shift ? v_load(a->shift) : v_zero();
	clamp c = clamp_of(&a->fn);
	const float *in = a->in;
	float *out = a->out, *end = out + a->pixels * VL;

	if (!c.on)
		c.low = v_set1(-INFINITY), c.high = v_set1(INFINITY);
	for (; out < end; out += VL, in += VL)
		v_store(out, v_min(c.high, v_max(c.low, v_fma(v_load(in), scale, shift))));
	if (is_late(&a->fn))
		apply_late(&a->fn, a->out, a->pixels);
}

static void round_bf16(const ad_round_args *a)
{
	const float *in = a->in;
	float *out = a->out, *end = out + a->pixels * VL;
	vf scale, shift;
	clamp c = clamp_of(&a->fn);

	if (!a->scale) {
		for (; out < end; out += VL, in += a->pixel)
			v_store(out, v_bf16(v_load(in)));
		return;
	}
	scale = v_load(a->scale);
	shift = v_load(a->shift);
	for (; out < end; out += VL, in += a->pixel)
		v_store(out, v_bf16(v_clamp(&c, v_fma(v_load(in), scale, shift))));
}

INLINE void binary_kind(const ad_binary_args *a, const enum ad_binary_kind kind)
{
	clamp c = clamp_of(&a->fn);
	const float *x = a->x, *y = a->y;
	float *out = a->out, *end = out + a->pixels * VL;

	if (!c.on)
		c.low = v_set1(-INFINITY), c.high = v_set1(INFINITY);
	for (; out < end; out += VL, x += a->x_step, y += a->y_step) {
		vf r = kind == AD_BINARY_ADD   ? v_add(v_load(x), v_load(y))
		       : kind == AD_BINARY_SUB ? v_sub(v_load(x), v_load(y))
		       : kind == AD_BINARY_MUL ? v_mul(v_load(x), v_load(y))
					       : v_div(v_load(x), v_load(y));

		v_store(out, v_min(c.high, v_max(c.low, r)));
	}
	if (is_late(&a->fn))
		apply_late(&a->fn, a->out, a->pixels);
}

static void binary(const ad_binary_args *a)
{
	switch (a->kind) {
	case AD_BINARY_ADD:
		binary_kind(a, AD_BINARY_ADD);
		return;
	case AD_BINARY_SUB:
		binary_kind(a, AD_BINARY_SUB);
		return;
	case AD_BINARY_MUL:
		binary_kind(a, AD_BINARY_MUL);
		return;
	case AD_BINARY_DIV:
		binary_kind(a, AD_BINARY_DIV);
		return;
	}
}

static void mean(const ad_mean_args *a)
{
	vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
	size_t p = 0;

	for (; p + 4 <= a->pixels; p += 4)
		EACH (i, 4)
			sum[i] = v_add(sum[i], v_load(a->in + (p + i) * VL));
	for (; p < a->pixels; p++)
		sum[0] = v_add(sum[0], v_load(a->in + p * VL));
	v_store(a->out, v_div(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])), v_set1((float)a->pixels)));
}

INLINE void pack_of(const ad_pack_args *a, const int halves)
{
	size_t p = 0;

	for (; p + VL <= a->pixels; p += VL) {
		vf r[VL];

		EACH (v, VL)
			r[v] = v >= a->channels ? v_zero()
			       : halves         ? v_widen(a->halves + v * a->step + p)
						: v_load((const float *)(a->in + v * a->step + p));
		v_transpose(r);
		EACH (v, VL)
			v_store(a->out + (p + v) * a->pixel, r[v]);
	}
	for (; p < a->pixels; p++)
		for (size_t v = 0; v < VL; v++)
			a->out[p * a->pixel + v] = v >= a->channels ? 0
						   : halves         ? ad_half_to_float(a->halves[v * a->step + p])
								    : a->in[v * a->step + p];
}

static void pack(const ad_pack_args *a)
{
	if (a->in)
		pack_of(a, 0);
	else
		pack_of(a, 1);
}

static void unpack(const ad_unpack_args *a)
{
	size_t p = 0;

	for (; p + VL <= a->pixels; p += VL) {
		vf r[VL];

		EACH (v, VL)
			r[v] = v_load(a->in + (p + v) * VL);
		v_transpose(r);
		EACH (v, VL)
			if (v < a->channels)
				v_store(a->out + v * a->step + p, r[v]);
	}
	for (; p < a->pixels; p++)
		for (size_t v = 0; v < a->channels; v++)
			a->out[v * a->step + p] = a->in[p * VL + v];
}

/* -- detection --------------------------------------------------------------------------------------- */

/* Lanes as doubles, pairwise. */
INLINE double sum_of(vf x)
{
	float lane[VL];
	double part[VL];

	v_store(lane, x);
	EACH (i, VL)
		part[i] = (double)lane[i];
	EACH (step, 4) {
		const size_t half = VL >> (step + 1);

		EACH (i, half)
			part[i] += part[i + half];
	}
	return part[0];
}

/* R rows times J components over one chunk. Each sum is taken alone, in the same order whatever R and J are. */
INLINE void dots_tile(const ad_dots_args *a, const float *rows, const float *v, size_t n, double *out, const size_t R,
		      const size_t J)
{
	vf sum[4][8];
	size_t i = 0;

	EACH (r, R)
		EACH (j, J)
			sum[r][j] = v_zero();
	for (; i + VL <= n; i += VL) {
		vf x[8];

		EACH (j, J)
			x[j] = v_load(v + j * a->v_step + i);
		EACH (r, R) {
			vf y = v_load(rows + r * a->a_step + i);

			EACH (j, J)
				sum[r][j] = v_fma(x[j], y, sum[r][j]);
		}
	}
	EACH (r, R)
		EACH (j, J) {
			double total = sum_of(sum[r][j]);

			for (size_t k = i; k < n; k++)
				total += (double)v[j * a->v_step + k] * (double)rows[r * a->a_step + k];
			out[r * a->count + j] += total;
		}
}

INLINE void dots_rows(const ad_dots_args *a, const float *rows, size_t begin, size_t n, size_t j, double *out,
		      const size_t J)
{
	const float *v = a->v + j * a->v_step + begin;
	size_t row = 0;

	for (; row + DOTS_ROWS <= a->rows; row += DOTS_ROWS)
		dots_tile(a, rows + row * a->a_step, v, n, out + row * a->count + j, DOTS_ROWS, J);
	for (; row < a->rows; row++)
		dots_tile(a, rows + row * a->a_step, v, n, out + row * a->count + j, 1, J);
}

static void dots(const ad_dots_args *a)
{
	for (size_t begin = 0; begin < a->n; begin += AD_DOTS_CHUNK) {
		size_t n = a->n - begin < AD_DOTS_CHUNK ? a->n - begin : AD_DOTS_CHUNK, j = 0;
		const float *rows = a->a + begin;

		if (a->rows < DOTS_ROWS)
			for (; j + 8 <= a->count; j += 8)
				dots_rows(a, rows, begin, n, j, a->out, 8);
		for (; j + 4 <= a->count; j += 4)
			dots_rows(a, rows, begin, n, j, a->out, 4);
		for (; j < a->count; j++)
			dots_rows(a, rows, begin, n, j, a->out, 1);
	}
}

/* R rows times U registers of each, from element i on; J components. */
INLINE void subtract_tile(const ad_subtract_args *a, const float *v, const float *z, float *to, const size_t R,
			  const size_t U, const size_t J)
{
	vf sum[4][4];

	EACH (j, J) {
		vf x[4];

		EACH (u, U)
			x[u] = v_load(v + j * a->v_step + u * VL);
		EACH (r, R) {
			vf y = v_set1(z[r * a->z_step + j]);

			EACH (u, U)
				sum[r][u] = j ? v_fma(y, x[u], sum[r][u]) : v_mul(y, x[u]);
		}
	}
	EACH (r, R)
		EACH (u, U)
			v_store(to + r * a->r_step + u * VL, v_sub(v_load(to + r * a->r_step + u * VL), sum[r][u]));
}

INLINE void subtract_rows(const ad_subtract_args *a, size_t row, size_t j0, size_t i, size_t end, const size_t R,
			  const size_t U, const size_t J)
{
	const float *v = a->v + j0 * a->v_step, *z = a->z + row * a->z_step + j0;
	float *to = a->r + row * a->r_step;

	for (; i + U * VL <= end; i += U * VL)
		subtract_tile(a, v + i, z, to + i, R, U, J);
	for (; i + VL <= end; i += VL)
		subtract_tile(a, v + i, z, to + i, R, 1, J);
	for (; i < end; i++)
		EACH (r, R) {
			float sum = 0;

			EACH (j, J)
				sum += z[r * a->z_step + j] * v[j * a->v_step + i];
			to[r * a->r_step + i] -= sum;
		}
}

INLINE void subtract_group(const ad_subtract_args *a, size_t j0, size_t begin, size_t end, const size_t J)
{
	size_t row = 0;

	for (; row + DOTS_ROWS <= a->rows; row += DOTS_ROWS)
		subtract_rows(a, row, j0, begin, end, DOTS_ROWS, SUBTRACT_STEP, J);
	for (; row < a->rows; row++)
		subtract_rows(a, row, j0, begin, end, 1, 1, J);
}

/* In pieces of some rows that stay in the first cache while all components pass. */
static void subtract(const ad_subtract_args *a)
{
	const size_t piece = AD_DOTS_CHUNK;

	for (size_t begin = 0; begin < a->n; begin += piece) {
		size_t end = a->n - begin < piece ? a->n : begin + piece;

		size_t j = 0;

		for (; j + AD_SUBTRACT_GROUP <= a->count; j += AD_SUBTRACT_GROUP)
			subtract_group(a, j, begin, end, AD_SUBTRACT_GROUP);
		switch (a->count - j) {
		case 1:
			subtract_group(a, j, begin, end, 1);
			break;
		case 2:
			subtract_group(a, j, begin, end, 2);
			break;
		case 3:
			subtract_group(a, j, begin, end, 3);
			break;
		}
	}
}

const ad_kernels AD_TABLE = {
    AD_ISA, VL, 3, TILE2, CONV_HALF, fp_enter, fp_leave,
#define K(name, args) name,
#include "../kernels.def"
#undef K
};
