/*
 * Rows of results as text: TSV, JSON Lines, CSV; and .npy files, so that other programs can go on from there.
 */
#ifndef ADTOOL_REPORT_H
#define ADTOOL_REPORT_H

#include <stddef.h>

#include <adtool/error.h>
#include <adtool/pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adtool_format { ADTOOL_TSV = 0, ADTOOL_JSONL = 1, ADTOOL_CSV = 2, ADTOOL_TSV_NULL = 3 };

/*
 * *text: the row, ending in a newline, NUL-terminated; release with adtool_free. *size excludes the NUL.
 * Numbers are the shortest that read back the same, whatever the locale.
 * TSV: path, score, p, verdict (and nothing else); in paths, backslash, tab, newline and carriage return are written
 * \\ \t \n \r, other bytes as they are. TSV_NULL: the same columns, the path as it is (it may hold tabs and newlines,
 * so read from the right), and a NUL at the end in place of the newline. CSV (RFC 4180, lines end in CR LF): the same
 * columns after a header line (row == NULL gives the header; empty for the other formats). An error's score and p are
 * empty.
 * JSONL: an object with path, label (unless empty), score, p, threshold, warn_threshold (where the model has one),
 * verdict, rule (as the manifest names it; "fdr" for a batch), width, height, heatmap, overlay and map (if written),
 * and regions (if looked for): objects with box [x, y, width, height], area, share, peak and peak_at [x, y] of an
 * adtool_region; of an error: path, label, verdict, error. A path that is
 * not UTF-8 has the replacement character in "path" and its bytes in base64 as "path_bytes".
 * model gives the rule that row->threshold came about by (a caller who sets another threshold sets it in a copy);
 * NULL leaves it out.
 */
ADTOOL_API int adtool_row_format(const adtool_row *row, enum adtool_format format, const adtool_model_info *model,
                                 char **text, size_t *size, adtool_error *err);

/*
 * Rows as adtool_row_format wrote them, in any of its formats, read back; "-" is standard input. Set in each row are
 * name, verdict, score and p, those two NaN where the verdict is ADTOOL_ERROR. Empty lines are passed over, further
 * columns too; a line that is no row is refused (ADTOOL_EFORMAT), with its number. At most 1 GiB. The caller frees
 * *out.
 */
typedef struct adtool_rows adtool_rows;
ADTOOL_API int adtool_rows_read(const char *path, adtool_rows **out, adtool_error *err);
ADTOOL_API size_t adtool_rows_count(const adtool_rows *rows);
ADTOOL_API const adtool_row *adtool_rows_at(const adtool_rows *rows, size_t index); /* owned by rows */
ADTOOL_API void adtool_rows_free(adtool_rows *rows);                                /* harmless on NULL */

/*
 * Makes a JSON string (quoted, escaped, invalid UTF-8 replaced) for callers who build JSON; release with adtool_free.
 */
ADTOOL_API int adtool_json_string(const char *bytes, char **text, adtool_error *err);

/* Writes a file that appears whole or not at all. */
ADTOOL_API int adtool_file_write(const char *path, const void *data, size_t size, adtool_error *err);

/* A float32 .npy file of up to 4 dimensions, written row by row, whole or not at all. */
typedef struct adtool_npy_writer adtool_npy_writer;
ADTOOL_API int adtool_npy_create(const char *path, adtool_npy_writer **out, adtool_error *err);
ADTOOL_API int adtool_npy_add(adtool_npy_writer *writer, const float *values, size_t count, adtool_error *err);
/* The shape's product must be the number of values added. Frees the writer in any case. */
ADTOOL_API int adtool_npy_finish(adtool_npy_writer *writer, const size_t *shape, int ndim, adtool_error *err);
ADTOOL_API void adtool_npy_abort(adtool_npy_writer *writer); /* harmless on NULL */

/*
 * Reads a float32 .npy file (at most limit bytes, 0: 4 GiB); *values released with adtool_free. Unused shape entries
 * are 1.
 */
ADTOOL_API int adtool_npy_load(const char *path, size_t limit, float **values, size_t shape[4], int *ndim,
                               adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
