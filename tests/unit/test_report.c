/* Rows as text, JSON strings, .npy files. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <adtool/report.h>

#include "../../lib/base/buf.h"
#include "../../lib/base/file.h"
#include "../../lib/base/npy.h"
#include "skip.h"

static char *text_of(const adtool_row *row, enum adtool_format format, const adtool_model_info *model)
{
	char *text = NULL;
	size_t size = 0;
	adtool_error err;

	assert_int_equal(0, adtool_row_format(row, format, model, &text, &size, &err));
	assert_int_equal(size, strlen(text));
	return text;
}

static void assert_text(const char *expected, const adtool_row *row, enum adtool_format format,
                        const adtool_model_info *model)
{
	char *text = text_of(row, format, model);

	assert_string_equal(expected, text);
	adtool_free(text);
}

static adtool_row normal_row(const char *name)
{
	return (adtool_row){
	        .name = name,
	        .label = "",
	        .verdict = ADTOOL_NORMAL,
	        .score = 0.1,
	        .p = 1.0 / 3,
	        .threshold = 2.5,
	        .width = 640,
	        .height = 480,
	};
}

static adtool_row error_row(const char *name)
{
	return (adtool_row){
	        .name = name,
	        .label = "",
	        .verdict = ADTOOL_ERROR,
	        .score = NAN,
	        .p = NAN,
	        .threshold = NAN,
	        .code = ADTOOL_EFORMAT,
	        .why = "cut \"short\"",
	};
}

static void rows_look_as_documented(void **state)
{
	adtool_model_info model = {.rule = ADTOOL_RULE_CONFORMAL, .threshold = 2.5};
	adtool_row row = normal_row("dir/a b.jpg"), bad = error_row("bad.jpg");

	(void)state;
	assert_text("dir/a b.jpg\t0.1\t0.3333333333333333\tnormal\n", &row, ADTOOL_TSV, &model);
	assert_text("dir/a b.jpg,0.1,0.3333333333333333,normal\r\n", &row, ADTOOL_CSV, &model);
	assert_text("{\"path\":\"dir/a b.jpg\",\"score\":0.1,\"p\":0.3333333333333333,\"threshold\":2.5,"
	            "\"verdict\":\"normal\",\"rule\":\"conformal\",\"width\":640,\"height\":480}\n",
	            &row, ADTOOL_JSONL, &model);
	row.verdict = ADTOOL_ANOMALOUS;
	row.score = 1e300;
	row.p = 0.01;
	row.label = "scratch/deep";
	row.heatmap = "h/a.png";
	row.overlay = "o/\"a\".png";
	model.rule = ADTOOL_RULE_EXTRAPOLATED;
	assert_text("dir/a b.jpg\t1e+300\t0.01\tanomalous\n", &row, ADTOOL_TSV, NULL);
	assert_text("{\"path\":\"dir/a b.jpg\",\"label\":\"scratch/deep\",\"score\":1e+300,"
	            "\"p\":0.01,\"threshold\":2.5,\"verdict\":\"anomalous\",\"rule\":\"extrapolated\","
	            "\"width\":640,\"height\":480,\"heatmap\":\"h/a.png\",\"overlay\":\"o/\\\"a\\\".png\"}\n",
	            &row, ADTOOL_JSONL, &model);
	model.rule = ADTOOL_RULE_VALUE;
	row = normal_row("x");
	assert_text("{\"path\":\"x\",\"score\":0.1,\"p\":0.3333333333333333,\"threshold\":2.5,\"verdict\":\"normal\","
	            "\"rule\":\"value\",\"width\":640,\"height\":480}\n",
	            &row, ADTOOL_JSONL, &model);
	assert_text("{\"path\":\"x\",\"score\":0.1,\"p\":0.3333333333333333,\"threshold\":2.5,\"verdict\":\"normal\","
	            "\"width\":640,\"height\":480}\n",
	            &row, ADTOOL_JSONL, NULL);

	assert_text("bad.jpg\t\t\terror\n", &bad, ADTOOL_TSV, &model);
	assert_text("bad.jpg,,,error\r\n", &bad, ADTOOL_CSV, &model);
	assert_text("{\"path\":\"bad.jpg\",\"verdict\":\"error\",\"error\":\"cut \\\"short\\\"\"}\n", &bad,
		    ADTOOL_JSONL, &model);
	bad.label = "l";
	bad.why = NULL;
	assert_text("{\"path\":\"bad.jpg\",\"label\":\"l\",\"verdict\":\"error\",\"error\":\"malformed data\"}\n", &bad,
	            ADTOOL_JSONL, NULL);

	assert_text("", NULL, ADTOOL_TSV, &model);
	assert_text("", NULL, ADTOOL_JSONL, &model);
	assert_text("path,score,p,verdict\r\n", NULL, ADTOOL_CSV, &model);
}

static void unknown_formats_are_refused(void **state)
{
	adtool_row row = normal_row("x");
	char *text = NULL;
	size_t size;

	(void)state;
	assert_int_equal(ADTOOL_EINVAL, adtool_row_format(&row, (enum adtool_format)7, NULL, &text, &size, NULL));
	assert_null(text);
}

static void numbers_ignore_the_locale(void **state)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
	adtool_row row = normal_row("x");
	locale_t locale = (locale_t)0, before;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < 4 && !locale; i++)
		locale = newlocale(LC_ALL_MASK, names[i], (locale_t)0);
	if (!locale)
		SKIP("no locale with a decimal comma is installed");
	before = uselocale(locale);
	text = text_of(&row, ADTOOL_TSV, NULL);
	uselocale(before);
	freelocale(locale);
	assert_string_equal("x\t0.1\t0.3333333333333333\tnormal\n", text);
	adtool_free(text);
}

static void infinities_are_no_json(void **state)
{
	adtool_row row = normal_row("x");

	(void)state;
	row.score = INFINITY;
	row.p = NAN;
	assert_text("{\"path\":\"x\",\"score\":null,\"p\":null,\"threshold\":2.5,\"verdict\":\"normal\",\"width\":640,"
	            "\"height\":480}\n",
	            &row, ADTOOL_JSONL, NULL);
	assert_text("x\tinf\tnan\tnormal\n", &row, ADTOOL_TSV, NULL);
}

static void assert_text_begins(const char *expected, const char *text)
{
	if (strncmp(expected, text, strlen(expected)))
		fail_msg("'%s' does not begin '%s'", text, expected);
}

static void paths_are_escaped(void **state)
{
	adtool_row row = normal_row("a\\b\tc\nd\re\x7f\xff\"f,g");
	char *text;

	(void)state;
	text = text_of(&row, ADTOOL_TSV, NULL);
	assert_text_begins("a\\\\b\\tc\\nd\\re\x7f\xff\"f,g\t0.1\t", text);
	adtool_free(text);
	text = text_of(&row, ADTOOL_CSV, NULL);
	assert_text_begins("\"a\\b\tc\nd\re\x7f\xff\"\"f,g\",0.1,", text);
	adtool_free(text);
	text = text_of(&row, ADTOOL_JSONL, NULL);
	/* printf 'a\\b\tc\nd\re\x7f\xff"f,g' | base64 */
	assert_non_null(strstr(text, "\"path\":\"a\\\\b\\tc\\nd\\re\x7f\xef\xbf\xbd\\\"f,g\","
	                             "\"path_bytes\":\"YVxiCWMKZA1lf/8iZixn\","));
	adtool_free(text);
}

