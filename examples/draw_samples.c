/*
 * Draws sample pictures of a product that does not exist: turned steel flanges on a conveyor belt, seen by a camera
 * above. Parts lie a little differently each time, light and camera drift, metal and belt have grain. Defective parts
 * come in seven kinds and three sizes, with masks.
 *
 *	draw_samples DIR [--train N] [--normal N] [--each N] [--size PIXELS] [--seed S] [--digest]
 *
 *	DIR/train/normal/000.png ...             --train N, default 100
 *	DIR/test/normal/000.png ...              --normal N, default 30
 *	DIR/test/anomalous/KIND/000.png ...      --each N of each kind, default 6
 *	DIR/masks/KIND/000.png ...               white where the defect is
 *
 * Picture i of a folder depends on the seed and on i alone. Only + - * / and square roots are used, which IEEE 754
 * rounds the same everywhere, so the same seed gives the same pixels on every machine; --digest prints a digest of
 * them all.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <adtool/adtool.h>

#ifdef __clang__ /* gcc keeps products and sums apart in C11 mode */
#pragma STDC FP_CONTRACT OFF
#endif

enum kind { SCRATCH, DENT, STAIN, CRACK, MISSING, CONTAMINATION, MISPRINT, KINDS, NONE = KINDS };
static const char *const kind_names[KINDS] = {"scratch", "dent",          "stain",   "crack",
					      "missing", "contamination", "misprint"};

/* Lengths are in 256ths of the picture's side; the part's centre is the origin of (u, v). */
#define RIM 92.0
#define BORE 27.0
#define HOLES 6
#define HOLE_CIRCLE 60.0
#define HOLE 8.5
#define MARK_V 69.0 /* the mark's middle is straight below the bore */
#define MARK_PITCH 1.8
#define POINTS 20

/* -- numbers ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z) /* SplitMix64's finaliser: Steele, Lea & Flood 2014 */
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static double uniform(uint64_t *state, double low, double high)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return low + (high - low) * ((double)(mix(*state) >> 11) / 9007199254740992.0);
}

/* Bell-shaped, standard deviation 1, never beyond 3.5. */
static double bell(uint64_t *state)
{
	return uniform(state, -1, 1) + uniform(state, -1, 1) + uniform(state, -1, 1);
}

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* 0 below low, 1 above high, smooth between. */
static double ramp(double x, double low, double high)
{
	double t = clamp((x - low) / (high - low), 0, 1);

	return t * t * (3 - 2 * t);
}

/* How much of a pixel lies inside an edge at signed distance d (negative inside). */
static double inside(double d)
{
	return clamp(0.5 - d, 0, 1);
}

/* Cosine and sine by their series; |angle| <= 2 pi. */
static void turn(double angle, double *c, double *s)
{
	double term = 1;

	*c = 1;
	*s = 0;
	for (int i = 1; i < 40; i++) {
		term *= angle / i;
		switch (i & 3) {
		case 0: *c += term; break;
		case 1: *s += term; break;
		case 2: *c -= term; break;
		case 3: *s -= term; break;
		}
	}
}

static double lattice(uint64_t seed, int64_t x, int64_t y)
{
	uint64_t h = mix(seed ^ mix((uint64_t)x * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)y));

	return (double)(h >> 40) / 8388607.5 - 1;
}

/* Smooth noise in [-1, 1] with features about 1 unit wide. */
static double noise(uint64_t seed, double x, double y)
{
	double fx = floor(x), fy = floor(y);
	int64_t ix = (int64_t)fx, iy = (int64_t)fy;
	double tx = ramp(x - fx, 0, 1), ty = ramp(y - fy, 0, 1);
	double top = lattice(seed, ix, iy) * (1 - tx) + lattice(seed, ix + 1, iy) * tx;
	double bottom = lattice(seed, ix, iy + 1) * (1 - tx) + lattice(seed, ix + 1, iy + 1) * tx;

	return top * (1 - ty) + bottom * ty;
}

/* -- what is in a picture ---------------------------------------------------------------------------- */

struct curve {
	int n;
	double x[POINTS], y[POINTS];
};

struct mark {
	double u, v, c, s, strength, ghost; /* ghost: distance of a second impression, 0 for none */
};

