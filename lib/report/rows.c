#include <adtool/report.h>

#include "../base/fail.h"
#include "../base/json.h"
#include "text.h"

static const char *verdict_name(enum adtool_verdict verdict)
{
	static const char *const names[] = {
		[ADTOOL_NORMAL] = "normal",
		[ADTOOL_ANOMALOUS] = "anomalous",
		[ADTOOL_ERROR] = "error",
		[ADTOOL_SUSPECT] = "suspect",
	};

	return names[verdict];
}

/* The score and p between separators; both empty for an error. */
static void put_numbers(ad_buf *b, const adtool_row *row, char separator)
{
	ad_buf_putc(b, separator);
	if (row->verdict != ADTOOL_ERROR)
		ad_buf_double(b, row->score);
	ad_buf_putc(b, separator);
	if (row->verdict != ADTOOL_ERROR)
		ad_buf_double(b, row->p);
	ad_buf_putc(b, separator);
}

static void put_tsv(ad_buf *b, const adtool_row *row, int null_ended)
{
	if (!row)
		return;
	if (null_ended)
		ad_buf_puts(b, row->name);
	else
		ad_text_tsv(b, row->name);
	put_numbers(b, row, '\t');
	ad_buf_puts(b, verdict_name(row->verdict));
	ad_buf_putc(b, null_ended ? '\0' : '\n');
}

static void put_csv(ad_buf *b, const adtool_row *row)
{
	if (row) {
		ad_text_csv(b, row->name);
		put_numbers(b, row, ',');
		ad_buf_puts(b, verdict_name(row->verdict));
	} else {
		ad_buf_puts(b, "path,score,p,verdict");
	}
	ad_buf_puts(b, "\r\n");
}

static void put_string(ad_buf *b, const char *key, const char *value)
{
	ad_buf_printf(b, ",\"%s\":", key);
	ad_json_string(b, value);
}

static void put_number(ad_buf *b, const char *key, double value)
{
	ad_buf_printf(b, ",\"%s\":", key);
	ad_text_json_number(b, value);
}

static void put_regions(ad_buf *b, const adtool_row *row)
{
	size_t i;

	ad_buf_puts(b, ",\"regions\":[");
	for (i = 0; i < row->region_count; i++) {
		const adtool_region *r = &row->regions[i];

		ad_buf_printf(b, "%s{\"box\":[%u,%u,%u,%u],\"area\":%llu,\"share\":", i ? "," : "", r->x, r->y,
			      r->width, r->height, (unsigned long long)r->area);
		ad_text_json_number(b, r->share);
		put_number(b, "peak", r->peak);
		ad_buf_printf(b, ",\"peak_at\":[%u,%u]}", r->peak_x, r->peak_y);
	}
	ad_buf_putc(b, ']');
}

static void put_jsonl(ad_buf *b, const adtool_row *row, const adtool_model_info *model)
{
	int i;

	if (!row)
		return;
	ad_buf_puts(b, "{\"path\":");
	if (ad_json_string(b, row->name)) {
		ad_buf_puts(b, ",\"path_bytes\":\"");
		ad_text_base64(b, row->name, strlen(row->name));
		ad_buf_putc(b, '"');
	}
	if (row->label && row->label[0])
		put_string(b, "label", row->label);
	if (row->verdict == ADTOOL_ERROR) {
		put_string(b, "verdict", verdict_name(row->verdict));
		put_string(b, "error", row->why ? row->why : adtool_code_string(row->code));
	} else {
		put_number(b, "score", row->score);
		put_number(b, "p", row->p);
		put_number(b, "threshold", row->threshold);
		if (model && model->warn_alpha > 0)
			put_number(b, "warn_threshold", model->warn_threshold);
		put_string(b, "verdict", verdict_name(row->verdict));
		if (model)
			put_string(b, "rule", adtool_rule_name(model->rule));
		ad_buf_printf(b, ",\"width\":%u,\"height\":%u", row->width, row->height);
		if (row->has_map_box) {
			ad_buf_puts(b, ",\"map_box\":");
			for (i = 0; i < 4; i++) {
				ad_buf_putc(b, i ? ',' : '[');
				ad_text_json_number(b, row->map_box[i]);
			}
			ad_buf_putc(b, ']');
		}
		if (row->heatmap)
			put_string(b, "heatmap", row->heatmap);
		if (row->overlay)
			put_string(b, "overlay", row->overlay);
		if (row->map_file)
			put_string(b, "map", row->map_file);
		if (row->has_regions)
			put_regions(b, row);
	}
	ad_buf_puts(b, "}\n");
}

int adtool_row_format(const adtool_row *row, enum adtool_format format, const adtool_model_info *model, char **text,
		      size_t *size, adtool_error *err)
{
	ad_buf b = {0};

	switch (format) {
	case ADTOOL_TSV:
	case ADTOOL_TSV_NULL:
		put_tsv(&b, row, format == ADTOOL_TSV_NULL);
		break;
	case ADTOOL_JSONL:
		put_jsonl(&b, row, model);
		break;
	case ADTOOL_CSV:
		put_csv(&b, row);
		break;
	default:
		return ad_fail(err, ADTOOL_EINVAL, "unknown format %d of rows", (int)format);
	}
	/* Nothing at all is a string too. */
	ad_buf_puts(&b, "");
	if (b.failed) {
		ad_buf_release(&b);
		return ad_fail_nomem(err);
	}
	*text = (char *)b.data;
	*size = b.size;
	return 0;
}