static uint32_t seed = 1;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Names that are likely to hit every case. */
static void random_name(char *name, size_t size)
{
	static const char *const pieces[] = {
	    "a",
	    "/",
	    "\"",
	    "\\",
	    "\n",
	    "\r",
	    "\t",
	    ",",
	    "\x01",
	    "\x1f",
	    "\x7f",
	    "\x80",
	    "\xc3\xa9",
	    "\xc3",
	    "\xe2\x82\xac",
	    "\xe2\x82",
	    "\xed\xa0\x80",
	    "\xf0\x9f\x98\x80",
	    "\xf0\x9f\x98",
	    "\xf5",
	    "\xc0\xaf",
	    "\xff",
	    "\xf4\x90\x80\x80",
	    "\xe0\x80\x80",
	    "=",
	};
	size_t n = 0, pieces_wanted = dice(12);

	name[0] = '\0';
	while (pieces_wanted--) {
		const char *piece = pieces[dice(sizeof(pieces) / sizeof(pieces[0]))];

		n += (size_t)snprintf(name + n, size - n, "%s", piece);
	}
}

static int digit_of(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void assert_base64(const char *text, const char *bytes)
{
	size_t n = 0, size = strlen(bytes);
	unsigned bits = 0, word = 0;

	assert_int_equal(0, strlen(text) % 4);
	assert_int_equal((size + 2) / 3 * 4, strlen(text));
	for (; digit_of(*text) >= 0; text++) {
		word = word << 6 | (unsigned)digit_of(*text);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			assert_true(n < size);
			assert_int_equal((uint8_t)bytes[n++], word >> bits & 255);
		}
	}
	assert_int_equal(size, n);
	assert_true(strspn(text, "=") == strlen(text));
}