struct scene {
	double x, y, c, s, scale;     /* where the part lies */
	double lx, ly;                /* towards the light, in the picture */
	double gain, slope_x, slope_y;
	double tint[3], metal, gloss, noise;
	uint64_t metal_seed, belt_seed, noise_seed;
	double belt_x, belt_y;
	struct mark mark;

	enum kind kind;
	int variant;
	double size;                  /* of the defect: about 0.7, 1 or 1.5 */
	double du, dv, dc, ds;        /* its place and direction */
	double color[3];
	uint64_t defect_seed;
	struct curve curve, branch;
};

static double distance(double u, double v)
{
	return sqrt(u * u + v * v);
}

static double curve_distance(const struct curve *curve, double u, double v)
{
	double best = 1e9;

	for (int i = 0; i + 1 < curve->n; i++) {
		double ax = curve->x[i], ay = curve->y[i];
		double bx = curve->x[i + 1] - ax, by = curve->y[i + 1] - ay;
		double t = clamp(((u - ax) * bx + (v - ay) * by) / (bx * bx + by * by + 1e-9), 0, 1);
		double d = distance(u - ax - t * bx, v - ay - t * by);

		best = d < best ? d : best;
	}
	return best;
}

/* A line from (u, v) along (c, s); it wanders by `bend` per step and jumps sideways by `jag`. */
static void make_curve(struct curve *curve, uint64_t *rng, double u, double v, double c, double s, double length,
		       double bend, double jag)
{
	double step = length / (POINTS - 1), way = uniform(rng, -bend, bend);

	curve->n = POINTS;
	for (int i = 0; i < POINTS; i++) {
		double tc, ts, side = i ? uniform(rng, -jag, jag) : 0;

		curve->x[i] = u - s * side;
		curve->y[i] = v + c * side;
		turn(way + uniform(rng, -bend, bend) / 2, &tc, &ts);
		double nc = c * tc - s * ts;
		s = s * tc + c * ts;
		c = nc;
		u += step * c;
		v += step * s;
	}
}

/* Holes are at 0, 60, ... degrees; symmetry does the trigonometry. */
static void hole_centre(int i, double *u, double *v)
{
	static const double cosine[HOLES] = {1, 0.5, -0.5, -1, -0.5, 0.5};
	double h = sqrt(0.75);
	double sine[HOLES] = {0, h, h, 0, -h, -h};

	*u = HOLE_CIRCLE * cosine[i];
	*v = HOLE_CIRCLE * sine[i];
}

static double random_sign(uint64_t *rng)
{
	return uniform(rng, 0, 1) < 0.5 ? -1 : 1;
}

/* A spot on the metal that is neither hole nor mark. */
static void place_on_metal(struct scene *q, uint64_t *rng)
{
	for (;;) {
		double c, s, r = uniform(rng, BORE + 12, RIM - 12);
		int free = 1;

		turn(uniform(rng, 0, 6.28), &c, &s);
		q->du = r * c;
		q->dv = r * s;
		for (int i = 0; i < HOLES; i++) {
			double hu, hv;

			hole_centre(i, &hu, &hv);
			free = free && distance(q->du - hu, q->dv - hv) > HOLE + 6;
		}
		if (free && distance(q->du, q->dv - MARK_V) > 24)
			break;
	}
	turn(uniform(rng, 0, 6.28), &q->dc, &q->ds);
}

