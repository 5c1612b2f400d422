/*
 * draw_formats DIR [NAME]: small pictures in every format and many of their variants (or only those whose file names
 * begin with NAME), and for each the PNG that it shows. DIR/list has a line for each: file, PNG, the largest difference
 * of a sample that is allowed, the least PSNR in dB (0: none), and the page (0: no matter). Formats that this build
 * leaves out are left out.
 */
#include <adtool/adtool.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "noise.h"

#ifdef AD_SONAME_TIFF
#include <tiffio.h>
#endif
#ifdef AD_SONAME_WEBP
#include <webp/encode.h>
#include <webp/mux.h>
#endif
#ifdef AD_SONAME_GIF
#include <gif_lib.h>
#endif
#ifdef AD_SONAME_HEIF
#include <libheif/heif.h>
#endif
#ifdef AD_SONAME_JXL
#include <jxl/encode.h>
#endif

/* Some are for formats that a build may lack. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* Odd, so that rows need padding and the last tiles are cut. */
enum { W = 37, H = 29, N = W * H };

static const char *folder, *only;
static FILE *list;

static void die(const char *what)
{
	fprintf(stderr, "draw_formats: %s\n", what);
	exit(1);
}

/* -- the scene ---------------------------------------------------------------------------------------- */

/* What the pictures show: ramps, an edge, and some texture; and how opaque it is. */
static uint8_t rgb[3 * N], rgba[4 * N], gray[N], truth[3 * N];
static uint16_t rgb16[3 * N], gray16[N];

static void draw_scene(void)
{
	for (unsigned y = 0; y < H; y++) {
		for (unsigned x = 0; x < W; x++) {
			unsigned i = y * W + x;

			rgb16[3 * i] = (uint16_t)(x * 65535 / (W - 1));
			rgb16[3 * i + 1] = (uint16_t)(y * 65535 / (H - 1));
			rgb16[3 * i + 2] = (uint16_t)(x > y ? 52000 - 900 * y : 700 * x + (noise(i) & 4095));
			gray16[i] = (uint16_t)((x * 65535 / (W - 1) + rgb16[3 * i + 2]) / 2);
			for (unsigned k = 0; k < 3; k++)
				rgb[3 * i + k] = rgba[4 * i + k] = (uint8_t)(rgb16[3 * i + k] >> 8);
			rgba[4 * i + 3] = (uint8_t)(x * 255 / (W - 1));
			gray[i] = (uint8_t)(gray16[i] >> 8);
		}
	}
}

/* The scene in the 64 colours of a palette, and in two. */
static unsigned colour64(unsigned i)
{
	return (rgb[3 * i] / 64u) * 16 + (rgb[3 * i + 1] / 64u) * 4 + rgb[3 * i + 2] / 64u;
}

static void palette64(unsigned c, uint8_t out[3])
{
	out[0] = (uint8_t)(c / 16 * 85);
	out[1] = (uint8_t)(c / 4 % 4 * 85);
	out[2] = (uint8_t)(c % 4 * 85);
}

static unsigned bit(unsigned i)
{
	return gray[i] > 127;
}

/* -- truths: what must come out, computed here in the plainest way ------------------------------------ */

static void truth_rgb(void)
{
	memcpy(truth, rgb, sizeof(truth));
}

static void truth_gray(const uint8_t *values)
{
	for (unsigned i = 0; i < N; i++)
		memset(truth + 3 * i, values[i], 3);
}

static void truth_over(const uint8_t background[3])
{
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < 3; k++) {
			double a = rgba[4 * i + 3] / 255.0;

			truth[3 * i + k] = (uint8_t)lrint(rgb[3 * i + k] * a + background[k] * (1 - a));
		}
}

static void truth_rgb16(void)
{
	for (unsigned i = 0; i < 3 * N; i++)
		truth[i] = (uint8_t)lrint(rgb16[i] * 255.0 / 65535);
}

static void truth_gray16(void)
{
	for (unsigned i = 0; i < N; i++)
		memset(truth + 3 * i, (int)lrint(gray16[i] * 255.0 / 65535), 3);
}

static void truth_palette(void)
{
	for (unsigned i = 0; i < N; i++)
		palette64(colour64(i), truth + 3 * i);
}

static void truth_bits(void)
{
	for (unsigned i = 0; i < N; i++)
		memset(truth + 3 * i, bit(i) ? 255 : 0, 3);
}

static void turn_truth(int orientation, unsigned *width, unsigned *height)
{
	static uint8_t turned[3 * N];
	int swap = orientation >= 5;

	*width = swap ? H : W;
	*height = swap ? W : H;
	for (unsigned y = 0; y < H; y++)
		for (unsigned x = 0; x < W; x++) {
			/* TIFF 6.0: which sides of the picture the 0th row and the 0th column are. */
			unsigned X = swap ? y : x, Y = swap ? x : y;

			if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7)
				X = *width - 1 - X;
			if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8)
				Y = *height - 1 - Y;
			memcpy(turned + 3 * (Y * *width + X), truth + 3 * (y * W + x), 3);
		}
	memcpy(truth, turned, sizeof(truth));
}

/* -- colour ------------------------------------------------------------------------------------------- */

static double srgb_decode(double v)
{
	return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double srgb_encode(double v)
{
	return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
}

typedef double matrix[3][3];

static void multiply(matrix a, matrix b, matrix out)
{
	matrix r;

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			r[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
	memcpy(out, r, sizeof(r));
}

static void invert(matrix a, matrix out)
{
	matrix r;
	double d = 0;

	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++) {
			int p = (j + 1) % 3, q = (j + 2) % 3, s = (i + 1) % 3, t = (i + 2) % 3;

			r[i][j] = a[p][s] * a[q][t] - a[p][t] * a[q][s];
		}
		d += a[0][i] * r[i][0];
	}
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			out[i][j] = r[i][j] / d;
}

/* Linear RGB to XYZ, from x and y of white, red, green, blue. */
static void primaries_matrix(const double xy[8], matrix out)
{
	matrix p, q;
	double s[3], white[3] = {xy[0] / xy[1], 1, (1 - xy[0] - xy[1]) / xy[1]};

	for (int j = 0; j < 3; j++) {
		p[0][j] = xy[2 + 2 * j] / xy[3 + 2 * j];
		p[1][j] = 1;
		p[2][j] = (1 - xy[2 + 2 * j] - xy[3 + 2 * j]) / xy[3 + 2 * j];
	}
	invert(p, q);
	for (int i = 0; i < 3; i++)
		s[i] = q[i][0] * white[0] + q[i][1] * white[1] + q[i][2] * white[2];
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			out[i][j] = p[i][j] * s[j];
}

