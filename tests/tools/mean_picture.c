/*
 * The baseline that the sample pictures must be too hard for: a picture's score is its difference from the mean
 * training picture, once the mean over all samples and once the largest.
 *
 *	mean_picture TRAIN NORMAL ANOMALOUS
 *
 * Prints "mean AUROC" and "max AUROC" lines.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <adtool/adtool.h>

struct scores {
	double *mean, *max;
	uint8_t *anomalous;
	size_t n, room;
};

static unsigned width, height;
static double *sum;
static size_t trained;

static void die(const char *name, const adtool_error *err)
{
	fprintf(stderr, "mean_picture: %s: %s\n", name, err->message);
	exit(1);
}

static void train(const uint8_t *pixels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += pixels[i];
	trained++;
}

static void score(struct scores *s, const uint8_t *pixels, size_t n, int anomalous)
{
	double total = 0, max = 0;

	for (size_t i = 0; i < n; i++) {
		double d = fabs(pixels[i] - sum[i] / (double)trained);

		total += d;
		max = d > max ? d : max;
	}
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->mean = realloc(s->mean, s->room * sizeof(*s->mean));
		s->max = realloc(s->max, s->room * sizeof(*s->max));
		s->anomalous = realloc(s->anomalous, s->room);
		if (!s->mean || !s->max || !s->anomalous)
			exit(1);
	}
	s->mean[s->n] = total / (double)n;
	s->max[s->n] = max;
	s->anomalous[s->n++] = (uint8_t)anomalous;
}

/* what: 0 train, 1 normal, 2 anomalous */
static void read_all(const char *folder, int what, struct scores *s)
{
	adtool_dataset *dataset = NULL;
	adtool_error err;
	adtool_item item;
	int rc = adtool_dataset_open(&folder, 1, NULL, &dataset, &err);

	if (rc != 0)
		die(folder, &err);
	while ((rc = adtool_dataset_next(dataset, &item, &err)) > 0) {
		adtool_image *image = NULL;
		const void *data;
		size_t size;

		if (item.code != 0 || adtool_dataset_read(dataset, &data, &size, &err) != 0 ||
		    adtool_image_decode(data, size, 0, &image, &err) != 0)
			die(item.name, &err);
		if (!sum) {
			width = adtool_image_width(image);
			height = adtool_image_height(image);
			sum = calloc((size_t)width * height * 3, sizeof(*sum));
		}
		if (!sum || adtool_image_width(image) != width || adtool_image_height(image) != height) {
			fprintf(stderr, "mean_picture: %s: not of the size of the others\n", item.name);
			exit(1);
		}
		if (what == 0)
			train(adtool_image_pixels(image), (size_t)width * height * 3);
		else
			score(s, adtool_image_pixels(image), (size_t)width * height * 3, what == 2);
		adtool_image_free(image);
	}
	if (rc < 0)
		die(folder, &err);
	adtool_dataset_free(dataset);
}

int main(int argc, char **argv)
{
	struct scores s = {0};
	adtool_metrics by_mean, by_max;
	adtool_error err;

	if (argc != 4) {
		fputs("usage: mean_picture TRAIN NORMAL ANOMALOUS\n", stderr);
		return 129;
	}
	for (int what = 0; what < 3; what++)
		read_all(argv[1 + what], what, &s);
	if (adtool_metrics_compute(s.mean, s.anomalous, s.n, &by_mean, &err) != 0 ||
	    adtool_metrics_compute(s.max, s.anomalous, s.n, &by_max, &err) != 0)
		die("metrics", &err);
	printf("mean %.4f\nmax %.4f\n", by_mean.auroc, by_max.auroc);
	free(s.mean);
	free(s.max);
	free(s.anomalous);
	free(sum);
	return 0;
}
