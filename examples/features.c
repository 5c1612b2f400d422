/*
 * The backbone alone: how alike are pictures? Prints the cosine similarity of each picture's features (the default
 * layer, averaged over the picture) to those of the first.
 *
 *	cc -o features features.c $(pkg-config --cflags --libs adtool) -lm
 *	features PICTURE...
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adtool/adtool.h>

struct first {
	float *values;
	size_t n;
};

static void refused(void *context, const char *name, const adtool_error *why)
{
	(void)context;
	fprintf(stderr, "features: %s: %s\n", name, why->message);
}

static int compare(void *context, const char *name, const float *values, size_t channels, size_t rows, size_t cols)
{
	struct first *first = context;
	double dot = 0, a = 0, b = 0;

	if (!first->values) {
		first->n = channels * rows * cols;
		first->values = malloc(first->n * sizeof(*values));
		if (!first->values)
			return -1; /* stops the job with ADTOOL_ECANCELLED */
		memcpy(first->values, values, first->n * sizeof(*values));
	}
	for (size_t i = 0; i < first->n; i++) {
		dot += (double)first->values[i] * values[i];
		a += (double)first->values[i] * first->values[i];
		b += (double)values[i] * values[i];
	}
	printf("%.4f\t%s\n", dot / sqrt(a * b), name);
	return 0;
}

int main(int argc, char **argv)
{
	struct first first = {NULL, 0};
	adtool_backbone *backbone = NULL;
	adtool_dataset *pictures = NULL;
	adtool_features_options options;
	adtool_error err;
	int status = EXIT_FAILURE;

	if (argc < 2) {
		fprintf(stderr, "usage: features PICTURE...\n");
		return EXIT_FAILURE;
	}
	adtool_features_options_init(&options);
	options.grid = 1;
	options.features = compare;
	options.refused = refused;
	options.context = &first;
	if (adtool_backbone_open(NULL, &backbone, &err) != 0 ||
	    adtool_dataset_open((const char *const *)(argv + 1), (size_t)argc - 1, NULL, &pictures, &err) != 0 ||
	    adtool_features(backbone, pictures, &options, &err) != 0)
		fprintf(stderr, "features: %s\n", err.message);
	else
		status = EXIT_SUCCESS;
	adtool_dataset_free(pictures);
	adtool_backbone_free(backbone);
	free(first.values);
	return status;
}