static const double p3[8] = {0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
static const double bt709[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};

/* A sample 0 .. 1 to light; gamma 0: the curve of sRGB. */
static double to_light(double v, double gamma)
{
	return gamma > 0 ? pow(v, gamma) : srgb_decode(v);
}

static uint8_t to_sample(double light)
{
	return (uint8_t)lrint(255 * srgb_encode(light < 0 ? 0 : light > 1 ? 1 : light));
}

/* samples: 0 .. 1. */
static void convert_pixel(const double samples[3], const double xy[8], double gamma, uint8_t out[3])
{
	matrix from, to, m;

	primaries_matrix(xy, from);
	primaries_matrix(bt709, to);
	invert(to, to);
	multiply(to, from, m);
	for (int i = 0; i < 3; i++)
		out[i] = to_sample(m[i][0] * to_light(samples[0], gamma) + m[i][1] * to_light(samples[1], gamma) +
				   m[i][2] * to_light(samples[2], gamma));
}

static void truth_converted(const double xy[8], double gamma, int deep)
{
	for (unsigned i = 0; i < N; i++) {
		double v[3];

		for (unsigned k = 0; k < 3; k++)
			v[k] = deep ? rgb16[3 * i + k] / 65535.0 : rgb[3 * i + k] / 255.0;
		convert_pixel(v, xy, gamma, truth + 3 * i);
	}
}

static void truth_gray_gamma(double gamma, int deep)
{
	for (unsigned i = 0; i < N; i++)
		memset(truth + 3 * i, to_sample(to_light(deep ? gray16[i] / 65535.0 : gray[i] / 255.0, gamma)), 3);
}

static uint8_t profile[8192];
static size_t profile_size;

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void put_fixed(uint8_t *p, double v)
{
	put32(p, (uint32_t)(int32_t)lrint(v * 65536));
}

static void begin_profile(const char *class, const char *space, const char *pcs, unsigned tags)
{
	memset(profile, 0, sizeof(profile));
	put32(profile + 8, 0x02400000);
	memcpy(profile + 12, class, 4);
	memcpy(profile + 16, space, 4);
	memcpy(profile + 20, pcs, 4);
	put16(profile + 24, 2026);
	put16(profile + 26, 1);
	put16(profile + 28, 1);
	memcpy(profile + 36, "acsp", 4);
	put_fixed(profile + 68, 0.9642);
	put_fixed(profile + 72, 1);
	put_fixed(profile + 76, 0.8249);
	put32(profile + 128, tags);
	profile_size = 132 + 12 * tags;
}

static uint8_t *add_tag(unsigned index, const char *name, size_t size)
{
	uint8_t *entry = profile + 132 + 12 * index, *tag = profile + profile_size;

	memcpy(entry, name, 4);
	put32(entry + 4, (uint32_t)profile_size);
	put32(entry + 8, (uint32_t)size);
	profile_size += (size + 3) / 4 * 4;
	if (profile_size > sizeof(profile))
		die("a profile that is too long");
	put32(profile, (uint32_t)profile_size);
	return tag;
}

static void add_curve(unsigned index, const char *name, double gamma)
{
	static const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
	uint8_t *tag = add_tag(index, name, gamma > 0 ? 14 : 32);

	memcpy(tag, gamma > 0 ? "curv" : "para", 4);
	if (gamma > 0) {
		put32(tag + 8, 1);
		put16(tag + 12, (unsigned)lrint(gamma * 256));
		return;
	}
	put16(tag + 8, 3);
	for (unsigned i = 0; i < 5; i++)
		put_fixed(tag + 12 + 4 * i, srgb[i]);
}

/* A matrix and curves; the primaries adapted from D65 to D50 by Bradford's matrix. */
static void make_profile(const double xy[8], double gamma)
{
	static const char *const names[] = {"rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"};
	matrix bradford = {
	    {1.0478112, 0.0228866, -0.0501270}, {0.0295424, 0.9904844, -0.0170491}, {-0.0092345, 0.0150436, 0.7521316}};
	matrix m;

	primaries_matrix(xy, m);
	multiply(bradford, m, m);
	begin_profile("mntr", "RGB ", "XYZ ", 6);
	for (unsigned j = 0; j < 3; j++) {
		uint8_t *tag = add_tag(j, names[j], 20);

		memcpy(tag, "XYZ ", 4);
		for (unsigned i = 0; i < 3; i++)
			put_fixed(tag + 8 + 4 * i, m[i][j]);
	}
	for (unsigned j = 3; j < 6; j++)
		add_curve(j, names[j], gamma);
}

static void make_gray_profile(double gamma)
{
	begin_profile("mntr", "GRAY", "XYZ ", 1);
	add_curve(0, "kTRC", gamma);
}

/* Inks that darken L* alone: each of the 16 corners of CMYK has an L* of its own. */
static unsigned corner_lightness(unsigned corner)
{
	return 255 - 16 * corner - (corner == 15 ? 15 : 0);
}

static void make_cmyk_profile(void)
{
	uint8_t *tag, *p;

	begin_profile("prtr", "CMYK", "Lab ", 1);
	tag = add_tag(0, "A2B0", 48 + 4 * 256 + 16 * 3 + 3 * 256);
	memcpy(tag, "mft1", 4);
	tag[8] = 4;
	tag[9] = 3;
	tag[10] = 2;
	for (unsigned i = 0; i < 3; i++)
		put_fixed(tag + 12 + 16 * i, 1);
	p = tag + 48;
	for (unsigned i = 0; i < 4 * 256; i++)
		*p++ = (uint8_t)i;
	for (unsigned corner = 0; corner < 16; corner++) {
		*p++ = (uint8_t)corner_lightness(corner);
		*p++ = 128;
		*p++ = 128;
	}
	for (unsigned i = 0; i < 3 * 256; i++)
		*p++ = (uint8_t)i;
}

static void truth_corners(void)
{
	for (unsigned i = 0; i < N; i++) {
		double l = corner_lightness(i % 16) * 100 / 255.0, f = (l + 16) / 116;

		memset(truth + 3 * i, to_sample(l > 8 ? f * f * f : l / 903.3), 3);
	}
}

/* -- files -------------------------------------------------------------------------------------------- */

static char path_buffer[4096];

static const char *path_of(const char *name)
{
	snprintf(path_buffer, sizeof(path_buffer), "%s/%s", folder, name);
	return path_buffer;
}

static int wanted(const char *name)
{
	return !only || !strncmp(name, only, strlen(only));
}

/* A line of the list, and the PNG of `truth`, of width x height. */
static void promise_size(const char *name, unsigned width, unsigned height, unsigned most, double psnr, unsigned page)
{
	adtool_image *image;
	adtool_error err;
	char png[256];

#ifndef AD_SONAME_LCMS
	/* Without lcms2 profiles are ignored. */
	if (profile_size && most)
		return;
#endif
	if (page)
		snprintf(png, sizeof(png), "%s.%u.png", name, page);
	else
		snprintf(png, sizeof(png), "%s.png", name);
	if (adtool_image_create(width, height, &image, &err))
		die(err.message);
	memcpy(adtool_image_pixels(image), truth, 3 * (size_t)width * height);
	if (adtool_image_write_png(image, path_of(png), &err))
		die(err.message);
	adtool_image_free(image);
	fprintf(list, "%s\t%s\t%u\t%g\t%u\n", name, png, most, psnr, page);
}

static void promise(const char *name, unsigned most, double psnr)
{
	promise_size(name, W, H, most, psnr, 0);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	FILE *f = fopen(path_of(name), "wb");

	if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) {
		perror(path_of(name));
		exit(1);
	}
}

static uint8_t bytes[1 << 20];
static size_t size;

static void add(const void *data, size_t n)
{
	if (n > sizeof(bytes) - size)
		die("a picture that is too large");
	memcpy(bytes + size, data, n);
	size += n;
}

static void add_byte(unsigned v)
{
	uint8_t b = (uint8_t)v;

	add(&b, 1);
}

static void add16le(unsigned v)
{
	add_byte(v & 255);
	add_byte(v >> 8 & 255);
}

static void add32le(uint32_t v)
{
	add16le(v & 0xffff);
	add16le(v >> 16);
}

/* -- BMP ---------------------------------------------------------------------------------------------- */

enum bmp_kind { PLAIN, RUNS, FIELDS, FIELDS_ALPHA };