static void make_defect(struct scene *q, enum kind kind, int index, uint64_t *rng)
{
	static const double sizes[3] = {1.0, 1.5, 0.7};
	static const double shreds[3][3] = {{60, 95, 190}, {196, 60, 48}, {228, 222, 205}};

	q->kind = kind;
	q->size = sizes[index % 3] * uniform(rng, 0.9, 1.1);
	q->variant = (index / 3 + index) % 4;
	q->defect_seed = (uint64_t)(uniform(rng, 0, 1) * 1e15);
	place_on_metal(q, rng);

	switch (kind) {
	case SCRATCH:
		make_curve(&q->curve, rng, q->du, q->dv, q->dc, q->ds, 42 * q->size, 0.06, 0);
		make_curve(&q->branch, rng, q->du + 3, q->dv + 2, q->dc, q->ds, 30 * q->size, 0.08, 0);
		break;
	case CRACK: {
		double r = distance(q->du, q->dv), c = q->du / r, s = q->dv / r;
		int from_rim = q->variant & 1;
		double start = from_rim ? RIM : BORE, length = 34 * q->size;

		c = from_rim ? -c : c;
		s = from_rim ? -s : s;
		make_curve(&q->curve, rng, q->du / r * start, q->dv / r * start, c, s, length, 0.12, 1.6);
		make_curve(&q->branch, rng, q->curve.x[POINTS / 2], q->curve.y[POINTS / 2], c * 0.8 - s * 0.6,
			   s * 0.8 + c * 0.6, length * 0.4, 0.12, 1.2);
		break;
	}
	case MISSING:
		if (q->variant & 1) { /* a piece broken out of the rim */
			double r = distance(q->du, q->dv);

			q->du *= RIM / r;
			q->dv *= RIM / r;
		} else { /* a hole that was never drilled */
			hole_centre((int)uniform(rng, 0, HOLES - 0.01), &q->du, &q->dv);
		}
		break;
	case CONTAMINATION:
		memcpy(q->color, shreds[(int)uniform(rng, 0, 2.99)], sizeof(q->color));
		make_curve(&q->curve, rng, q->du, q->dv, q->dc, q->ds, 55 * q->size, 0.5, 0);
		break;
	case MISPRINT: {
		double turned = random_sign(rng) * uniform(rng, 0.35, 0.7), c, s;

		switch (q->variant) {
		case 0: q->mark.strength = 0; break;
		case 1: q->mark.ghost = 4 + 3 * q->size; break;
		case 2:
			q->mark.u += random_sign(rng) * (5 + 4 * q->size);
			q->mark.v -= 5 + 3 * q->size;
			break;
		default:
			turn(turned, &c, &s);
			q->mark.c = c;
			q->mark.s = s;
		}
		break;
	}
	default: break;
	}
}

static void make_scene(struct scene *q, uint64_t seed, int folder, int index)
{
	uint64_t rng = mix(mix(seed + 1) ^ mix((uint64_t)folder * 1000003 + (uint64_t)index + 17));
	double tint = bell(&rng), angle;

	memset(q, 0, sizeof(*q));
	q->x = 128 + uniform(&rng, -6, 6);
	q->y = 128 + uniform(&rng, -6, 6);
	angle = uniform(&rng, -0.07, 0.07);
	turn(angle, &q->c, &q->s);
	q->scale = 1 + 0.008 * bell(&rng);
	turn(-2.3 + 0.16 * bell(&rng), &q->lx, &q->ly);
	q->gain = 1 + 0.09 * bell(&rng);
	q->slope_x = 0.08 * bell(&rng) + 0.06;
	q->slope_y = 0.08 * bell(&rng);
	q->tint[0] = 1 + 0.016 * tint;
	q->tint[1] = 1;
	q->tint[2] = 1.02 - 0.02 * tint;
	q->metal = 150 + 5 * bell(&rng);
	q->gloss = 44 + 8 * bell(&rng);
	q->noise = 2.2 + 0.5 * bell(&rng);
	q->metal_seed = (uint64_t)(uniform(&rng, 0, 1) * 1e15);
	q->belt_seed = (uint64_t)(uniform(&rng, 0, 1) * 1e15);
	q->noise_seed = (uint64_t)(uniform(&rng, 0, 1) * 1e15);
	q->belt_x = uniform(&rng, 0, 64);
	q->belt_y = uniform(&rng, 0, 64);
	q->mark.u = 0.5 * bell(&rng);
	q->mark.v = MARK_V + 0.5 * bell(&rng);
	q->mark.c = 1;
	q->mark.strength = 1 + 0.06 * bell(&rng);
	q->kind = NONE;
	if (folder >= 2)
		make_defect(q, (enum kind)(folder - 2), index, &rng);
}

/* -- drawing ----------------------------------------------------------------------------------------- */