static void json_is_lossless_for_any_name(void **state)
{
	int i, plain = 0, damaged = 0;

	(void)state;
	for (i = 0; i < 20000; i++) {
		char name[128], *text;
		adtool_row row = dice(2) ? normal_row(name) : error_row(name);
		json_t *json;
		json_error_t why;
		const char *path, *bytes;

		random_name(name, sizeof(name));
		row.label = name;
		text = text_of(&row, ADTOOL_JSONL, NULL);
		/* One line, and jansson, which takes well-formed UTF-8 only, reads it. */
		assert_ptr_equal(text + strlen(text) - 1, strchr(text, '\n'));
		json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
		if (!json)
			fail_msg("%s: %s", why.text, text);
		path = json_string_value(json_object_get(json, "path"));
		bytes = json_string_value(json_object_get(json, "path_bytes"));
		assert_non_null(path);
		if (bytes) {
			assert_base64(bytes, name);
			assert_non_null(strstr(path, "\xef\xbf\xbd"));
			damaged++;
		} else {
			assert_string_equal(name, path);
			plain++;
		}
		json_decref(json);
		adtool_free(text);
	}
	assert_true(plain > 1000 && damaged > 1000);
}

static void invalid_utf8_is_replaced_as_unicode_says(void **state)
{
	static const struct {
		const char *bytes, *json;
	} cases[] = {
	        {"", "\"\""},
	        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
	        {"\b\f\n\r\t\x01\x1f\"\\/", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/\""},
#define R "\xef\xbf\xbd"
	        /* The Unicode Standard 15.0, tables 3-8 to 3-11. */
	        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "\"" R R R R R R R R "A\""},
	        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "\"" R R R R R R R R "A\""},
	        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "\"" R R R R R "A" R R "B\""},
	        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\"" R R R R "A\""},
	        {"\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\xe0\xa0\x80\xf0\x90\x80\x80",
	         "\"\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\xe0\xa0\x80\xf0\x90\x80\x80\""},
#undef R
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;

		assert_int_equal(0, adtool_json_string(cases[i].bytes, &text, NULL));
		assert_string_equal(cases[i].json, text);
		adtool_free(text);
	}
}

/* Reads one CSV field as RFC 4180 has it; returns what follows it. */
static const char *csv_field(const char *text, char *field)
{
	if (*text == '"') {
		for (text++; *text != '"' || text[1] == '"'; text++) {
			assert_true(*text != '\0');
			text += *text == '"';
			*field++ = *text;
		}
		text++;
	} else {
		while (!strchr(",\"\r\n", *text))
			*field++ = *text++;
	}
	*field = '\0';
	assert_true(*text == ',' || (*text == '\r' && text[1] == '\n'));
	return text + (*text == ',' ? 1 : 2);
}