static void add_runs(unsigned bits)
{
	for (unsigned row = 0; row < H; row++) {
		unsigned y = H - 1 - row, x = 0;

		while (x < W) {
			unsigned c = bits == 8 ? colour64(y * W + x) : bit(y * W + x), n = 1;

			while (x + n < W && n < 250 && c == (bits == 8 ? colour64(y * W + x + n) : bit(y * W + x + n)))
				n++;
			if (n == 1 && x + 3 <= W && bits == 8) {
				/* Some as they are, padded to 16 bits. */
				add_byte(0);
				add_byte(3);
				for (n = 0; n < 3; n++)
					add_byte(colour64(y * W + x + n));
				add_byte(0);
			} else {
				add_byte(n);
				add_byte(bits == 8 ? c : c * 17);
			}
			x += n;
		}
		add_byte(0);
		add_byte(row == H - 1 ? 1 : 0);
	}
}

static void add_bmp_row(unsigned bits, unsigned y, enum bmp_kind kind)
{
	size_t start = size;
	unsigned held = 0, count = 0;

	for (unsigned x = 0; x < W; x++) {
		unsigned i = y * W + x;

		if (bits <= 4) {
			held = held << bits | bit(i);
			count += bits;
			if (count == 8 || x == W - 1)
				add_byte(held << (8 - count)), held = count = 0;
		} else if (bits == 8) {
			add_byte(colour64(i));
		} else if (bits == 16 && kind == FIELDS) {
			add16le(rgb[3 * i] / 8u << 11 | rgb[3 * i + 1] / 4u << 5 | rgb[3 * i + 2] / 8u);
		} else if (bits == 16) {
			add16le(rgb[3 * i] / 8u << 10 | rgb[3 * i + 1] / 8u << 5 | rgb[3 * i + 2] / 8u);
		} else {
			add_byte(rgb[3 * i + 2]);
			add_byte(rgb[3 * i + 1]);
			add_byte(rgb[3 * i]);
			if (bits == 32)
				add_byte(kind == FIELDS_ALPHA ? rgba[4 * i + 3] : 0);
		}
	}
	while ((size - start) % 4)
		add_byte(0);
}

/* header: 12 (OS/2), 40 (Windows 3), 124 (version 5; with the profile when there is one). */
static void make_bmp(unsigned header, unsigned bits, enum bmp_kind kind, int downwards)
{
	unsigned colours = bits > 8 ? 0 : bits == 8 ? 64 : 2, masks = kind == FIELDS && header == 40 ? 12 : 0;
	int with_profile = header == 124 && profile_size;

	if (header == 12)
		colours = bits > 8 ? 0 : 1u << bits;
	size = 0;
	add("BM", 2);
	add32le(0);
	add32le(0);
	add32le(14 + header + masks + colours * (header == 12 ? 3 : 4));
	add32le(header);
	if (header == 12) {
		add16le(W);
		add16le(H);
	} else {
		add32le(W);
		add32le(downwards ? (uint32_t)-H : H);
	}
	add16le(1);
	add16le(bits);
	if (header >= 40) {
		add32le(kind == RUNS ? (bits == 8 ? 1 : 2) : kind == PLAIN ? 0 : 3);
		add32le(0);
		add32le(2835);
		add32le(2835);
		add32le(colours);
		add32le(0);
	}
	if (kind == FIELDS) {
		add32le(0xf800);
		add32le(0x7e0);
		add32le(0x1f);
	} else if (header == 124) {
		add32le(0xff0000);
		add32le(0xff00);
		add32le(0xff);
		add32le(kind == FIELDS_ALPHA ? 0xff000000u : 0);
		add32le(with_profile ? 0x4d424544 : 0x73524742);
		for (unsigned i = 0; i < 12; i++)
			add32le(0);
		add32le(4);
		/* Behind the pixels, counted from this header. */
		add32le(with_profile ? 124 + W * H * 4 : 0);
		add32le(with_profile ? (uint32_t)profile_size : 0);
		add32le(0);
	}
	for (unsigned c = 0; c < colours; c++) {
		uint8_t p[3] = {0, 0, 0};

		if (bits == 8)
			palette64(c, p);
		else
			memset(p, c == 1 ? 255 : 0, 3);
		add_byte(p[2]);
		add_byte(p[1]);
		add_byte(p[0]);
		if (header > 12)
			add_byte(0);
	}
	if (kind == RUNS)
		add_runs(bits);
	else
		for (unsigned row = 0; row < H; row++)
			add_bmp_row(bits, downwards ? row : H - 1 - row, kind);
	if (with_profile)
		add(profile, profile_size);
	for (unsigned i = 0; i < 4; i++)
		bytes[2 + i] = (uint8_t)(size >> 8 * i);
}

static void truth_few_bits(unsigned red, unsigned green, unsigned blue)
{
	const unsigned bits[3] = {red, green, blue};

	for (unsigned i = 0; i < 3 * N; i++) {
		unsigned top = (1u << bits[i % 3]) - 1;

		truth[i] = (uint8_t)lrint((rgb[i] >> (8 - bits[i % 3])) * 255.0 / top);
	}
}

static void draw_bmp(void)
{
	static const uint8_t black[3];
	static const struct {
		const char *name;
		unsigned header, bits;
		enum bmp_kind kind;
		int downwards;
	} kinds[] = {
	    {"os2-1.bmp", 12, 1, PLAIN, 0},     {"bits-1.bmp", 40, 1, PLAIN, 0},   {"bits-4.bmp", 40, 4, PLAIN, 1},
	    {"rle-4.bmp", 40, 4, RUNS, 0},      {"bits-8.bmp", 40, 8, PLAIN, 0},   {"rle-8.bmp", 40, 8, RUNS, 0},
	    {"bits-16.bmp", 40, 16, PLAIN, 0},  {"565.bmp", 40, 16, FIELDS, 0},    {"bits-24.bmp", 40, 24, PLAIN, 0},
	    {"os2-24.bmp", 12, 24, PLAIN, 0},   {"down-24.bmp", 40, 24, PLAIN, 1}, {"bits-32.bmp", 40, 32, PLAIN, 0},
	    {"alpha.bmp", 124, 32, FIELDS_ALPHA, 0},
	};

	profile_size = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!wanted(kinds[i].name))
			continue;
		make_bmp(kinds[i].header, kinds[i].bits, kinds[i].kind, kinds[i].downwards);
		write_file(kinds[i].name, bytes, size);
		if (kinds[i].bits <= 4)
			truth_bits();
		else if (kinds[i].bits == 8)
			truth_palette();
		else if (kinds[i].bits == 16 && kinds[i].kind == FIELDS)
			truth_few_bits(5, 6, 5);
		else if (kinds[i].bits == 16)
			truth_few_bits(5, 5, 5);
		else if (kinds[i].kind == FIELDS_ALPHA)
			truth_over(black);
		else
			truth_rgb();
		promise(kinds[i].name, 0, 0);
	}
	if (wanted("profile.bmp")) {
		make_profile(p3, 0);
		make_bmp(124, 32, FIELDS_ALPHA, 0);
		/* Opaque, so that the truth is that of the colours. */
		for (unsigned i = 0; i < N; i++)
			bytes[14 + 124 + 4 * i + 3] = 255;
		write_file("profile.bmp", bytes, size);
		truth_converted(p3, 0, 0);
		promise("profile.bmp", 1, 0);
		profile_size = 0;
	}
}

/* -- PNM ---------------------------------------------------------------------------------------------- */

static void add_text(const char *format, unsigned a, unsigned b, unsigned c)
{
	char text[256];

	add(text, (size_t)snprintf(text, sizeof(text), format, a, b, c));
}

