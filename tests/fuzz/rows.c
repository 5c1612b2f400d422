/* rows: rows of `score` in any format, read back, and their drift. */
#include "fuzz.h"

#include <adtool/drift.h>
#include <adtool/report.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALIBRATION = 24, MOST_ROWS = 512 };

static void drift(const adtool_rows *rows)
{
	double calibration[CALIBRATION], scores[MOST_ROWS];
	adtool_drift_options options;
	adtool_error err = {0};
	adtool_drift result;
	size_t n = 0, i;

	for (i = 0; i < CALIBRATION; i++)
		calibration[i] = (double)(i * i) / 64;
	for (i = 0; i < adtool_rows_count(rows) && n < MOST_ROWS; i++) {
		const adtool_row *row = adtool_rows_at(rows, i);

		if (isfinite(row->score))
			scores[n++] = row->score;
	}
	adtool_drift_options_init(&options);
	if (n)
		FUZZ_ASSERT(
		    !adtool_drift_test(calibration, CALIBRATION, scores, n, &options, NULL, NULL, &result, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	adtool_rows *rows = NULL;
	adtool_error err = {0};
	char *text;
	size_t i, length;
	int code = adtool_rows_read(fuzz_file(data, size), &rows, &err), format;

	fuzz_check(code, &err);
	if (code)
		return 0;
	for (i = 0; i < adtool_rows_count(rows); i++) {
		const adtool_row *row = adtool_rows_at(rows, i);

		FUZZ_ASSERT(row->name);
		for (format = ADTOOL_TSV; format <= ADTOOL_CSV; format++) {
			FUZZ_ASSERT(!adtool_row_format(row, (enum adtool_format)format, NULL, &text, &length, &err));
			adtool_free(text);
		}
	}
	drift(rows);
	adtool_rows_free(rows);
	return 0;
}
