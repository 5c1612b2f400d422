/* Rows that `score` wrote, read back: TSV, CSV or JSON Lines, told apart by how they begin. */
#include <adtool/report.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "../base/fail.h"
#include "../base/file.h"
#include "../base/mem.h"

#define MAX_BYTES ((uint64_t)1 << 30)
enum { COLUMNS = 4 };

struct adtool_rows {
	adtool_row *rows; /* only name, verdict, score and p are set; names are ours */
	size_t count, capacity;
};

struct source {
	char *at, *end; /* NUL-terminated at end */
	size_t line;
};

static int wrong(const struct source *s, adtool_error *err, const char *what)
{
	return ad_fail(err, ADTOOL_EFORMAT, "line %zu: %s", s->line, what);
}

static int read_standard_input(ad_buf *out, adtool_error *err)
{
	char block[65536];
	ssize_t n;

	for (;;) {
		n = read(0, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ad_fail_errno(err, errno, "cannot read");
		if (n == 0)
			return 0;
		if (out->size + (size_t)n > MAX_BYTES)
			return ad_fail(err, ADTOOL_ELIMIT, "more than %llu bytes of rows",
				       (unsigned long long)MAX_BYTES);
		if (ad_buf_add(out, block, (size_t)n))
			return ad_fail_nomem(err);
	}
}

static int add_row(adtool_rows *r, const char *name, enum adtool_verdict verdict, double score, double p,
		   adtool_error *err)
{
	adtool_row *row;

	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 256;

		row = ad_realloc_array(r->rows, capacity, sizeof(*row));
		if (!row)
			return ad_fail_nomem(err);
		r->rows = row;
		r->capacity = capacity;
	}
	row = &r->rows[r->count];
	memset(row, 0, sizeof(*row));
	row->name = ad_strdup(name);
	if (!row->name)
		return ad_fail_nomem(err);
	row->verdict = verdict;
	row->score = verdict == ADTOOL_ERROR ? NAN : score;
	row->p = verdict == ADTOOL_ERROR ? NAN : p;
	row->threshold = NAN;
	r->count++;
	return 0;
}

static int verdict_of(const struct source *s, const char *text, enum adtool_verdict *out, adtool_error *err)
{
	static const char *const words[] = {[ADTOOL_NORMAL] = "normal",
					    [ADTOOL_ANOMALOUS] = "anomalous",
					    [ADTOOL_ERROR] = "error",
					    [ADTOOL_SUSPECT] = "suspect"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i])) {
			*out = (enum adtool_verdict)i;
			return 0;
		}
	}
	return wrong(s, err, "its verdict is not one that adtool score gives");
}

static int number_of(const struct source *s, const char *text, const char *what, double *out, adtool_error *err)
{
	/* JSON's numbers, which is what adtool writes: strtod would ask the locale, and take "inf" and hexadecimal. */
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	int is = json_is_number(json);

	*out = json_number_value(json);
	json_decref(json);
	return is ? 0 : ad_fail(err, ADTOOL_EFORMAT, "line %zu: its %s is no number", s->line, what);
}

/* From the four columns as text. */
static int add_columns(const struct source *s, adtool_rows *r, char *const column[COLUMNS], adtool_error *err)
{
	enum adtool_verdict verdict = ADTOOL_ERROR;
	double score = NAN, p = NAN;
	int code = verdict_of(s, column[3], &verdict, err);

	if (!code && verdict != ADTOOL_ERROR)
		code = number_of(s, column[1], "score", &score, err);
	if (!code && verdict != ADTOOL_ERROR)
		code = number_of(s, column[2], "p", &p, err);
	return code ? code : add_row(r, column[0], verdict, score, p, err);
}

/* -- TSV --------------------------------------------------------------------------------------------- */