static void draw_pnm(void)
{
	static const uint8_t black[3];

	if (wanted("text.pbm")) {
		size = 0;
		add_text("P1\n# a comment\n%u %u\n", W, H, 0);
		for (unsigned i = 0; i < N; i++)
			add_text(i % 11 ? "%u" : "%u\n", !bit(i), 0, 0);
		write_file("text.pbm", bytes, size);
		truth_bits();
		promise("text.pbm", 0, 0);
	}
	if (wanted("bits.pbm")) {
		size = 0;
		add_text("P4 %u %u\n", W, H, 0);
		for (unsigned y = 0; y < H; y++)
			for (unsigned x = 0; x < (W + 7) / 8; x++) {
				unsigned v = 0;

				for (unsigned k = 0; k < 8; k++)
					v = v << 1 | (8 * x + k < W && !bit(y * W + 8 * x + k));
				add_byte(v);
			}
		write_file("bits.pbm", bytes, size);
		truth_bits();
		promise("bits.pbm", 0, 0);
	}
	if (wanted("text.pgm")) {
		size = 0;
		add_text("P2 %u %u #width height\n%u\n", W, H, 255);
		for (unsigned i = 0; i < N; i++)
			add_text("%u ", gray[i], 0, 0);
		write_file("text.pgm", bytes, size);
		truth_gray(gray);
		promise("text.pgm", 0, 0);
	}
	if (wanted("deep.pgm")) {
		size = 0;
		add_text("P5\n%u %u\n%u\n", W, H, 65535);
		for (unsigned i = 0; i < N; i++) {
			add_byte(gray16[i] >> 8);
			add_byte(gray16[i] & 255);
		}
		write_file("deep.pgm", bytes, size);
		truth_gray16();
		promise("deep.pgm", 0, 0);
	}
	if (wanted("text.ppm")) {
		size = 0;
		add_text("P3\n%u %u\n%u\n", W, H, 1000);
		for (unsigned i = 0; i < 3 * N; i++) {
			add_text("%u\n", rgb16[i] % 1001, 0, 0);
			truth[i] = (uint8_t)lrint(rgb16[i] % 1001 * 255 / 1000.0);
		}
		write_file("text.ppm", bytes, size);
		/* Halves may go either way. */
		promise("text.ppm", 1, 50);
	}
	if (wanted("bytes.ppm")) {
		size = 0;
		add_text("P6 %u %u %u\n", W, H, 255);
		add(rgb, sizeof(rgb));
		write_file("bytes.ppm", bytes, size);
		truth_rgb();
		promise("bytes.ppm", 0, 0);
	}
	if (wanted("alpha.pam")) {
		size = 0;
		add_text("P7\nWIDTH %u\nHEIGHT %u\nDEPTH %u\n", W, H, 4);
		add_text("# a comment\nMAXVAL %u\nTUPLTYPE RGB_ALPHA\nENDHDR\n", 255, 0, 0);
		add(rgba, sizeof(rgba));
		write_file("alpha.pam", bytes, size);
		truth_over(black);
		promise("alpha.pam", 0, 0);
	}
}

/* -- PNG and JPEG: their colours; the rest is tested elsewhere ------------------------------------------ */

enum { PNG_ICC = 1, PNG_GAMMA = 2, PNG_PRIMARIES = 4, PNG_SRGB_CHUNK = 8 };

static void write_png(const char *name, int type, int depth, const void *samples, unsigned channels, int chunks)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	FILE *f = fopen(path_of(name), "wb");

	if (!f || setjmp(png_jmpbuf(png)))
		die(name);
	png_init_io(png, f);
	png_set_benign_errors(png, 1);
	png_set_IHDR(png, info, W, H, depth, type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_write_info_before_PLTE(png, info);
	/* Chunk by chunk, since libpng would not write those that exclude each other. */
	if (chunks & PNG_SRGB_CHUNK)
		png_write_chunk(png, (png_const_bytep) "sRGB", (png_const_bytep) "\0", 1);
	if (chunks & PNG_GAMMA) {
		uint8_t v[4];

		put32(v, 100000);
		png_write_chunk(png, (png_const_bytep) "gAMA", v, 4);
	}
	if (chunks & PNG_PRIMARIES) {
		uint8_t v[32];

		for (unsigned i = 0; i < 8; i++)
			put32(v + 4 * i, (uint32_t)lrint(p3[i] * 100000));
		png_write_chunk(png, (png_const_bytep) "cHRM", v, 32);
	}
	if (chunks & PNG_ICC) {
		uint8_t chunk[9000] = "scene\0";
		uLongf n = sizeof(chunk) - 7;

		if (compress(chunk + 7, &n, profile, profile_size) != Z_OK)
			die("zlib");
		png_write_chunk(png, (png_const_bytep) "iCCP", chunk, 7 + n);
	}
	png_write_info(png, info);
	if (depth == 16)
		png_set_swap(png);
	for (unsigned y = 0; y < H; y++)
		png_write_row(png, (png_const_bytep)samples + (size_t)y * W * channels * (unsigned)depth / 8);
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
	fclose(f);
}

static void write_jpeg(const char *name, const uint8_t *samples, int channels, int quality)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	FILE *f = fopen(path_of(name), "wb");

	if (!f)
		die(name);
	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_stdio_dest(&c, f);
	c.image_width = W;
	c.image_height = H;
	c.input_components = channels;
	c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
	jpeg_set_defaults(&c);
	c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
	jpeg_set_quality(&c, quality, TRUE);
	jpeg_start_compress(&c, TRUE);
	if (profile_size)
		jpeg_write_icc_profile(&c, profile, (unsigned)profile_size);
	while (c.next_scanline < H) {
		JSAMPROW row = (JSAMPROW)(uintptr_t)samples + (size_t)c.next_scanline * W * (unsigned)channels;

		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	fclose(f);
}

/* CMYK: every corner. */
static void corner_inks(uint8_t inks[4 * N], unsigned flip)
{
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < 4; k++)
			inks[4 * i + k] = (uint8_t)((i % 16 >> (3 - k) & 1 ? 255 : 0) ^ flip);
}

static void draw_png(void)
{
	static const struct {
		const char *name;
		int gray, deep, chunks;
		double gamma; /* of the profile; 0: sRGB's curve */
		const double *xy;
		int plain;    /* nothing is to change */
	} kinds[] = {
	    {"p3.png", 0, 0, PNG_ICC, 0, p3, 0},
	    {"p3-16.png", 0, 1, PNG_ICC, 1, p3, 0},
	    {"srgb.png", 0, 0, PNG_ICC, 0, bt709, 1},
	    {"srgb-chunk.png", 0, 0, PNG_ICC | PNG_SRGB_CHUNK, 0, p3, 1},
	    {"gamma-alone.png", 0, 0, PNG_GAMMA, 1, bt709, 1},
	    {"gamma.png", 0, 0, PNG_GAMMA | PNG_PRIMARIES, 1, p3, 0},
	    {"gray.png", 1, 0, PNG_ICC, 1.8, NULL, 0},
	    {"gray-16.png", 1, 1, PNG_ICC, 1, NULL, 0},
	    {"gray-rgb-profile.png", 1, 0, PNG_ICC, 1.8, p3, 0},
	    {"gray-gamma.png", 1, 0, PNG_GAMMA | PNG_PRIMARIES, 1, p3, 0},
	    {"wrong-profile.png", 0, 0, PNG_ICC, 1.8, NULL, 1},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const void *samples = kinds[i].gray ? (kinds[i].deep ? (void *)gray16 : (void *)gray)
						    : (kinds[i].deep ? (void *)rgb16 : (void *)rgb);

		if (!wanted(kinds[i].name))
			continue;
		if (kinds[i].xy)
			make_profile(kinds[i].xy, kinds[i].gamma);
		else
			make_gray_profile(kinds[i].gamma);
		write_png(kinds[i].name, kinds[i].gray ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
			  kinds[i].deep ? 16 : 8, samples, kinds[i].gray ? 1 : 3, kinds[i].chunks);
		if (kinds[i].plain)
			truth_rgb();
		else if (kinds[i].gray)
			truth_gray_gamma(kinds[i].gamma, kinds[i].deep);
		else
			truth_converted(kinds[i].xy, kinds[i].gamma, kinds[i].deep);
		promise(kinds[i].name, kinds[i].plain ? 0 : 1, 0);
	}
	if (wanted("damaged-profile.png")) {
		make_profile(p3, 0);
		memset(profile + 132, 0xff, 72);
		write_png("damaged-profile.png", PNG_COLOR_TYPE_RGB, 8, rgb, 3, PNG_ICC);
		truth_rgb();
		promise("damaged-profile.png", 0, 0);
	}
	profile_size = 0;
}