/* How much ink of "AD-7", in dots of radius `dot`, lies at (u, v). */
static double ink(const struct mark *mark, double u, double v, double dot)
{
	static const char *const rows[7] = {" ###  ####         #####", "#   # #   #            #",
					    "#   # #   #           # ", "##### #   # #####    #  ",
					    "#   # #   #         #   ", "#   # #   #         #   ",
					    "#   # ####          #   "};
	const int columns = 24;
	double x = u - mark->u, y = v - mark->v;
	double column = (x * mark->c + y * mark->s) / MARK_PITCH + (columns - 1) / 2.0;
	double row = (y * mark->c - x * mark->s) / MARK_PITCH + 3;
	double best = 0;

	if (column < -3 || column > columns + 2 || row < -3 || row > 9)
		return 0;
	for (int j = (int)floor(row) - 1; j <= (int)floor(row) + 2; j++) {
		for (int i = (int)floor(column) - 1; i <= (int)floor(column) + 2; i++) {
			if (j < 0 || j > 6 || i < 0 || i >= columns || rows[j][i] != '#')
				continue;
			double d = inside(distance(column - i, row - j) * MARK_PITCH - dot);

			best = d > best ? d : best;
		}
	}
	return best;
}

static double marked(const struct mark *mark, double u, double v, double dot)
{
	double amount = mark->strength > 0 ? ink(mark, u, v, dot) : 0;

	if (mark->ghost > 0) {
		double again = 0.8 * ink(mark, u - mark->ghost, v + mark->ghost * 0.6, dot);

		amount = again > amount ? again : amount;
	}
	return amount;
}

static void blend(double color[3], double r, double g, double b, double amount)
{
	color[0] += (r - color[0]) * amount;
	color[1] += (g - color[1]) * amount;
	color[2] += (b - color[2]) * amount;
}

static void belt(const struct scene *q, double x, double y, double color[3])
{
	double a = (x + y + q->belt_x) / 5.2, b = (x - y + q->belt_y) / 5.2;
	double weave = fabs(a - floor(a) - 0.5) + fabs(b - floor(b) - 0.5) - 0.5;
	double level = 54 + 15 * weave + 7 * noise(q->belt_seed, x / 18, y / 18) + 5 * noise(q->belt_seed + 1, x, y);
	double lint = noise(q->belt_seed + 2, x / 2.2, y / 2.2);

	level += 40 * ramp(lint, 0.86, 1);
	color[0] = level * 0.92;
	color[1] = level * 1.04;
	color[2] = level * 0.98;
}

/* The metal's face; r > 0 is the distance from the centre. */
static void face(const struct scene *q, double u, double v, double r, double color[3])
{
	double along = (u * q->lx + v * q->ly) / r;
	double fan = along * along * along * along;
	double grooves = noise(q->metal_seed, r * 0.9, 0.5) + 0.7 * noise(q->metal_seed + 1, r * 0.28, 0.5);
	double clouds = noise(q->metal_seed + 2, u / 26, v / 26);
	double pits = noise(q->metal_seed + 3, u * 0.8, v * 0.8);
	double level = q->metal + q->gloss * fan + (5 + 4 * fan) * grooves + 5 * clouds + 3 * pits;
	double edge = ramp(r, RIM - 5.5, RIM - 4.5), lip = 1 - ramp(r, BORE + 3.5, BORE + 4.5);

	level += 46 * along * edge - 40 * along * lip;
	color[0] = level * 0.99;
	color[1] = level;
	color[2] = level * 1.015;
}

