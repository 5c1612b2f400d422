/*
 * seeds FOLDER: small files of every kind that a parser reads, to begin fuzzing with: FOLDER/TARGET/NAME. What commands
 * of adtool make comes from seeds.sh.
 */
#include <errno.h>
#include <jpeglib.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../lib/base/npy.h"
#include "../unit/onnx_make.h"

static const char *folder;

static void fatal(const char *what)
{
	perror(what);
	exit(1);
}

static void save(const char *target, const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, target);
	if (mkdir(path, 0777) && errno != EEXIST)
		fatal(path);
	snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		fatal(path);
}

/* TIFF header, one entry: orientation. */
static size_t exif_block(uint8_t out[26], int big, int orientation)
{
	static const uint8_t little_endian[26] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1};
	static const uint8_t big_endian[26] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};

	memcpy(out, big ? big_endian : little_endian, 26);
	out[big ? 19 : 18] = (uint8_t)orientation;
	return 26;
}

static uint8_t sample(unsigned x, unsigned y, unsigned c)
{
	return (uint8_t)(x * 9 + y * 5 * (c + 1) + (x / 4 + y / 4) % 2 * 60);
}

/* -- JPEG -------------------------------------------------------------------------------------------- */

static void jpeg(const char *name, J_COLOR_SPACE from, J_COLOR_SPACE to, int progressive, int restart, int exif)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	unsigned channels = from == JCS_GRAYSCALE ? 1 : from == JCS_CMYK ? 4 : 3, x, k;
	unsigned char *bytes = NULL, row[24 * 4], note[6 + 26] = "Exif\0";
	unsigned long size = 0;
	JSAMPROW rows = row;

	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &bytes, &size);
	c.image_width = 24;
	c.image_height = 17;
	c.input_components = (int)channels;
	c.in_color_space = from;
	jpeg_set_defaults(&c);
	jpeg_set_colorspace(&c, to);
	jpeg_set_quality(&c, 60, TRUE);
	c.restart_interval = (unsigned)restart;
	if (progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	if (exif)
		jpeg_write_marker(&c, JPEG_APP0 + 1, note, (unsigned)(6 + exif_block(note + 6, exif % 2, exif)));
	while (c.next_scanline < c.image_height) {
		for (x = 0; x < c.image_width; x++)
			for (k = 0; k < channels; k++)
				row[x * channels + k] = sample(x, c.next_scanline, k);
		jpeg_write_scanlines(&c, &rows, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	save("picture-jpeg", name, bytes, size);
	free(bytes);
}

static void jpegs(void)
{
	jpeg("gray", JCS_GRAYSCALE, JCS_GRAYSCALE, 0, 0, 0);
	jpeg("colour", JCS_RGB, JCS_YCbCr, 0, 0, 6);
	jpeg("rgb", JCS_RGB, JCS_RGB, 0, 0, 0);
	jpeg("restarts", JCS_RGB, JCS_YCbCr, 0, 2, 3);
	jpeg("progressive", JCS_RGB, JCS_YCbCr, 1, 0, 5);
	jpeg("progressive-gray", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 0, 0);
	jpeg("cmyk", JCS_CMYK, JCS_CMYK, 0, 0, 8);
	jpeg("ycck", JCS_CMYK, JCS_YCCK, 1, 0, 0);
}

/* -- PNG --------------------------------------------------------------------------------------------- */

struct bytes {
	uint8_t data[65536];
	size_t size;
};

static void png_to_bytes(png_structp png, png_bytep data, size_t size)
{
	struct bytes *b = png_get_io_ptr(png);

	if (size > sizeof(b->data) - b->size)
		abort();
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

static void png_flush_nothing(png_structp png)
{
	(void)png;
}

static void png(const char *name, int type, int depth, int interlaced, int key, int exif)
{
	static struct bytes b;
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	enum { WIDTH = 19, HEIGHT = 13 };
	uint8_t row[HEIGHT][WIDTH * 8], *rows[HEIGHT], note[26], alpha[16];
	png_color palette[16];
	png_color_16 transparent = {.red = 3, .green = 4, .blue = 5, .gray = 1};
	unsigned x, y;

	b.size = 0;
	png_set_write_fn(png, &b, png_to_bytes, png_flush_nothing);
	png_set_IHDR(png, info, WIDTH, HEIGHT, depth, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
	for (x = 0; x < 16; x++) {
		palette[x] = (png_color){(uint8_t)(x * 16), (uint8_t)(255 - x * 9), (uint8_t)(x * x)};
		alpha[x] = (uint8_t)(255 - x * 15);
	}
	if (type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, depth < 4 ? 1 << depth : 16);
	if (key)
		png_set_tRNS(png, info, alpha, depth < 4 ? 1 << depth : 16, &transparent);
	png_write_info(png, info);
	if (exif)
		png_write_chunk(png, (png_const_bytep) "eXIf", note, exif_block(note, exif % 2, exif));
	for (y = 0; y < HEIGHT; y++) {
		rows[y] = row[y];
		for (x = 0; x < sizeof(row[y]); x++)
			row[y][x] = type == PNG_COLOR_TYPE_PALETTE && depth == 8 ? (x + y) % 16 : sample(x, y, 1);
	}
	png_set_interlace_handling(png);
	png_write_image(png, rows);
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	save("picture-png", name, b.data, b.size);
}

static void pngs(void)
{
	png("gray1", PNG_COLOR_TYPE_GRAY, 1, 0, 0, 0);
	png("gray2-interlaced", PNG_COLOR_TYPE_GRAY, 2, 1, 1, 0);
	png("gray8", PNG_COLOR_TYPE_GRAY, 8, 0, 1, 7);
	png("gray16", PNG_COLOR_TYPE_GRAY, 16, 0, 0, 0);
	png("grayalpha8", PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, 0, 2);
	png("rgb8", PNG_COLOR_TYPE_RGB, 8, 0, 0, 6);
	png("rgb8-interlaced", PNG_COLOR_TYPE_RGB, 8, 1, 1, 5);
	png("rgb16", PNG_COLOR_TYPE_RGB, 16, 0, 0, 0);
	png("rgba16-interlaced", PNG_COLOR_TYPE_RGB_ALPHA, 16, 1, 0, 0);
	png("rgba8", PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, 0, 0);
	png("palette4", PNG_COLOR_TYPE_PALETTE, 4, 0, 1, 0);
	png("palette8-interlaced", PNG_COLOR_TYPE_PALETTE, 8, 1, 0, 3);
}

/* -- EXIF, NumPy ------------------------------------------------------------------------------------- */

static void exifs(void)
{
	uint8_t block[26];

	save("exif", "little-endian", block, exif_block(block, 0, 6));
	save("exif", "big-endian", block, exif_block(block, 1, 3));
}

static void npys(void)
{
	static const double wide[6] = {1, -2, 3.5, 0, 1e300, -0.0};
	static const float narrow[6] = {1, -2, 3.5f, 0, 1e30f, -0.0f};
	ad_buf b = {0};

	ad_npy_append(&b, 4, 2, (const size_t[]){2, 3}, narrow);
	save("npy", "float32", b.data, b.size);
	ad_buf_clear(&b);
	ad_npy_append(&b, 8, 1, (const size_t[]){6}, wide);
	save("npy", "float64", b.data, b.size);
	ad_buf_clear(&b);
	ad_npy_append(&b, 4, 4, (const size_t[]){1, 2, 3, 1}, narrow);
	save("npy", "four-dimensions", b.data, b.size);
	ad_buf_clear(&b);
	ad_npy_append(&b, 4, 0, NULL, narrow);
	save("npy", "scalar", b.data, b.size);
	ad_buf_release(&b);
}

/* -- colour profiles (ICC.1:2010, section 7) ----------------------------------------------------------- */

static void put32(uint8_t *p, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A matrix and three curves; kind 0: a gamma, 1: a table, 2: parametric. For gray one curve alone. */
static void icc(const char *name, uint8_t samples, int kind, int gray)
{
	static const char *const names[] = {"wtpt", "kTRC", "rTRC", "gTRC", "bTRC", "rXYZ", "gXYZ", "bXYZ"};
	static const uint32_t values[8][3] = {{63190, 65536, 54061}, {0}, {0}, {0}, {0},
					      {28578, 14583, 912},   {25240, 46981, 6363}, {9371, 3972, 46783}};
	uint8_t file[1 + 1024] = {samples}, *p = file + 1;
	uint32_t count = 0, at = 128 + 4 + 12 * 7, i, n;

	memcpy(p + 8, "\x04\x20\0\0mntr", 8);
	memcpy(p + 16, gray ? "GRAYXYZ " : "RGB XYZ ", 8);
	memcpy(p + 36, "acsp", 4);
	put32(p + 68, 63190);
	put32(p + 72, 65536);
	put32(p + 76, 54061);
	for (i = 0; i < 8; i++) {
		int curve = i >= 1 && i <= 4;

		if (gray ? i > 1 : i == 1)
			continue;
		memcpy(p + 132 + 12 * count, names[i], 4);
		n = !curve ? 20 : kind == 0 ? 14 : kind == 1 ? 12 + 2 * 5 : 12 + 4 * 5;
		put32(p + 132 + 12 * count + 4, at);
		put32(p + 132 + 12 * count + 8, n);
		memcpy(p + at, !curve ? "XYZ " : kind == 2 ? "para" : "curv", 4);
		if (!curve) {
			put32(p + at + 8, values[i][0]);
			put32(p + at + 12, values[i][1]);
			put32(p + at + 16, values[i][2]);
		} else if (kind == 2) {
			static const uint32_t srgb[5] = {157286, 62119, 3417, 5072, 2651};
			uint32_t k;

			p[at + 9] = 3;
			for (k = 0; k < 5; k++)
				put32(p + at + 12 + 4 * k, srgb[k]);
		} else {
			p[at + 11] = kind ? 5 : 1;
			for (n = 0; n < (kind ? 5u : 1u); n++) {
				p[at + 12 + 2 * n] = kind ? (uint8_t)(n * n * 15) : 1;
				p[at + 13 + 2 * n] = 0xcc;
			}
		}
		at += 32;
		count++;
	}
	put32(p + 128, count);
	put32(p, at);
	save("icc", name, file, 1 + at);
}

static void iccs(void)
{
	icc("gamma", 1, 0, 0);
	icc("table", 1 | 4, 1, 0);
	icc("parametric", 1 | 8, 2, 0);
	icc("gray", 0, 0, 1);
	icc("gray16", 12, 1, 1);
	icc("other", 2, 0, 0);
}

/* -- ONNX -------------------------------------------------------------------------------------------- */

static const float *weights(size_t n)
{
	static float w[4096];
	size_t i;

	if (n > sizeof(w) / sizeof(w[0]))
		abort();
	for (i = 0; i < sizeof(w) / sizeof(w[0]); i++)
		w[i] = ((float)(i * 2654435761u % 1000) - 499.5f) / 1500.0f;
	return w;
}

static void save_onnx(om *m, const char *name)
{
	size_t size;
	const uint8_t *bytes = om_bytes(m, &size);

	save("onnx", name, bytes, size);
	om_free(m);
}

/* Six nodes; also what seeds.sh trains on, as tests of faults do. */
static void small_onnx(void)
{
	om *m = om_new(13);
	Ad__NodeProto *node;

	om_input(m, 3);
	om_floats(m, "w1", weights(8 * 27), DIMS(8, 3, 3, 3));
	om_floats(m, "b1", weights(8), DIMS(8));
	om_floats(m, "w2", weights(8 * 9), DIMS(8, 1, 3, 3));
	om_floats(m, "w3", weights(12 * 8), DIMS(12, 8, 1, 1));
	node = om_node(m, "Conv", "conv1", "x w1 b1", "c1");
	om_int_list(m, node, "pads", LIST(1, 1, 1, 1));
	om_int_list(m, node, "strides", LIST(2, 2));
	om_node(m, "Relu", "relu1", "c1", "r1");
	node = om_node(m, "Conv", "depthwise", "r1 w2", "c2");
	om_int(m, node, "group", 8);
	om_int_list(m, node, "pads", LIST(1, 1, 1, 1));
	om_node(m, "Add", "add", "c2 r1", "a");
	om_node(m, "Conv", "conv3", "a w3", "c3");
	om_node(m, "Relu", "relu3", "c3", "y");
	om_output(m, "y");
	om_metadata(m, "name", "small");
	om_metadata(m, "licence", "CC0-1.0");
	om_metadata(m, "mean", "0.5,0.5,0.5");
	om_metadata(m, "std", "0.25,0.25,0.25");
	om_metadata(m, "range", "0..1");
	om_metadata(m, "layers", "r1:/2:8,y:/2:12");
	save_onnx(m, "small.onnx");
}

static void many_onnx(void)
{
	om *m = om_new(12);
	Ad__NodeProto *node;

	om_many(m, weights(36));
	om_node(m, "Sigmoid", "gate", "q", "s");
	om_node(m, "Mul", "mul", "q s", "u");
	node = om_node(m, "Concat", "cat", "q u", "t");
	om_int(m, node, "axis", 1);
	node = om_node(m, "AveragePool", "average", "t", "o");
	om_int_list(m, node, "kernel_shape", LIST(3, 3));
	om_int_list(m, node, "pads", LIST(1, 1, 1, 1));
	om_node(m, "GlobalAveragePool", "global", "o", "g");
	om_node(m, "Reshape", "reshape", "g shape", "y");
	om_output(m, "y");
	om_metadata(m, "layers", "y:/6:4");
	save_onnx(m, "many.onnx");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds FOLDER\n");
		return 129;
	}
	folder = argv[1];
	if (mkdir(folder, 0777) && errno != EEXIST)
		fatal(folder);
	jpegs();
	pngs();
	exifs();
	npys();
	iccs();
	small_onnx();
	many_onnx();
	return 0;
}