static void draw_jpeg(void)
{
	static uint8_t inks[4 * N];

	profile_size = 0;
	if (wanted("rgb.jpg")) {
		write_jpeg("rgb.jpg", rgb, 3, 100);
		truth_rgb();
		promise("rgb.jpg", 8, 45);
	}
	if (wanted("p3.jpg")) {
		make_profile(p3, 0);
		write_jpeg("p3.jpg", rgb, 3, 100);
		truth_converted(p3, 0, 0);
		promise("p3.jpg", 20, 40);
	}
	if (wanted("gray.jpg")) {
		make_gray_profile(1.8);
		write_jpeg("gray.jpg", gray, 1, 100);
		truth_gray_gamma(1.8, 0);
		promise("gray.jpg", 8, 40);
	}
	if (wanted("cmyk.jpg")) {
		/* With an Adobe marker, which libjpeg writes for CMYK: inverted. Flat, so that nothing is lost. */
		make_cmyk_profile();
		corner_inks(inks, 255);
		for (unsigned i = 0; i < N; i++)
			memcpy(inks + 4 * i, inks + 4 * 5, 4);
		write_jpeg("cmyk.jpg", inks, 4, 100);
		truth_corners();
		for (unsigned i = 0; i < N; i++)
			memcpy(truth + 3 * i, truth + 3 * 5, 3);
		promise("cmyk.jpg", 2, 0);
	}
	profile_size = 0;
}

/* -- TIFF --------------------------------------------------------------------------------------------- */

#ifdef AD_SONAME_TIFF

struct tiff_kind {
	const char *name, *mode; /* "wl", "wb8": byte order, BigTIFF */
	int photometric, bits, samples, extra, compression, orientation;
	unsigned tile;           /* side of tiles; 0: strips of 7 rows */
	int planes;
};

/* One sample of a pixel, as the kind stores it. */
static unsigned tiff_sample(const struct tiff_kind *k, unsigned i, unsigned s)
{
	unsigned a = rgba[4 * i + 3], colours = k->photometric == PHOTOMETRIC_RGB ? 3 : 1;

	if (k->photometric == PHOTOMETRIC_PALETTE)
		return colour64(i);
	if (k->photometric == PHOTOMETRIC_SEPARATED)
		return i % 16 >> (3 - s) & 1 ? 255 : 0;
	if (s >= colours)
		return a;
	if (colours == 1) {
		unsigned v = k->bits == 16 ? gray16[i] : k->bits == 1 ? bit(i) : k->bits == 4 ? gray[i] >> 4u : gray[i];

		return k->photometric == PHOTOMETRIC_MINISWHITE ? (1u << k->bits) - 1 - v : v;
	}
	if (k->bits == 16)
		return rgb16[3 * i + s];
	return k->extra == EXTRASAMPLE_ASSOCALPHA ? (rgb[3 * i + s] * a + 127) / 255 : rgb[3 * i + s];
}

/* A block of the picture from (x0, y0) on; beyond its edges zeros. */
static size_t tiff_block(const struct tiff_kind *k, unsigned x0, unsigned y0, unsigned width, unsigned height,
			 int plane, uint8_t *out)
{
	uint8_t *start = out;
	unsigned first = k->planes ? (unsigned)plane : 0, count = k->planes ? 1 : (unsigned)k->samples;

	for (unsigned y = y0; y < y0 + height; y++) {
		unsigned held = 0, n = 0;

		for (unsigned x = x0; x < x0 + width; x++)
			for (unsigned s = first; s < first + count; s++) {
				unsigned v = x < W && y < H ? tiff_sample(k, y * W + x, s) : 0;

				if (k->bits == 16) {
					memcpy(out, &(uint16_t){(uint16_t)v}, 2);
					out += 2;
					continue;
				}
				held = held << k->bits | v;
				n += (unsigned)k->bits;
				if (n == 8) {
					*out++ = (uint8_t)held;
					held = n = 0;
				}
			}
		if (n)
			*out++ = (uint8_t)(held << (8 - n));
	}
	return (size_t)(out - start);
}

static void tiff_page(TIFF *t, const struct tiff_kind *k)
{
	static uint8_t block[W * H * 16 + 65536];
	uint16_t map[3][256] = {{0}};

	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, k->bits);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, k->samples);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, k->photometric);
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, k->planes ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_COMPRESSION, k->compression);
	TIFFSetField(t, TIFFTAG_ORIENTATION, k->orientation ? k->orientation : 1);
	if (k->compression == COMPRESSION_LZW)
		TIFFSetField(t, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
	if (k->extra >= 0)
		TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1, (uint16_t[]){(uint16_t)k->extra});
	if (profile_size)
		TIFFSetField(t, TIFFTAG_ICCPROFILE, (uint32_t)profile_size, profile);
	if (k->photometric == PHOTOMETRIC_PALETTE) {
		for (unsigned c = 0; c < 64; c++) {
			uint8_t p[3];

			palette64(c, p);
			for (unsigned j = 0; j < 3; j++)
				map[j][c] = (uint16_t)(p[j] * 257);
		}
		TIFFSetField(t, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
	}
	if (k->tile) {
		TIFFSetField(t, TIFFTAG_TILEWIDTH, k->tile);
		TIFFSetField(t, TIFFTAG_TILELENGTH, k->tile);
	} else {
		TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, 7);
	}
	for (int plane = 0; plane < (k->planes ? k->samples : 1); plane++) {
		for (unsigned y = 0; y < H; y += k->tile ? k->tile : 7)
			for (unsigned x = 0; x < W; x += k->tile ? k->tile : W) {
				size_t n = tiff_block(k, x, y, k->tile ? k->tile : W,
						      k->tile     ? k->tile
						      : H - y < 7 ? H - y
								  : 7,
						      plane, block);

				if (k->tile ? TIFFWriteEncodedTile(t, TIFFComputeTile(t, x, y, 0, (uint16_t)plane),
								   block, (tmsize_t)n) < 0
					    : TIFFWriteEncodedStrip(t, TIFFComputeStrip(t, y, (uint16_t)plane), block,
								    (tmsize_t)n) < 0)
					die(k->name);
			}
	}
}

static void write_tiff(const struct tiff_kind *k)
{
	TIFF *t = TIFFOpen(path_of(k->name), k->mode);

	if (!t)
		die(k->name);
	tiff_page(t, k);
	TIFFClose(t);
}