static const char *tsv_field(const char *text, char *field)
{
	for (; *text != '\t'; text++) {
		assert_true(*text && *text != '\n');
		if (*text == '\\') {
			text++;
			assert_non_null(strchr("\\tnr", *text));
			*field++ = *text == 't' ? '\t' : *text == 'n' ? '\n' : *text == 'r' ? '\r' : '\\';
		} else {
			*field++ = *text;
		}
	}
	*field = '\0';
	return text + 1;
}

static void tsv_and_csv_are_lossless_for_any_name(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		char name[128], field[512], *text;
		const char *at;
		adtool_row row = normal_row(name);

		random_name(name, sizeof(name));
		row.score = ldexp((double)dice(1u << 24), (int)dice(200) - 100);
		text = text_of(&row, ADTOOL_CSV, NULL);
		at = csv_field(text, field);
		assert_string_equal(name, field);
		at = csv_field(at, field);
		assert_true(strtod(field, NULL) == row.score);
		at = csv_field(at, field);
		at = csv_field(at, field);
		assert_string_equal("normal", field);
		assert_string_equal("", at);
		adtool_free(text);
		text = text_of(&row, ADTOOL_TSV, NULL);
		at = tsv_field(text, field);
		assert_string_equal(name, field);
		at = tsv_field(at, field);
		assert_true(strtod(field, NULL) == row.score);
		adtool_free(text);
	}
}

/* -- .npy -------------------------------------------------------------------------------------------- */

static char root[4096];

static int make_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s/adtool-report-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return !mkdtemp(root) || chdir(root);
}

static int remove_root(void **state)
{
	static const char *const files[] = {"x.npy", "y.npy", "script.py"};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		unlink(files[i]);
	/* Only works when nothing else was left behind. */
	return chdir("/") || rmdir(root);
}

/* A value for each index, exact in float32. */
static float value_at(size_t i)
{
	return (float)((i * 2654435761u) % 16777213) / 4096.0f - 1000.0f;
}

static void write_values(const char *path, size_t count, size_t step, const size_t *shape, int ndim)
{
	adtool_npy_writer *w = NULL;
	float *values = malloc((step ? step : 1) * sizeof(*values));
	size_t at, i;

	assert_int_equal(0, adtool_npy_create(path, &w, NULL));
	for (at = 0; at < count; at += step) {
		size_t n = step < count - at ? step : count - at;

		for (i = 0; i < n; i++)
			values[i] = value_at(at + i);
		assert_int_equal(0, adtool_npy_add(w, values, n, NULL));
	}
	assert_int_equal(0, adtool_npy_finish(w, shape, ndim, NULL));
	free(values);
}

static void npy_files_read_back(void **state)
{
	static const struct {
		size_t shape[4];
		int ndim;
		size_t step;
	} cases[] = {
	        {{0}, 0, 1},           {{1}, 1, 1},          {{0}, 1, 1},       {{3, 0, 7}, 3, 1}, {{7}, 1, 3},
	        {{300, 1000}, 2, 1000}, {{5, 3, 7, 2}, 4, 42}, {{1000001}, 1, 999}, {{2, 600000}, 2, 600000},
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t count = 1, shape[4];
		float *values = NULL;
		int ndim = -1, d;

		for (d = 0; d < cases[i].ndim; d++)
			count *= cases[i].shape[d];
		write_values("x.npy", count, cases[i].step, cases[i].shape, cases[i].ndim);
		assert_int_equal(0, adtool_npy_load("x.npy", 0, &values, shape, &ndim, NULL));
		assert_int_equal(cases[i].ndim, ndim);
		for (d = 0; d < 4; d++)
			assert_int_equal(d < ndim ? cases[i].shape[d] : 1, shape[d]);
		for (j = 0; j < count; j++)
			assert_true(values[j] == value_at(j));
		adtool_free(values);
	}
}

