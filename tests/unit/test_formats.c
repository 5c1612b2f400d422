/*
 * Every format of pictures: what tests/tools/draw_formats draws must come out as the PNG beside it. Then cut short at
 * every length, and with a byte flipped at every place: an error, or the same picture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/file.h"
#include "../../lib/base/sanitized.h"
#include "../../lib/base/tiff.h"
#include "../../lib/image/internal.h"

/* A damaged header that claims more than this is a refusal, not a long test. */
#define FEW_PIXELS 65536

struct promise {
	char file[64], png[72];
	unsigned most, page;
	double psnr;
};

static char folder[4096];
static struct promise promises[256];
static size_t promise_count;

static void read_picture(const char *name, ad_buf *out)
{
	char path[4200];

	assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, name), 1, sizeof(path) - 1);
	assert_int_equal(ad_file_read(path, 1 << 24, out, NULL), 0);
}

static int decode_apart(const void *data, size_t size, unsigned page, int isolate, adtool_image **image,
			adtool_error *err)
{
	adtool_image_options options;

	adtool_image_options_init(&options);
	options.max_pixels = FEW_PIXELS;
	options.page = page;
	options.isolate = isolate;
	return adtool_image_decode_with(data, size, &options, image, err);
}

static int decode(const void *data, size_t size, unsigned page, adtool_image **image, adtool_error *err)
{
	return decode_apart(data, size, page, 0, image, err);
}