static void tiff_truth(const struct tiff_kind *k)
{
	static const uint8_t black[3];

	switch (k->photometric) {
	case PHOTOMETRIC_RGB:
		if (k->samples == 4 && k->extra != EXTRASAMPLE_UNSPECIFIED)
			truth_over(black);
		else if (k->bits == 16)
			truth_rgb16();
		else
			truth_rgb();
		break;
	case PHOTOMETRIC_PALETTE:
		truth_palette();
		break;
	case PHOTOMETRIC_SEPARATED:
		for (unsigned i = 0; i < 3 * N; i++)
			truth[i] = i / 3 % 16 >> (3 - i % 3) & 1 || i / 3 % 16 & 1 ? 0 : 255;
		break;
	default:
		if (k->bits == 16)
			truth_gray16();
		else if (k->bits == 1)
			truth_bits();
		else
			truth_gray(gray);
		if (k->bits == 4)
			for (unsigned i = 0; i < 3 * N; i++)
				truth[i] = (uint8_t)(truth[i] / 16 * 17);
	}
}

/* Three pages, and a small copy of the second between, which is none. */
static void draw_pages(void)
{
	struct tiff_kind pages[3] = {
	    {"pages.tif", "w", PHOTOMETRIC_RGB, 8, 3, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"pages.tif", "w", PHOTOMETRIC_MINISBLACK, 8, 1, -1, COMPRESSION_LZW, 1, 0, 0},
	    {"pages.tif", "w", PHOTOMETRIC_RGB, 16, 3, -1, COMPRESSION_NONE, 6, 16, 0},
	};
	unsigned width, height;
	TIFF *t;

	if (!wanted("pages.tif"))
		return;
	t = TIFFOpen(path_of("pages.tif"), "w");
	for (unsigned i = 0; t && i < 3; i++) {
		tiff_page(t, &pages[i]);
		TIFFWriteDirectory(t);
		if (i == 1) {
			tiff_page(t, &pages[1]);
			TIFFSetField(t, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
			TIFFWriteDirectory(t);
		}
	}
	if (!t)
		die("pages.tif");
	TIFFClose(t);
	for (unsigned i = 0; i < 3; i++) {
		tiff_truth(&pages[i]);
		turn_truth(pages[i].orientation, &width, &height);
		promise_size("pages.tif", width, height, 0, 0, i + 1);
	}
}

static void draw_tiff_jpeg(void)
{
	TIFF *t;

	if (!wanted("jpeg.tif"))
		return;
	t = TIFFOpen(path_of("jpeg.tif"), "w");
	if (!t)
		die("jpeg.tif");
	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 3);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_YCBCR);
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
	TIFFSetField(t, TIFFTAG_YCBCRSUBSAMPLING, 1, 1);
	TIFFSetField(t, TIFFTAG_JPEGQUALITY, 100);
	TIFFSetField(t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
	TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, 16);
	for (unsigned y = 0; y < H; y += 16)
		if (TIFFWriteEncodedStrip(t, y / 16, rgb + 3 * (size_t)y * W, 3 * W * (H - y < 16 ? H - y : 16)) < 0)
			die("jpeg.tif");
	TIFFClose(t);
	truth_rgb();
	promise("jpeg.tif", 8, 40);
}

static void draw_tiff(void)
{
	static const struct tiff_kind kinds[] = {
	    {"rgb.tif", "w", PHOTOMETRIC_RGB, 8, 3, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"lzw.tif", "w", PHOTOMETRIC_RGB, 8, 3, -1, COMPRESSION_LZW, 1, 0, 0},
	    {"tiles.tif", "w", PHOTOMETRIC_RGB, 8, 3, -1, COMPRESSION_ADOBE_DEFLATE, 1, 16, 0},
	    {"planes.tif", "wb", PHOTOMETRIC_RGB, 16, 3, -1, COMPRESSION_LZW, 1, 0, 1},
	    {"tile-planes.tif", "wb", PHOTOMETRIC_RGB, 8, 3, -1, COMPRESSION_PACKBITS, 1, 32, 1},
	    {"rgb16.tif", "wl8", PHOTOMETRIC_RGB, 16, 3, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"gray.tif", "w", PHOTOMETRIC_MINISBLACK, 8, 1, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"gray16.tif", "wb", PHOTOMETRIC_MINISBLACK, 16, 1, -1, COMPRESSION_LZW, 1, 0, 0},
	    {"gray4.tif", "w", PHOTOMETRIC_MINISBLACK, 4, 1, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"white.tif", "w", PHOTOMETRIC_MINISWHITE, 8, 1, -1, COMPRESSION_NONE, 1, 0, 0},
	    {"fax.tif", "w", PHOTOMETRIC_MINISWHITE, 1, 1, -1, COMPRESSION_CCITTFAX4, 1, 0, 0},
	    {"bits.tif", "w", PHOTOMETRIC_MINISBLACK, 1, 1, -1, COMPRESSION_NONE, 6, 0, 0},
	    {"palette.tif", "w", PHOTOMETRIC_PALETTE, 8, 1, -1, COMPRESSION_NONE, 8, 0, 0},
	    {"cmyk.tif", "w", PHOTOMETRIC_SEPARATED, 8, 4, -1, COMPRESSION_LZW, 1, 0, 0},
	    {"alpha.tif", "w", PHOTOMETRIC_RGB, 8, 4, EXTRASAMPLE_UNASSALPHA, COMPRESSION_LZW, 1, 0, 0},
	    {"premultiplied.tif", "w", PHOTOMETRIC_RGB, 8, 4, EXTRASAMPLE_ASSOCALPHA, COMPRESSION_LZW, 1, 0, 0},
	    {"extra.tif", "w", PHOTOMETRIC_RGB, 8, 4, EXTRASAMPLE_UNSPECIFIED, COMPRESSION_LZW, 1, 0, 0},
	};
	unsigned width, height;

	TIFFSetWarningHandler(NULL);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!wanted(kinds[i].name))
			continue;
		write_tiff(&kinds[i]);
		tiff_truth(&kinds[i]);
		turn_truth(kinds[i].orientation, &width, &height);
		promise_size(kinds[i].name, width, height, 0, 0, 0);
	}
	for (int o = 1; o <= 8; o++) {
		struct tiff_kind k = kinds[o % 2];
		char name[32];

		snprintf(name, sizeof(name), "turned-%d.tif", o);
		k.name = name;
		k.orientation = o;
		if (!wanted(name))
			continue;
		write_tiff(&k);
		truth_rgb();
		turn_truth(o, &width, &height);
		promise_size(name, width, height, 0, 0, 0);
	}
	draw_pages();
	draw_tiff_jpeg();
	if (wanted("p3.tif")) {
		struct tiff_kind k = kinds[5];

		make_profile(p3, 0);
		k.name = "p3.tif";
		write_tiff(&k);
		truth_converted(p3, 0, 1);
		promise("p3.tif", 1, 0);
	}
	if (wanted("cmyk-profile.tif")) {
		struct tiff_kind k = kinds[13];

		make_cmyk_profile();
		k.name = "cmyk-profile.tif";
		write_tiff(&k);
		truth_corners();
		promise("cmyk-profile.tif", 1, 0);
	}
	profile_size = 0;
}

#endif

/* -- WebP --------------------------------------------------------------------------------------------- */

#ifdef AD_SONAME_WEBP

/* The bitstream of a simple file within an extended one. */
static void extend_webp(const uint8_t *simple, size_t n, int orientation)
{
	static const uint8_t exif[] = {'M', 'M', 0, '*', 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0,
				       3,   0,   0, 0,   1, 0, 0, 0, 0, 0, 0,    0,    0};
	size_t at;

	size = 0;
	add("RIFF\0\0\0\0WEBPVP8X", 16);
	add32le(10);
	add32le((profile_size ? 0x20u : 0) | (orientation ? 8u : 0));
	add16le(W - 1);
	add_byte(0);
	add16le(H - 1);
	add_byte(0);
	if (profile_size) {
		add("ICCP", 4);
		add32le((uint32_t)profile_size);
		add(profile, profile_size);
		if (profile_size % 2)
			add_byte(0);
	}
	add(simple + 12, n - 12);
	if (orientation) {
		add("EXIF", 4);
		add32le(sizeof(exif));
		at = size;
		add(exif, sizeof(exif));
		bytes[at + 19] = (uint8_t)orientation;
	}
	for (unsigned i = 0; i < 4; i++)
		bytes[4 + i] = (uint8_t)((size - 8) >> 8 * i);
}