/* Draws the defect over color; how much of the pixel it covers. */
static double deface(const struct scene *q, double u, double v, double color[3])
{
	double x = u - q->du, y = v - q->dv, r = distance(x, y);
	double wobble = noise(q->defect_seed, u / 7, v / 7), cover = 0;

	switch (q->kind) {
	case SCRATCH: {
		double width = 0.5 + 0.6 * q->size, d = curve_distance(&q->curve, u, v), e = 1e9;
		double bite = 0.8 + 0.2 * noise(q->defect_seed, u / 3, v / 3);

		if (q->variant & 1)
			e = curve_distance(&q->branch, u, v) + 0.3;
		d = e < d ? e : d;
		blend(color, 84, 84, 88, 0.7 * bite * inside(d - width - 0.7));
		blend(color, 250, 250, 252, 0.9 * bite * inside(d - width + 0.1));
		cover = inside(d - width - 0.7);
		break;
	}
	case DENT: {
		double radius = 11 * q->size, t = r / (radius * (1 + 0.15 * wobble));

		if (t < 1.3) {
			double depth = t < 1 ? t * (1 - t * t) * 2.6 : 0;
			double side = r > 0 ? (x * q->lx + y * q->ly) / r : 0;
			double level = -95 * depth * side - 22 * ramp(1 - t, 0, 0.6) + 24 * ramp(1.3 - t, 0, 0.3) *
				       ramp(t, 0.85, 1.0);

			for (int i = 0; i < 3; i++)
				color[i] += level;
			cover = inside((t - 1) * radius);
		}
		break;
	}
	case STAIN: {
		double radius = 13 * q->size * (1 + 0.3 * wobble), amount = ramp(radius - r, -1.5, 2.5);
		double ring = amount * (1 - ramp(radius - r, 2, 6));
		double dark = 1 - 0.5 * amount - 0.15 * ring;

		color[0] *= dark + 0.10 * amount;
		color[1] *= dark;
		color[2] *= dark - 0.14 * amount;
		cover = amount;
		break;
	}
	case CRACK: {
		double width = 0.7 + 0.5 * q->size, d = curve_distance(&q->curve, u, v);
		double e = curve_distance(&q->branch, u, v) + 0.3;

		d = e < d ? e : d;
		blend(color, 214, 214, 216, 0.5 * inside(d - width - 1.1));
		blend(color, 16, 16, 18, inside(d - width));
		cover = inside(d - width - 0.6);
		break;
	}
	case CONTAMINATION:
		if (q->variant & 1) { /* a fibre */
			double d = curve_distance(&q->curve, u, v);
			double shade = curve_distance(&q->curve, u + 2 * q->lx, v + 2 * q->ly);

			for (int i = 0; i < 3; i++)
				color[i] *= 1 - 0.4 * inside(shade - 1.2);
			blend(color, q->color[0], q->color[1], q->color[2], inside(d - 0.6 - 0.5 * q->size));
			cover = inside(d - 0.6 - 0.5 * q->size);
		} else { /* a shred or a chip, with its shadow */
			double a = fabs(x * q->dc + y * q->ds), b = fabs(y * q->dc - x * q->ds);
			double radius = 8.5 * q->size, d = a * 0.8 + b * 0.9 - radius * (0.9 + 0.25 * wobble);
			double sx = x + 3 * q->lx, sy = y + 3 * q->ly;
			double sa = fabs(sx * q->dc + sy * q->ds), sb = fabs(sy * q->dc - sx * q->ds);
			double gleam = 0.8 + 0.35 * clamp((x * q->dc + y * q->ds) / radius, -1, 1);

			for (int i = 0; i < 3; i++)
				color[i] *= 1 - 0.45 * ramp(-(sa * 0.8 + sb * 0.9 - radius * 0.9), -2, 2);
			blend(color, q->color[0] * gleam, q->color[1] * gleam, q->color[2] * gleam, inside(d));
			cover = inside(d);
		}
		break;
	default: break;
	}
	return cover;
}