static void numpy_reads_what_is_written(void **state)
{
	static const char script[] = "import numpy as np\n"
	                             "x = np.load('x.npy')\n"
	                             "assert x.dtype == np.float32 and x.shape == (3, 5, 7) and x.flags.c_contiguous\n"
	                             "np.save('y.npy', x + np.float32(1))\n";
	static const size_t shape[] = {3, 5, 7};
	size_t read_shape[4], i;
	float *values = NULL;
	int ndim;

	(void)state;
	if (system("python3 -c 'import numpy' 2>/dev/null") && system("/usr/bin/python3 -c 'import numpy' 2>/dev/null"))
		SKIP("needs python3-numpy");
	assert_int_equal(0, adtool_file_write("script.py", script, sizeof(script) - 1, NULL));
	write_values("x.npy", 105, 35, shape, 3);
	assert_int_equal(0, system("python3 script.py 2>/dev/null || /usr/bin/python3 script.py"));
	assert_int_equal(0, adtool_npy_load("y.npy", 0, &values, read_shape, &ndim, NULL));
	assert_int_equal(3, ndim);
	for (i = 0; i < 105; i++)
		assert_true(values[i] == value_at(i) + 1);
	adtool_free(values);
}

static void wrong_shapes_leave_the_old_file(void **state)
{
	static const struct {
		size_t shape[5];
		int ndim;
	} cases[] = {
	        {{7}, 1}, {{3, 3}, 2}, {{0}, 1}, {{0}, 0}, {{2, 2, 1, 1, 1}, 5}, {{4}, -1}, {{SIZE_MAX, SIZE_MAX}, 2},
	        {{(size_t)1 << 63, 2, 4}, 3}, {{6, 0}, 2}, {{4, SIZE_MAX}, 2},
	};
	static const float six[6] = {1, 2, 3, 4, 5, 6};
	size_t i, shape[4];
	float *values = NULL;
	int ndim;

	(void)state;
	write_values("x.npy", 2, 2, (const size_t[]){2}, 1);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		adtool_npy_writer *w = NULL;
		adtool_error err = {0};

		assert_int_equal(0, adtool_npy_create("x.npy", &w, NULL));
		assert_int_equal(0, adtool_npy_add(w, six, 6, NULL));
		assert_int_equal(ADTOOL_EINVAL, adtool_npy_finish(w, cases[i].shape, cases[i].ndim, &err));
		assert_true(strlen(err.message) > 10);
	}
	{
		adtool_npy_writer *w = NULL;

		assert_int_equal(0, adtool_npy_create("x.npy", &w, NULL));
		assert_int_equal(0, adtool_npy_add(w, six, 6, NULL));
		adtool_npy_abort(w);
		assert_int_equal(0, adtool_npy_create("y.npy", &w, NULL));
		adtool_npy_abort(w);
		assert_int_equal(-1, access("y.npy", F_OK));
		adtool_npy_abort(NULL);
	}
	assert_int_equal(0, adtool_npy_load("x.npy", 0, &values, shape, &ndim, NULL));
	assert_int_equal(2, shape[0]);
	adtool_free(values);
}

static void a_full_disk_is_told(void **state)
{
	struct rlimit old, small = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
	adtool_npy_writer *w = NULL;
	adtool_error err = {0};
	static float values[1 << 19];
	int code;

	(void)state;
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &old));
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, adtool_npy_create("x.npy", &w, NULL));
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &small));
	code = adtool_npy_add(w, values, 1 << 19, &err);
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &old));
	signal(SIGXFSZ, SIG_DFL);
	adtool_npy_abort(w);
	assert_int_equal(ADTOOL_EIO, code);
	assert_non_null(strstr(err.message, "File too large"));
	assert_int_equal(-1, access("x.npy", F_OK));
	assert_int_equal(ADTOOL_EIO, adtool_npy_create("no/such/folder/x.npy", &w, &err));
}