static void draw_webp_frames(void)
{
	WebPAnimEncoderOptions options;
	WebPAnimEncoder *encoder;
	WebPConfig config;
	WebPPicture picture;
	WebPData data;

	WebPAnimEncoderOptionsInit(&options);
	WebPConfigInit(&config);
	config.lossless = 1;
	encoder = WebPAnimEncoderNew(W, H, &options);
	for (int frame = 0; encoder && frame < 2; frame++) {
		WebPPictureInit(&picture);
		picture.use_argb = 1;
		picture.width = W;
		picture.height = H;
		if (!WebPPictureImportRGB(&picture, frame ? truth : rgb, 3 * W) ||
		    !WebPAnimEncoderAdd(encoder, &picture, 100 * frame, &config))
			die("frames.webp");
		WebPPictureFree(&picture);
	}
	WebPDataInit(&data);
	if (!encoder || !WebPAnimEncoderAdd(encoder, NULL, 200, NULL) || !WebPAnimEncoderAssemble(encoder, &data))
		die("frames.webp");
	write_file("frames.webp", data.bytes, data.size);
	WebPDataClear(&data);
	WebPAnimEncoderDelete(encoder);
}

static void draw_webp(void)
{
	static const uint8_t black[3];
	unsigned width, height;
	uint8_t *out = NULL;
	size_t n = WebPEncodeLosslessRGB(rgb, W, H, 3 * W, &out);

	if (wanted("lossless.webp")) {
		write_file("lossless.webp", out, n);
		truth_rgb();
		promise("lossless.webp", 0, 0);
	}
	if (wanted("turned.webp")) {
		extend_webp(out, n, 6);
		write_file("turned.webp", bytes, size);
		truth_rgb();
		turn_truth(6, &width, &height);
		promise_size("turned.webp", width, height, 0, 0, 0);
	}
	if (wanted("p3.webp")) {
		make_profile(p3, 0);
		extend_webp(out, n, 0);
		write_file("p3.webp", bytes, size);
		truth_converted(p3, 0, 0);
		promise("p3.webp", 1, 0);
		profile_size = 0;
	}
	WebPFree(out);
	if (wanted("alpha.webp")) {
		n = WebPEncodeLosslessRGBA(rgba, W, H, 4 * W, &out);
		write_file("alpha.webp", out, n);
		WebPFree(out);
		truth_over(black);
		promise("alpha.webp", 0, 0);
	}
	if (wanted("lossy.webp")) {
		n = WebPEncodeRGB(rgb, W, H, 3 * W, 95, &out);
		write_file("lossy.webp", out, n);
		WebPFree(out);
		truth_rgb();
		promise("lossy.webp", 255, 24);
	}
	if (wanted("frames.webp")) {
		truth_bits();
		draw_webp_frames();
		truth_rgb();
		promise("frames.webp", 0, 0);
	}
}

#endif

/* -- GIF ---------------------------------------------------------------------------------------------- */

#ifdef AD_SONAME_GIF

static int write_gif(GifFileType *gif, const GifByteType *from, int n)
{
	(void)gif;
	add(from, (size_t)n);
	return n;
}

/* A frame of the scene's palette; with a transparent colour, the corner at the lower right has it. */
static void add_frame(GifFileType *gif, int left, int top, int interlaced, int transparent, int black)
{
	static const unsigned passes[5][2] = {{0, 1}, {0, 8}, {4, 8}, {2, 4}, {1, 2}};
	GraphicsControlBlock control = {0, false, 10, transparent};
	GifByteType extension[4], line[W];
	int width = W - left, height = H - top;

	EGifGCBToExtension(&control, extension);
	if (EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, extension) == GIF_ERROR ||
	    EGifPutImageDesc(gif, left, top, width, height, interlaced, NULL) == GIF_ERROR)
		die("gif");
	for (int pass = interlaced ? 1 : 0; pass <= (interlaced ? 4 : 0); pass++)
		for (unsigned y = passes[pass][0]; y < (unsigned)height; y += passes[pass][1]) {
			for (unsigned x = 0; x < (unsigned)width; x++) {
				unsigned i = (y + (unsigned)top) * W + x + (unsigned)left;

				line[x] = (GifByteType)(black                                  ? 0
							: transparent >= 0 && x > 20 && y > 15 ? (unsigned)transparent
											       : colour64(i));
			}
			if (EGifPutLine(gif, line, width) == GIF_ERROR)
				die("gif");
		}
}

static GifFileType *begin_gif(int width, int height)
{
	GifColorType colours[128] = {{0}};
	ColorMapObject *map;
	GifFileType *gif;
	int code;

	for (unsigned c = 0; c < 64; c++) {
		uint8_t p[3];

		palette64(c, p);
		colours[c] = (GifColorType){p[0], p[1], p[2]};
	}
	/* Colour 64 is for what is transparent. */
	colours[64] = (GifColorType){255, 0, 255};
	size = 0;
	gif = EGifOpen(NULL, write_gif, &code);
	map = GifMakeMapObject(128, colours);
	if (!gif || !map)
		die("gif");
	EGifSetGifVersion(gif, true);
	if (EGifPutScreenDesc(gif, width, height, 8, 0, map) == GIF_ERROR)
		die("gif");
	GifFreeMapObject(map);
	return gif;
}

static void end_gif(GifFileType *gif, const char *name)
{
	int code;

	if (EGifCloseFile(gif, &code) == GIF_ERROR)
		die("gif");
	write_file(name, bytes, size);
}

static void draw_gif(void)
{
	GifFileType *gif;

	for (int interlaced = 0; interlaced < 2; interlaced++) {
		const char *name = interlaced ? "interlaced.gif" : "plain.gif";

		if (!wanted(name))
			continue;
		gif = begin_gif(W, H);
		add_frame(gif, 0, 0, interlaced, -1, 0);
		end_gif(gif, name);
		truth_palette();
		promise(name, 0, 0);
	}
	if (wanted("frames.gif")) {
		/* The first frame lets the canvas show at the left and on top, and has a hole; the second is black. */
		gif = begin_gif(W, H);
		add_frame(gif, 5, 3, 1, 64, 0);
		add_frame(gif, 0, 0, 0, -1, 1);
		end_gif(gif, "frames.gif");
		truth_palette();
		for (unsigned i = 0; i < N; i++)
			if (i % W < 5 || i / W < 3 || (i % W > 25 && i / W > 18))
				memset(truth + 3 * i, 0, 3);
		promise("frames.gif", 0, 0);
	}
}

#endif

/* -- HEIC and AVIF ------------------------------------------------------------------------------------ */

#ifdef AD_SONAME_HEIF

static struct heif_error write_heif(struct heif_context *context, const void *data, size_t n, void *user)
{
	(void)context;
	(void)user;
	add(data, n);
	return (struct heif_error){heif_error_Ok, heif_suberror_Unspecified, ""};
}