/* The colour at (x, y); *mask: how much of it is defect. */
static void shade(const struct scene *q, double x, double y, double color[3], double *mask)
{
	double px = (x - q->x) / q->scale, py = (y - q->y) / q->scale;
	double u = px * q->c + py * q->s, v = py * q->c - px * q->s;
	double r = distance(u, v) + 1e-6;
	double metal[3], solid = inside(r - RIM), shadow;

	*mask = 0;
	belt(q, x, y, color);
	shadow = ramp(RIM + 9 - distance(px + 7 * q->lx, py + 7 * q->ly), -3, 12);
	for (int i = 0; i < 3; i++)
		color[i] *= 1 - 0.62 * shadow;
	if (solid <= 0)
		return;

	face(q, u, v, r, metal);
	solid *= inside(BORE - r);
	for (int i = 0; i < HOLES; i++) {
		double hu, hv, d;

		hole_centre(i, &hu, &hv);
		d = distance(u - hu, v - hv);
		if (d > HOLE + 5)
			continue;
		if (q->kind == MISSING && !(q->variant & 1) && distance(hu - q->du, hv - q->dv) < 1) {
			*mask = inside(d - HOLE - 2.5);
			continue;
		}
		double towards = ((u - hu) * q->lx + (v - hv) * q->ly) / (d + 1e-6);

		for (int j = 0; j < 3; j++)
			metal[j] -= 44 * towards * inside(d - HOLE - 2.5);
		solid *= inside(HOLE - d);
	}
	if (q->kind == MISSING && (q->variant & 1)) {
		double edge = 13 * q->size * (1 + 0.22 * noise(q->defect_seed, u / 5, v / 5));
		double d = distance(u - q->du, v - q->dv) - edge;

		blend(metal, 226, 226, 224, 0.7 * inside(d - 2.2)); /* the fresh fracture */
		*mask = inside(d - 2.2) * inside(r - RIM);
		solid *= inside(-d);
	}

	double amount = marked(&q->mark, u, v, 0.95);

	for (int i = 0; i < 3; i++)
		metal[i] *= 1 - 0.62 * amount * clamp(q->mark.strength, 0.8, 1.2);
	if (q->kind == MISPRINT) {
		struct mark right = {.v = MARK_V, .c = 1, .strength = 1};

		*mask = fabs(ink(&right, u, v, 1.9) - marked(&q->mark, u, v, 1.9));
	}
	double cover = deface(q, u, v, metal) * solid;

	*mask = cover > *mask ? cover : *mask;
	for (int i = 0; i < 3; i++)
		color[i] += (metal[i] - color[i]) * solid;
}

static uint8_t to_byte(double x)
{
	return (uint8_t)(clamp(x, 0, 255) + 0.5);
}

/* Digest of all samples drawn so far: FNV-1a. */
static uint64_t digest = UINT64_C(0xcbf29ce484222325);

static int write_picture(const char *path, unsigned size, const uint8_t *pixels, adtool_error *err)
{
	adtool_image *image = NULL;
	size_t n = (size_t)size * size * 3;
	int rc = adtool_image_create(size, size, &image, err);

	if (rc == 0) {
		memcpy(adtool_image_pixels(image), pixels, n);
		for (size_t i = 0; i < n; i++)
			digest = (digest ^ pixels[i]) * UINT64_C(0x100000001b3);
		rc = adtool_image_write_png(image, path, err);
	}
	adtool_image_free(image);
	return rc;
}

static void draw(const struct scene *q, unsigned size, uint8_t *picture, uint8_t *mask)
{
	double unit = 256.0 / size;
	uint64_t rng = q->noise_seed;

	for (unsigned j = 0; j < size; j++) {
		for (unsigned i = 0; i < size; i++) {
			double x = (i + 0.5) * unit, y = (j + 0.5) * unit, color[3], covered;
			double light = q->gain * (1 + q->slope_x * (x - 128) / 128 + q->slope_y * (y - 128) / 128);
			double gray = q->noise * bell(&rng);
			size_t at = ((size_t)j * size + i) * 3;

			shade(q, x, y, color, &covered);
			for (int k = 0; k < 3; k++) {
				picture[at + (size_t)k] = to_byte(color[k] * light * q->tint[k] + gray);
				mask[at + (size_t)k] = covered > 0.5 ? 255 : 0;
			}
		}
	}
}

/* -- the program ------------------------------------------------------------------------------------- */

struct options {
	const char *dir;
	long train, normal, each, size, seed;
	int digest;
};

static void usage(FILE *to)
{
	fprintf(to, "usage: draw_samples DIR [--train N] [--normal N] [--each N] [--size PIXELS] [--seed S] "
		    "[--digest]\n");
}

