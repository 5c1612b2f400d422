/* Masks: where they are, and the truth that they tell of each pixel. */
#include <unistd.h>

#include "eval.h"

/* Where the name of the file begins: after the last '/', or after the ':' that ends the name of an archive. */
static const char *file_part(const char *name)
{
	const char *base = cli_basename(name), *colon = strrchr(base, ':');

	return colon ? colon + 1 : base;
}

static char *mask_file(const char *masks, const char *folder, size_t folder_length, const char *stem,
		       size_t stem_length)
{
	static const char *const suffixes[] = {".png", "_mask.png", ".jpg", ".jpeg"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		char *path = cli_text("%s/%.*s%s%.*s%s", masks, (int)folder_length, folder,
				      folder_length ? "/" : "", (int)stem_length, stem, suffixes[i]);
		if (!access(path, F_OK))
			return path;
		free(path);
	}
	return NULL;
}

/*
 * By the picture's path below its input; then with the folders above put before it one by one, so that
 * `--anomalous bad/crack` and `--anomalous bad` find the same mask. NULL: none. The caller frees.
 */
static char *find_mask(const char *masks, const adtool_row *row)
{
	const char *base = file_part(row->name), *dot = strrchr(base, '.');
	size_t stem = dot && dot != base ? (size_t)(dot - base) : strlen(base);
	size_t label = row->label ? strlen(row->label) : 0;
	size_t end = (size_t)(cli_basename(row->name) - row->name);
	size_t start;
	char *path;

	path = mask_file(masks, row->label, label, base, stem);
	if (path)
		return path;
	while (end && row->name[end - 1] == '/')
		end--;
	start = label < end ? end - label : 0;
	while (start) {
		while (start && row->name[start - 1] == '/')
			start--;
		while (start && row->name[start - 1] != '/')
			start--;
		path = mask_file(masks, row->name + start, end - start, base, stem);
		if (path)
			return path;
	}
	return NULL;
}

bool eval_mask_read(const char *masks, const adtool_row *row, uint8_t *truth)
{
	adtool_image *mask = NULL;
	adtool_error err;
	size_t n = (size_t)row->width * row->height;

	char *path = find_mask(masks, row);
	if (!path) {
		cli_message(row->name, "no mask in %s", masks);
		return false;
	}
	bool found = false;
	if (cli_read_picture(path, &mask, &err)) {
		cli_message(path, "%s", err.message);
	} else if (adtool_image_width(mask) != row->width || adtool_image_height(mask) != row->height) {
		cli_message(path, "the mask is %ux%u, the picture %ux%u", adtool_image_width(mask),
			    adtool_image_height(mask), row->width, row->height);
	} else {
		const uint8_t *rgb = adtool_image_pixels(mask);
		unsigned brightest = 0;
		for (size_t i = 0; i < n; i++) {
			truth[i] = rgb[3 * i] > 127;
			brightest = rgb[3 * i] > brightest ? rgb[3 * i] : brightest;
		}
		found = brightest > 127;
		if (!found)
			cli_message(path,
				    "the mask shows no defect: its brightest pixel is %u, a defect's is above 127",
				    brightest);
	}
	adtool_image_free(mask);
	free(path);
	return found;
}