static void draw_one_heif(const char *name, enum heif_compression_format format, int alpha, int wide, int orientation)
{
	enum heif_chroma chroma = alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
	static const uint8_t black[3];
	struct heif_writer writer = {1, write_heif};
	struct heif_encoding_options *options;
	struct heif_encoder *encoder = NULL;
	unsigned width = W, height = H;
	struct heif_context *context;
	struct heif_image *image;
	uint8_t *plane;
	int pitch;

	if (!wanted(name))
		return;
	context = heif_context_alloc();
	if (heif_context_get_encoder_for_format(context, format, &encoder).code != heif_error_Ok) {
		/* libheif has plug-ins that this machine may lack. */
		heif_context_free(context);
		return;
	}
	heif_encoder_set_lossy_quality(encoder, 100);
	heif_encoder_set_lossless(encoder, 0);
	heif_encoder_set_parameter_string(encoder, "chroma", "444");
	if (heif_image_create(W, H, heif_colorspace_RGB, chroma, &image).code != heif_error_Ok ||
	    heif_image_add_plane(image, heif_channel_interleaved, W, H, 8).code != heif_error_Ok)
		die(name);
	plane = heif_image_get_plane(image, heif_channel_interleaved, &pitch);
	for (unsigned y = 0; y < H; y++)
		memcpy(plane + y * (size_t)pitch, alpha ? rgba + 4 * (size_t)y * W : rgb + 3 * (size_t)y * W,
		       (alpha ? 4 : 3) * (size_t)W);
	if (wide) {
		make_profile(p3, 0);
		heif_image_set_raw_color_profile(image, "prof", profile, profile_size);
	}
	options = heif_encoding_options_alloc();
	options->image_orientation = (enum heif_orientation)orientation;
	if (heif_context_encode_image(context, image, encoder, options, NULL).code != heif_error_Ok)
		die(name);
	heif_encoding_options_free(options);
	size = 0;
	if (heif_context_write(context, &writer, NULL).code != heif_error_Ok)
		die(name);
	write_file(name, bytes, size);
	heif_image_release(image);
	heif_encoder_release(encoder);
	heif_context_free(context);
	if (alpha)
		truth_over(black);
	else if (wide)
		truth_converted(p3, 0, 0);
	else
		truth_rgb();
	turn_truth(orientation, &width, &height);
	promise_size(name, width, height, 255, 32, 0);
	profile_size = 0;
}

static void draw_heif(void)
{
	char name[32];

	draw_one_heif("rgb.heic", heif_compression_HEVC, 0, 0, 1);
	draw_one_heif("alpha.heic", heif_compression_HEVC, 1, 0, 1);
	draw_one_heif("p3.heic", heif_compression_HEVC, 0, 1, 1);
	for (int o = 2; o <= 8; o++) {
		snprintf(name, sizeof(name), "turned-%d.heic", o);
		draw_one_heif(name, heif_compression_HEVC, 0, 0, o);
	}
	draw_one_heif("rgb.avif", heif_compression_AV1, 0, 0, 1);
	draw_one_heif("alpha.avif", heif_compression_AV1, 1, 0, 1);
	draw_one_heif("turned.avif", heif_compression_AV1, 0, 0, 6);
}

#endif

/* -- JPEG XL ------------------------------------------------------------------------------------------ */

#ifdef AD_SONAME_JXL

static void draw_one_jxl(const char *name, unsigned colours, int deep, int alpha, int lossless, int orientation)
{
	JxlPixelFormat format = {colours + (alpha != 0), deep ? JXL_TYPE_UINT16 : JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
	const void *samples = colours == 1 ? (deep ? (void *)gray16 : (void *)gray)
			      : alpha      ? (void *)rgba
			      : deep       ? (void *)rgb16
					   : (void *)rgb;
	JxlEncoder *encoder = JxlEncoderCreate(NULL);
	JxlEncoderFrameSettings *settings = JxlEncoderFrameSettingsCreate(encoder, NULL);
	JxlColorEncoding color;
	JxlEncoderStatus status;
	JxlBasicInfo info;
	uint8_t *next = bytes;
	size_t left = sizeof(bytes);

	JxlEncoderInitBasicInfo(&info);
	info.xsize = W;
	info.ysize = H;
	info.bits_per_sample = deep ? 16 : 8;
	info.num_color_channels = colours;
	info.uses_original_profile = lossless;
	info.orientation = (JxlOrientation)orientation;
	if (alpha) {
		info.num_extra_channels = 1;
		info.alpha_bits = 8;
	}
	if (JxlEncoderSetBasicInfo(encoder, &info) != JXL_ENC_SUCCESS)
		die(name);
	JxlColorEncodingSetToSRGB(&color, colours == 1);
	if (profile_size ? JxlEncoderSetICCProfile(encoder, profile, profile_size) != JXL_ENC_SUCCESS
			 : JxlEncoderSetColorEncoding(encoder, &color) != JXL_ENC_SUCCESS)
		die(name);
	if (lossless)
		JxlEncoderSetFrameLossless(settings, JXL_TRUE);
	else
		JxlEncoderSetFrameDistance(settings, 0.1f);
	if (JxlEncoderAddImageFrame(settings, &format, samples, (size_t)N * format.num_channels * (deep ? 2 : 1)) !=
	    JXL_ENC_SUCCESS)
		die(name);
	JxlEncoderCloseInput(encoder);
	status = JxlEncoderProcessOutput(encoder, &next, &left);
	if (status != JXL_ENC_SUCCESS)
		die(name);
	write_file(name, bytes, (size_t)(next - bytes));
	JxlEncoderDestroy(encoder);
}

static void draw_jxl(void)
{
	static const uint8_t black[3];
	unsigned width, height;

	if (wanted("lossless.jxl")) {
		draw_one_jxl("lossless.jxl", 3, 0, 0, 1, 1);
		truth_rgb();
		promise("lossless.jxl", 0, 0);
	}
	if (wanted("turned.jxl")) {
		draw_one_jxl("turned.jxl", 3, 0, 0, 1, 6);
		truth_rgb();
		turn_truth(6, &width, &height);
		promise_size("turned.jxl", width, height, 0, 0, 0);
	}
	if (wanted("deep.jxl")) {
		draw_one_jxl("deep.jxl", 3, 1, 0, 1, 1);
		truth_rgb16();
		promise("deep.jxl", 0, 0);
	}
	if (wanted("gray.jxl")) {
		draw_one_jxl("gray.jxl", 1, 0, 0, 1, 1);
		truth_gray(gray);
		promise("gray.jxl", 0, 0);
	}
	if (wanted("alpha.jxl")) {
		draw_one_jxl("alpha.jxl", 3, 0, 1, 1, 1);
		truth_over(black);
		promise("alpha.jxl", 0, 0);
	}
	if (wanted("lossy.jxl")) {
		draw_one_jxl("lossy.jxl", 3, 0, 0, 0, 1);
		truth_rgb();
		promise("lossy.jxl", 255, 32);
	}
	if (wanted("p3.jxl")) {
		make_profile(p3, 0);
		draw_one_jxl("p3.jxl", 3, 1, 0, 1, 1);
		truth_converted(p3, 0, 1);
		promise("p3.jxl", 1, 0);
		profile_size = 0;
	}
}

#endif

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 3) {
		fputs("usage: draw_formats DIR [NAME]\n", stderr);
		return 129;
	}
	folder = argv[1];
	only = argc == 3 ? argv[2] : NULL;
	list = fopen(path_of("list"), "w");
	if (!list) {
		perror(path_of("list"));
		return 1;
	}
	draw_scene();
	draw_bmp();
	draw_pnm();
	draw_png();
	draw_jpeg();
#ifdef AD_SONAME_TIFF
	draw_tiff();
#endif
#ifdef AD_SONAME_WEBP
	draw_webp();
#endif
#ifdef AD_SONAME_GIF
	draw_gif();
#endif
#ifdef AD_SONAME_HEIF
	draw_heif();
#endif
#ifdef AD_SONAME_JXL
	draw_jxl();
#endif
	return fclose(list) ? 1 : 0;
}