static void unescape_tsv(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '\\' && text[1]) {
			text++;
			*to++ = *text == 't' ? '\t' : *text == 'n' ? '\n' : *text == 'r' ? '\r' : *text;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The line at s->at, without its end, cut off from the rest. */
static char *take_line(struct source *s)
{
	char *line = s->at, *newline = memchr(line, '\n', (size_t)(s->end - line));

	s->line++;
	s->at = newline ? newline + 1 : s->end;
	if (newline)
		*newline = '\0';
	return line;
}

static int read_tsv(struct source *s, adtool_rows *r, adtool_error *err)
{
	while (s->at < s->end) {
		char *line = take_line(s), *column[COLUMNS];
		int n = 0, code;

		if (!*line)
			continue;
		while (n < COLUMNS) {
			column[n++] = line;
			line += strcspn(line, "\t");
			if (!*line)
				break;
			*line++ = '\0';
		}
		if (n < COLUMNS)
			return wrong(s, err, "has fewer than four columns: path, score, p, verdict");
		unescape_tsv(column[0]);
		code = add_columns(s, r, column, err);
		if (code)
			return code;
	}
	return 0;
}

/* -- CSV --------------------------------------------------------------------------------------------- */

/* The field at s->at, unquoted in place (RFC 4180). Its separator (',', '\n', or 0 at the end) is taken too. */
static int take_field(struct source *s, char **field, char *separator, adtool_error *err)
{
	char *from = s->at, *to = s->at;

	*field = to;
	if (from < s->end && *from == '"') {
		for (from++;; from++) {
			if (from >= s->end)
				return wrong(s, err, "a quoted field does not end");
			if (*from == '"' && from[1] != '"')
				break;
			if (*from == '"')
				from++;
			if (*from == '\n')
				s->line++;
			*to++ = *from;
		}
		from++;
		if (from < s->end && *from != ',' && *from != '\r' && *from != '\n')
			return wrong(s, err, "something stands behind a quoted field");
	} else {
		while (from < s->end && *from != ',' && *from != '\n' && *from != '\r')
			*to++ = *from++;
	}
	if (from < s->end && *from == '\r' && from[1] == '\n')
		from++;
	*separator = from < s->end ? *from : '\0';
	if (*separator == '\r')
		*separator = '\n';
	s->at = from < s->end ? from + 1 : from;
	*to = '\0';
	return 0;
}

static int read_csv(struct source *s, adtool_rows *r, adtool_error *err)
{
	while (s->at < s->end) {
		char *column[COLUMNS] = {0}, *field, separator = ',';
		int n = 0, code;

		s->line++;
		while (separator == ',') {
			code = take_field(s, &field, &separator, err);
			if (code)
				return code;
			if (n < COLUMNS)
				column[n] = field;
			n++;
		}
		if (n == 1 && !*column[0])
			continue;
		if (n < COLUMNS)
			return wrong(s, err, "has fewer than four columns: path, score, p, verdict");
		/* The header, which stands again wherever files were joined. */
		if (!strcmp(column[0], "path") && !strcmp(column[1], "score"))
			continue;
		code = add_columns(s, r, column, err);
		if (code)
			return code;
	}
	return 0;
}

/* -- JSON Lines -------------------------------------------------------------------------------------- */

static int read_jsonl(struct source *s, adtool_rows *r, adtool_error *err)
{
	while (s->at < s->end) {
		char *line = take_line(s);
		const char *name, *word;
		const json_t *score, *p;
		enum adtool_verdict verdict = ADTOOL_ERROR;
		json_t *root;
		int code;

		if (!*line)
			continue;
		root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		name = json_string_value(json_object_get(root, "path"));
		word = json_string_value(json_object_get(root, "verdict"));
		score = json_object_get(root, "score");
		p = json_object_get(root, "p");
		if (!json_is_object(root))
			code = wrong(s, err, "is no JSON object");
		else if (!name || !word)
			code = wrong(s, err, "has no path or no verdict");
		else
			code = verdict_of(s, word, &verdict, err);
		if (!code && verdict != ADTOOL_ERROR && (!json_is_number(score) || !json_is_number(p)))
			code = wrong(s, err, "its score or p is no number");
		if (!code)
			code = add_row(r, name, verdict, json_number_value(score), json_number_value(p), err);
		json_decref(root);
		if (code)
			return code;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------------- */

int adtool_rows_read(const char *path, adtool_rows **out, adtool_error *err)
{
	adtool_rows *r = ad_calloc(1, sizeof(*r));
	ad_buf text = {0};
	struct source s = {0};
	int code;

	if (!r)
		return ad_fail_nomem(err);
	code = strcmp(path, "-") ? ad_file_read(path, MAX_BYTES, &text, err) : read_standard_input(&text, err);
	if (!code && text.size && memchr(text.data, '\0', text.size))
		code = ad_fail(err, ADTOOL_EFORMAT, "holds NUL bytes: these are no rows of adtool score");
	if (!code && text.size) {
		s.at = (char *)text.data;
		s.end = s.at + text.size;
		if (*s.at == '{')
			code = read_jsonl(&s, r, err);
		else if (!strncmp(s.at, "path,", 5))
			code = read_csv(&s, r, err);
		else
			code = read_tsv(&s, r, err);
	}
	ad_buf_release(&text);
	if (code) {
		adtool_rows_free(r);
		return code;
	}
	*out = r;
	return 0;
}

size_t adtool_rows_count(const adtool_rows *rows)
{
	return rows->count;
}

const adtool_row *adtool_rows_at(const adtool_rows *rows, size_t index)
{
	return &rows->rows[index];
}

void adtool_rows_free(adtool_rows *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->count; i++)
		ad_free((char *)(uintptr_t)r->rows[i].name);
	ad_free(r->rows);
	ad_free(r);
}