static int set_up(void **state)
{
	const char *build = getenv("ADTOOL_BUILD");
	char tool[4200], path[4200];
	struct promise *p = promises;
	char line[512];
	FILE *list;
	pid_t child;
	int status;

	(void)state;
	snprintf(tool, sizeof(tool), "%s/tests/tools/draw_formats", build ? build : "build");
	snprintf(folder, sizeof(folder), "%s/adtool-test-formats-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(folder))
		return -1;
	child = fork();
	if (child == 0) {
		/* libx265, which writes the HEIC, loses some memory. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execl(tool, tool, folder, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return -1;
	snprintf(path, sizeof(path), "%s/list", folder);
	list = fopen(path, "r");
	while (list && fgets(line, sizeof(line), list) &&
	       sscanf(line, "%63s %71s %u %lf %u", p->file, p->png, &p->most, &p->psnr, &p->page) == 5)
		p++;
	promise_count = (size_t)(p - promises);
	if (list)
		fclose(list);
	return promise_count ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void every_picture_is_its_png(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < promise_count; i++) {
		const struct promise *p = &promises[i];
		adtool_image *image = NULL, *png = NULL;
		ad_buf file = {0}, truth = {0};
		adtool_error err = {0};
		unsigned largest = 0;
		double squares = 0, psnr;
		size_t n;

		read_picture(p->file, &file);
		read_picture(p->png, &truth);
		if (decode(file.data, file.size, p->page, &image, &err))
			fail_msg("%s: %s", p->file, err.message);
		assert_int_equal(decode(truth.data, truth.size, 0, &png, &err), 0);
		assert_int_equal(adtool_image_width(image), adtool_image_width(png));
		assert_int_equal(adtool_image_height(image), adtool_image_height(png));
		n = (size_t)3 * adtool_image_width(png) * adtool_image_height(png);
		for (k = 0; k < n; k++) {
			int d = adtool_image_pixels(image)[k] - adtool_image_pixels(png)[k];

			largest = (unsigned)abs(d) > largest ? (unsigned)abs(d) : largest;
			squares += d * d;
		}
		psnr = squares > 0 ? 10 * log10(255.0 * 255 * (double)n / squares) : INFINITY;
		if (largest > p->most || psnr < p->psnr)
			fail_msg("%s: off by up to %u (at most %u), %.1f dB (at least %g)", p->file, largest, p->most,
				 psnr, p->psnr);
		adtool_image_free(image);
		adtool_image_free(png);
		ad_buf_release(&file);
		ad_buf_release(&truth);
	}
}

/* Every format that this build reads has at least one picture. */
static void no_format_is_forgotten(void **state)
{
	const ad_image_format *f;
	size_t i, k, seen;

	(void)state;
	for (k = 0; (f = ad_image_format_at(k)) != NULL; k++) {
		for (i = seen = 0; i < promise_count; i++) {
			ad_buf file = {0};

			read_picture(promises[i].file, &file);
			seen += ad_image_format_of(file.data, file.size) == f;
			ad_buf_release(&file);
		}
		if (f->decode && !seen && strcmp(f->library, "libheif"))
			fail_msg("no picture of %s", f->name);
	}
}

/* An exact copy, so that a sanitizer sees what is read behind it. What comes of it must be an error, or `whole`. */
static void decode_piece(const struct promise *p, const uint8_t *data, size_t size, const adtool_image *whole)
{
	uint8_t *exact = malloc(size ? size : 1);
	adtool_image *image = NULL;
	adtool_error err = {0};
	int rc;

	assert_non_null(exact);
	memcpy(exact, data, size);
	rc = decode(exact, size, p->page, &image, &err);
	free(exact);
	assert_int_equal(rc, err.code);
	if (rc) {
		assert_null(image);
		assert_true(rc == ADTOOL_EFORMAT || rc == ADTOOL_EUNSUPPORTED || rc == ADTOOL_ELIMIT);
		if (strlen(err.message) < 6 || strpbrk(err.message, "\r\n"))
			fail_msg("%s: '%s'", p->file, err.message);
	} else if (whole) {
		size_t n = (size_t)3 * whole->width * whole->height;

		if (image->width != whole->width || image->height != whole->height ||
		    memcmp(image->pixels, whole->pixels, n) != 0)
			fail_msg("%s: the first %zu bytes give another picture", p->file, size);
	}
	adtool_image_free(image);
}

/* What is decoded must not depend on what memory held before: the same error or picture, whatever it is filled with. */
static void decode_twice(const struct promise *p, const uint8_t *data, size_t size, size_t flipped, int isolate)
{
	adtool_image *images[2] = {NULL, NULL};
	adtool_error err[2] = {{0}, {0}};
	int rc[2], i;

	for (i = 0; i < 2; i++) {
		mallopt(M_PERTURB, i ? 0x2a : 0xe5);
		rc[i] = decode_apart(data, size, p->page, isolate, &images[i], &err[i]);
	}
	mallopt(M_PERTURB, 0);
	if (rc[0] != rc[1] || strcmp(err[0].message, err[1].message) != 0)
		fail_msg("%s, byte %zu flipped: '%s', then '%s'", p->file, flipped, err[0].message, err[1].message);
	if (!rc[0] &&
	    (images[0]->width != images[1]->width || images[0]->height != images[1]->height ||
	     memcmp(images[0]->pixels, images[1]->pixels, (size_t)3 * images[0]->width * images[0]->height) != 0))
		fail_msg("%s, byte %zu flipped: another picture each time", p->file, flipped);
	adtool_image_free(images[0]);
	adtool_image_free(images[1]);
}

/* Debian's libjxl 0.7 was built to remark on damage on standard error. */
static int hush(void)
{
	int kept = dup(2), nowhere = open("/dev/null", O_WRONLY);

	assert_true(kept >= 0 && nowhere >= 0);
	assert_int_equal(dup2(nowhere, 2), 2);
	close(nowhere);
	return kept;
}

static void speak(int kept)
{
	assert_int_equal(dup2(kept, 2), 2);
	close(kept);
}

/* All lengths of small files; of longer ones those near the ends, and some in between. */
static size_t next_place(size_t at, size_t size, size_t sparse)
{
	size_t stride = size / sparse + 1;

	return at < 200 || size - at < 100 ? at + 1 : at + stride;
}

static void pieces(void **state)
{
	size_t i, n;
	int kept;

	(void)state;
	for (i = 0; i < promise_count; i++) {
		const struct promise *p = &promises[i];
		adtool_image *whole = NULL;
		ad_buf file = {0};

		read_picture(p->file, &file);
		assert_int_equal(decode(file.data, file.size, p->page, &whole, NULL), 0);
		kept = hush();
		for (n = 0; n < file.size; n = next_place(n, file.size, 150))
			/* A number that is cut is still a number. */
			decode_piece(p, file.data, n, strncmp(p->file, "text.", 5) || n + 4 < file.size ? whole : NULL);
		speak(kept);
		adtool_image_free(whole);
		ad_buf_release(&file);
	}
}

static void flips(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x40};
	size_t i, n;
	int kept;

	(void)state;
	for (i = 0; i < promise_count; i++) {
		const struct promise *p = &promises[i];
		int is_heic = strstr(p->file, ".heic") != NULL;
		ad_buf file = {0};

		read_picture(p->file, &file);
		kept = hush();
		for (n = 0; n < file.size; n = next_place(n, file.size, 80)) {
			uint8_t was = file.data[n];

			file.data[n] ^= masks[n % sizeof(masks)];
			decode_piece(p, file.data, file.size, NULL);
			/*
			 * What libde265 does not say it left out is, in this process, as it found it; and in any where a
			 * sanitizer gives the memory.
			 */
			if (n % 3 == 0 && !(is_heic && AD_SANITIZED))
				decode_twice(p, file.data, file.size, n, is_heic);
			file.data[n] = was;
		}
		speak(kept);
		ad_buf_release(&file);
	}
}

/* Whole, cut short, and with a byte flipped here and there: what a process of its own says is what this one does. */
static void isolated_as_here(void **state)
{
	size_t i, k;
	int kept;

	(void)state;
	for (i = 0; i < promise_count; i++) {
		const struct promise *p = &promises[i];
		const ad_image_format *f;
		ad_buf file = {0};

		read_picture(p->file, &file);
		f = ad_image_format_of(file.data, file.size);
		for (k = 0; f->prepare && k < 8; k++) {
			size_t size = k & 1 ? file.size * k / 8 : file.size;
			adtool_image_options options = {.max_pixels = FEW_PIXELS};
			adtool_image *here = NULL, *there = NULL;
			adtool_error why = {0}, said = {0};
			int code;

			/* Of a damaged HEIC the pixels that libde265 leaves out are as it finds them. */
			if (k && !(k & 1) && !strstr(p->file, ".heic"))
				file.data[file.size * k / 8] ^= 0x10;
			kept = hush();
			code = adtool_image_decode_with(file.data, size, &options, &here, &why);
			speak(kept);
			options.isolate = 1;
			assert_int_equal(adtool_image_decode_with(file.data, size, &options, &there, &said), code);
			assert_string_equal(said.message, why.message);
			if (!code) {
				assert_int_equal(there->width, here->width);
				assert_int_equal(there->height, here->height);
				assert_memory_equal(there->pixels, here->pixels,
						    (size_t)3 * here->width * here->height);
			}
			adtool_image_free(here);
			adtool_image_free(there);
		}
		ad_buf_release(&file);
	}
}

#ifdef AD_SONAME_HEIF
static void read_regression(const char *name, ad_buf *out)
{
	char path[256];

	snprintf(path, sizeof(path), "tests/fuzz/regressions/picture-heif/%s", name);
	assert_int_equal(ad_file_read(path, 1 << 24, out, NULL), 0);
}

static void is_refused(const char *name, const char *why)
{
	adtool_image *image = NULL;
	adtool_error err = {0};
	ad_buf file = {0};

	read_regression(name, &file);
	assert_int_equal(decode(file.data, file.size, 0, &image, &err), ADTOOL_EFORMAT);
	assert_non_null(strstr(err.message, why));
	ad_buf_release(&file);
}

/* libheif 1.15 follows them until its stack is at its end. */
static void pictures_of_themselves(void **state)
{
	(void)state;
	is_refused("grid-of-itself", "a picture that is made of itself");
	is_refused("alpha-grid-of-itself", "a picture that is made of itself");
	is_refused("alpha-of-its-own-picture", "a picture that is made of itself");
}

/* libde265 says nothing of a slice that ends too early. In a process of its own there are zeros in its stead. */
static void what_no_slice_held(void **state)
{
	const struct promise early = {.file = "slice-ends-early"};
	ad_buf file = {0};

	(void)state;
	/* A sanitizer's memory is its own. */
	if (AD_SANITIZED)
		skip();
	read_regression(early.file, &file);
	decode_twice(&early, file.data, file.size, 0, 1);
	ad_buf_release(&file);
}

static uint8_t *put_be(uint8_t *at, uint32_t v, unsigned n)
{
	while (n--)
		*at++ = (uint8_t)(v >> 8 * n);
	return at;
}

/* A file in which picture i is made of `wide` times picture i + 1, `levels` times. */
static int check_levels(unsigned levels, unsigned wide)
{
	static uint8_t file[1 << 16];
	uint32_t inside = levels * (12 + 2 * wide);
	uint8_t *at = file;

	assert_true(32 + inside <= sizeof(file));
	at = put_be(put_be(at, 8, 4), 0x66747970, 4);
	at = put_be(put_be(put_be(at, 24 + inside, 4), 0x6d657461, 4), 0, 4);
	at = put_be(put_be(put_be(at, 12 + inside, 4), 0x69726566, 4), 0, 4);
	for (unsigned i = 0; i < levels; i++) {
		at = put_be(put_be(at, 12 + 2 * wide, 4), 0x64696d67, 4);
		at = put_be(put_be(at, i, 2), wide, 2);
		for (unsigned k = 0; k < wide; k++)
			at = put_be(at, i + 1, 2);
	}
	return ad_heif_check_references(file, (size_t)(at - file), NULL);
}

static void pictures_of_pictures(void **state)
{
	(void)state;
	assert_int_equal(check_levels(0, 0), 0);
	assert_int_equal(check_levels(1, 20000), 0);
	assert_int_equal(check_levels(8, 1), 0);
	assert_int_equal(check_levels(9, 1), ADTOOL_EFORMAT);
	assert_int_equal(check_levels(1000, 1), ADTOOL_EFORMAT);
	/* 1 + n + n^2 + ... against 2^18. */
	assert_int_equal(check_levels(8, 4), 0);
	assert_int_equal(check_levels(8, 5), ADTOOL_ELIMIT);
	assert_int_equal(check_levels(2, 511), 0);
	assert_int_equal(check_levels(2, 512), ADTOOL_ELIMIT);
}
#endif

#if defined(AD_SONAME_HEIF) && defined(AD_SONAME_DE265)
/* libheif 1.15 takes both, with pixels that were never set. */
static void damage_that_libheif_takes(void **state)
{
	(void)state;
	is_refused("pixels-not-decoded", "damaged HEIF: ");
	is_refused("grid-not-covered", "damaged HEIF: ");
}
#endif

/* The size is held against the limit, in every format; of an animation or a turned picture too. */
static void limits(void **state)
{
	adtool_image_options options;
	size_t i;

	(void)state;
	adtool_image_options_init(&options);
	for (i = 0; i < promise_count; i++) {
		const struct promise *p = &promises[i];
		adtool_image *image = NULL, *refused = NULL;
		adtool_error err = {0};
		ad_buf file = {0};
		uint64_t pixels;

		read_picture(p->file, &file);
		options.page = p->page;
		options.max_pixels = FEW_PIXELS;
		assert_int_equal(adtool_image_decode_with(file.data, file.size, &options, &image, &err), 0);
		pixels = (uint64_t)image->width * image->height;
		adtool_image_free(image);
		image = NULL;
		options.max_pixels = pixels;
		assert_int_equal(adtool_image_decode_with(file.data, file.size, &options, &image, &err), 0);
		options.max_pixels = pixels - 1;
		assert_int_equal(adtool_image_decode_with(file.data, file.size, &options, &refused, &err),
				 ADTOOL_ELIMIT);
		assert_null(refused);
		if (!strstr(err.message, "more than the limit"))
			fail_msg("%s: %s", p->file, err.message);
		adtool_image_free(image);
		ad_buf_release(&file);
	}
}

static void backgrounds(void **state)
{
	static const struct {
		const char *text;
		uint8_t rgb[3];
	} good[] = {
	    {"#ff8000", {255, 128, 0}}, {"#FFF", {255, 255, 255}}, {"#1a2", {0x11, 0xaa, 0x22}},
	    {"white", {255, 255, 255}}, {"gray", {128, 128, 128}},
	};
	static const char *const bad[] = {
	    "", "#", "#12", "#12345", "#1234567", "#gggggg", "ffffff", "White ", "#12 456"};
	static const char *const files[] = {
	    "alpha.bmp", "alpha.pam", "alpha.tif", "premultiplied.tif", "alpha.webp", "alpha.jxl"};
	adtool_image_options options;
	adtool_error err = {0};
	uint8_t rgb[3];
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(adtool_color_parse(good[i].text, rgb, &err), 0);
		assert_memory_equal(rgb, good[i].rgb, 3);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(adtool_color_parse(bad[i], rgb, &err), ADTOOL_EINVAL);
	/* The left column is transparent, the right one opaque. */
	adtool_image_options_init(&options);
	memcpy(options.background, good[0].rgb, 3);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		adtool_image *image = NULL;
		ad_buf file = {0};
		char path[4200];

		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		if (access(path, F_OK))
			continue;
		read_picture(files[i], &file);
		if (adtool_image_decode_with(file.data, file.size, &options, &image, &err))
			fail_msg("%s: %s", files[i], err.message);
		for (k = 0; k < image->height; k++)
			assert_memory_equal(image->pixels + 3 * k * image->width, options.background, 3);
		adtool_image_free(image);
		ad_buf_release(&file);
	}
}

/* -- the pages of a TIFF ------------------------------------------------------------------------------- */

struct chain {
	uint8_t bytes[4096];
	size_t size;
	int big_endian, big;
};

static void put(struct chain *c, uint64_t v, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		c->bytes[c->size++] = (uint8_t)(v >> 8 * (c->big_endian ? n - 1 - i : i));
}

/* Directories of two entries, one behind the other; type: NewSubfileType. The last leads to `last`. */
static void make_chain(struct chain *c, const unsigned *types, unsigned n, uint64_t last)
{
	uint64_t length = c->big ? 8 + 2 * 20 + 8 : 2 + 2 * 12 + 4, start = c->big ? 16 : 8;
	unsigned i;

	c->size = 0;
	put(c, c->big_endian ? 0x4d4d : 0x4949, 2);
	put(c, c->big ? 43 : 42, 2);
	if (c->big) {
		put(c, 8, 2);
		put(c, 0, 2);
	}
	put(c, start, c->big ? 8 : 4);
	for (i = 0; i < n; i++) {
		put(c, 2, c->big ? 8 : 2);
		put(c, 254, 2);
		put(c, 4, 2);
		put(c, 1, c->big ? 8 : 4);
		put(c, types[i], 4);
		if (c->big)
			put(c, 0, 4);
		put(c, 256, 2);
		put(c, 4, 2);
		put(c, 1, c->big ? 8 : 4);
		put(c, 10, 4);
		if (c->big)
			put(c, 0, 4);
		put(c, i + 1 < n ? start + (i + 1) * length : last, c->big ? 8 : 4);
	}
}

static int read_chain(void *context, uint64_t at, void *to, size_t n)
{
	const struct chain *c = context;

	if (at > c->size || n > c->size - at)
		return -1;
	memcpy(to, c->bytes + at, n);
	return 0;
}

static void chains_of_pages(void **state)
{
	static const unsigned plain[6] = {0}, mixed[6] = {0, 1, 2, 4, 0, 1}, copies[6] = {1, 1, 4, 1, 1, 1};
	adtool_error err;
	struct chain c = {0};
	uint64_t offset;
	unsigned form, n, back;
	size_t cut;

	(void)state;
	for (form = 0; form < 4; form++) {
		uint64_t length, start;

		c.big_endian = (form & 1) != 0;
		c.big = form >= 2;
		length = c.big ? 8 + 2 * 20 + 8 : 2 + 2 * 12 + 4;
		start = c.big ? 16 : 8;
		for (n = 1; n <= 6; n++) {
			make_chain(&c, plain, n, 0);
			assert_int_equal(ad_tiff_count(read_chain, &c), n);
			assert_int_equal(ad_tiff_find(read_chain, &c, n, &offset, &err), 0);
			assert_int_equal(offset, start + (n - 1) * length);
			assert_int_equal(ad_tiff_find(read_chain, &c, n + 1, &offset, &err), ADTOOL_EFORMAT);
			/* Beyond the file: one more, which cannot be read. */
			make_chain(&c, plain, n, 4000);
			assert_int_equal(ad_tiff_count(read_chain, &c), n + 1);
			assert_int_equal(ad_tiff_find(read_chain, &c, n, &offset, &err), 0);
			assert_int_equal(ad_tiff_find(read_chain, &c, n + 1, &offset, &err), ADTOOL_EFORMAT);
			/* In a circle, to any of them: each once. */
			for (back = 0; back < n; back++) {
				make_chain(&c, plain, n, start + back * length);
				assert_int_equal(ad_tiff_count(read_chain, &c), n);
			}
		}
		/* Small copies and masks are no pages, but when there is nothing else. */
		make_chain(&c, mixed, 6, 0);
		assert_int_equal(ad_tiff_count(read_chain, &c), 3);
		assert_int_equal(ad_tiff_find(read_chain, &c, 3, &offset, &err), 0);
		assert_int_equal(offset, start + 4 * length);
		make_chain(&c, copies, 6, 0);
		assert_int_equal(ad_tiff_count(read_chain, &c), 1);
		assert_int_equal(ad_tiff_find(read_chain, &c, 1, &offset, &err), 0);
		assert_int_equal(offset, start);
		/* Cut anywhere: never more, never none. */
		make_chain(&c, plain, 6, 0);
		for (cut = c.size; cut-- > 0;) {
			c.size = cut;
			n = ad_tiff_count(read_chain, &c);
			assert_true(n >= 1 && n <= 7);
			ad_tiff_find(read_chain, &c, 3, &offset, &err);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_picture_is_its_png),
	    cmocka_unit_test(no_format_is_forgotten),
	    cmocka_unit_test(isolated_as_here),
	    cmocka_unit_test(chains_of_pages),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(backgrounds),
	    cmocka_unit_test(pieces),
	    cmocka_unit_test(flips),
#ifdef AD_SONAME_HEIF
	    cmocka_unit_test(pictures_of_themselves),
	    cmocka_unit_test(pictures_of_pictures),
	    cmocka_unit_test(what_no_slice_held),
#endif
#if defined(AD_SONAME_HEIF) && defined(AD_SONAME_DE265)
	    cmocka_unit_test(damage_that_libheif_takes),
#endif
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