static int parse(int argc, char **argv, struct options *o)
{
	const struct {
		const char *name;
		long *value, low, high;
	} numbers[] = {{"--train", &o->train, 0, 1000000}, {"--normal", &o->normal, 0, 1000000},
		       {"--each", &o->each, 0, 1000000},   {"--size", &o->size, 16, 4096},
		       {"--seed", &o->seed, 0, 1L << 30}};

	for (int i = 1; i < argc; i++) {
		size_t k, n = sizeof(numbers) / sizeof(numbers[0]);

		if (!strcmp(argv[i], "--digest")) {
			o->digest = 1;
			continue;
		}
		for (k = 0; k < n && strcmp(argv[i], numbers[k].name) != 0; k++)
			;
		if (k < n && i + 1 < argc) {
			char *end;
			long value = strtol(argv[++i], &end, 10);

			if (!*argv[i] || *end || value < numbers[k].low || value > numbers[k].high) {
				fprintf(stderr, "draw_samples: %s: '%s' is not a number from %ld to %ld\n",
					numbers[k].name, argv[i], numbers[k].low, numbers[k].high);
				return -1;
			}
			*numbers[k].value = value;
		} else if (argv[i][0] != '-' && !o->dir) {
			o->dir = argv[i];
		} else {
			usage(stderr);
			return -1;
		}
	}
	if (!o->dir)
		usage(stderr);
	return o->dir ? 0 : -1;
}

/* path: DIR/name, made with the folders above it. */
static int make_folder(char *path, size_t size, const char *dir, const char *name)
{
	int n = snprintf(path, size, "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= size - 16) {
		fprintf(stderr, "draw_samples: %s: the name is too long\n", dir);
		return -1;
	}
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c != '/' && c)
			continue;
		*p = '\0';
		if (mkdir(path, 0777) != 0 && errno != EEXIST) {
			fprintf(stderr, "draw_samples: %s: %s\n", path, strerror(errno));
			return -1;
		}
		*p = c;
		if (!c)
			return 0;
	}
}

/* Folder 0: train, 1: test, 2...: the kinds of defects. */
static int draw_folder(const struct options *o, int folder, uint8_t *picture, uint8_t *mask)
{
	char name[64], path[4096], mask_path[4096];
	long count = folder == 0 ? o->train : folder == 1 ? o->normal : o->each;
	const char *kind = folder < 2 ? "" : kind_names[folder - 2];

	if (count == 0)
		return 0;
	snprintf(name, sizeof(name), folder == 0 ? "train/normal" : folder == 1 ? "test/normal" : "test/anomalous/%s",
		 kind);
	if (make_folder(path, sizeof(path), o->dir, name) != 0)
		return -1;
	snprintf(name, sizeof(name), "masks/%s", kind);
	if (folder >= 2 && make_folder(mask_path, sizeof(mask_path), o->dir, name) != 0)
		return -1;
	size_t path_end = strlen(path), mask_end = folder >= 2 ? strlen(mask_path) : 0;

	for (long i = 0; i < count; i++) {
		struct scene scene;
		adtool_error err;

		make_scene(&scene, (uint64_t)o->seed, folder, (int)i);
		draw(&scene, (unsigned)o->size, picture, mask);
		snprintf(path + path_end, sizeof(path) - path_end, "/%03ld.png", i);
		if (folder >= 2)
			snprintf(mask_path + mask_end, sizeof(mask_path) - mask_end, "/%03ld.png", i);
		if (write_picture(path, (unsigned)o->size, picture, &err) != 0 ||
		    (folder >= 2 && write_picture(mask_path, (unsigned)o->size, mask, &err) != 0)) {
			fprintf(stderr, "draw_samples: %s: %s\n", path, err.message);
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.train = 100, .normal = 30, .each = 6, .size = 256, .seed = 1};
	int status = EXIT_FAILURE;

	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (parse(argc, argv, &o) != 0)
		return 129;

	size_t bytes = (size_t)o.size * (size_t)o.size * 3;
	uint8_t *picture = calloc(bytes, 1), *mask = calloc(bytes, 1);

	if (!picture || !mask) {
		fputs("draw_samples: out of memory\n", stderr);
		goto out;
	}
	for (int folder = 0; folder < 2 + KINDS; folder++)
		if (draw_folder(&o, folder, picture, mask) != 0)
			goto out;
	if (o.digest)
		printf("%016llx\n", (unsigned long long)digest);
	if (fflush(stdout) == 0)
		status = EXIT_SUCCESS;
out:
	free(picture);
	free(mask);
	return status;
}