static void damaged_npy_files_are_refused(void **state)
{
	static const size_t shape[] = {2, 3};
	static const double doubles[6] = {1, 2, 3, 4, 5, 6};
	ad_buf b = {0};
	size_t n, read_shape[4];
	float *values = NULL;
	adtool_error err;
	int ndim = 77, fd;

	(void)state;
	write_values("x.npy", 6, 6, shape, 2);
	assert_int_equal(0, ad_file_read("x.npy", SIZE_MAX, &b, NULL));
	assert_int_equal(ADTOOL_ELIMIT, adtool_npy_load("x.npy", b.size - 1, &values, read_shape, &ndim, &err));
	for (n = 0; n < b.size; n++) {
		assert_int_equal(0, ad_file_write("y.npy", b.data, n, NULL));
		assert_int_equal(ADTOOL_EFORMAT, adtool_npy_load("y.npy", 0, &values, read_shape, &ndim, &err));
	}
	assert_int_equal(0, adtool_file_write("y.npy", b.data, b.size, NULL));
	fd = open("y.npy", O_WRONLY | O_CLOEXEC);
	/* Every byte of the header changed: read or refused, never more than is there. */
	for (n = 0; n < b.size - sizeof(float) * 6; n++) {
		int c;

		for (c = 0; c < 256; c += 5) {
			uint8_t byte = (uint8_t)c;

			assert_int_equal(1, pwrite(fd, &byte, 1, (off_t)n));
			if (!adtool_npy_load("y.npy", 0, &values, read_shape, &ndim, &err)) {
				assert_int_equal(6, read_shape[0] * read_shape[1] * read_shape[2] * read_shape[3]);
				adtool_free(values);
				values = NULL;
			}
		}
		assert_int_equal(1, pwrite(fd, b.data + n, 1, (off_t)n));
	}
	close(fd);
	ad_buf_clear(&b);
	assert_int_equal(0, ad_npy_append(&b, 8, 2, shape, doubles));
	assert_int_equal(0, ad_file_write("y.npy", b.data, b.size, NULL));
	assert_int_equal(ADTOOL_EUNSUPPORTED, adtool_npy_load("y.npy", 0, &values, read_shape, &ndim, &err));
	assert_int_equal(ADTOOL_EIO, adtool_npy_load("missing.npy", 0, &values, read_shape, &ndim, &err));
	assert_null(values);
	ad_buf_release(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

static void every_rule_has_a_word_of_its_own(void **state)
{
	int i, j;

	(void)state;
	for (i = ADTOOL_RULE_CONFORMAL; i <= ADTOOL_RULE_FDR; i++)
		for (j = ADTOOL_RULE_CONFORMAL; j < i; j++)
			assert_string_not_equal(adtool_rule_name((enum adtool_rule)i),
						adtool_rule_name((enum adtool_rule)j));
	assert_string_equal("conformal", adtool_rule_name(ADTOOL_RULE_CONFORMAL));
	assert_string_equal("fdr", adtool_rule_name(ADTOOL_RULE_FDR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_look_as_documented),
	        cmocka_unit_test(unknown_formats_are_refused),
	        cmocka_unit_test(numbers_ignore_the_locale),
	        cmocka_unit_test(infinities_are_no_json),
	        cmocka_unit_test(paths_are_escaped),
	        cmocka_unit_test(json_is_lossless_for_any_name),
	        cmocka_unit_test(invalid_utf8_is_replaced_as_unicode_says),
	        cmocka_unit_test(tsv_and_csv_are_lossless_for_any_name),
	        cmocka_unit_test(every_rule_has_a_word_of_its_own),
	        T(npy_files_read_back),
	        T(numpy_reads_what_is_written),
	        T(wrong_shapes_leave_the_old_file),
	        T(a_full_disk_is_told),
	        T(damaged_npy_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
