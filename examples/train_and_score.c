/*
 * A whole job without the command line: learn from a folder of normal pictures, keep the model, score other pictures.
 *
 *	cc -o train_and_score train_and_score.c $(pkg-config --cflags --libs adtool)
 *	train_and_score NORMAL MODEL PICTURES...
 *
 * NORMAL and PICTURES are folders, files or archives. Prints a line for each scored picture.
 */
#include <stdio.h>
#include <stdlib.h>

#include <adtool/adtool.h>

static void refused(void *context, const char *name, const adtool_error *why)
{
	(void)context;
	fprintf(stderr, "train_and_score: %s: %s\n", name, why->message);
}

static int print_row(void *context, const adtool_row *row)
{
	static const char *const words[] = {"normal", "anomalous"};

	(void)context;
	if (row->verdict == ADTOOL_ERROR)
		fprintf(stderr, "train_and_score: %s: %s\n", row->name, row->why);
	else
		printf("%s: score %.4g, p %.3g: %s\n", row->name, row->score, row->p, words[row->verdict]);
	return 0; /* go on */
}

int main(int argc, char **argv)
{
	adtool_backbone *backbone = NULL;
	adtool_dataset *pictures = NULL;
	adtool_model *model = NULL;
	adtool_train_options how;
	adtool_score_options scoring;
	adtool_train_report report;
	adtool_error err;
	int status = EXIT_FAILURE;

	if (argc < 4) {
		fprintf(stderr, "usage: train_and_score NORMAL MODEL PICTURES...\n");
		return EXIT_FAILURE;
	}
	const char *const normal[] = {argv[1]};

	adtool_train_options_init(&how);
	how.alpha = 0.05; /* one false alarm in twenty normal pictures is acceptable */
	how.refused = refused;
	adtool_score_options_init(&scoring);
	scoring.row = print_row;

	if (adtool_backbone_open(NULL, &backbone, &err) != 0 ||
	    adtool_train(backbone, normal, 1, NULL, &how, &model, &report, &err) != 0)
		goto out;
	printf("learned from %zu pictures, threshold %.4g\n", report.pictures_used,
	       adtool_model_get_info(model)->threshold);
	if (adtool_model_save(model, argv[2], 0, &err) != 0 ||
	    adtool_dataset_open((const char *const *)(argv + 3), (size_t)argc - 3, NULL, &pictures, &err) != 0 ||
	    adtool_score(model, pictures, &scoring, NULL, &err) != 0)
		goto out;
	status = EXIT_SUCCESS;
out:
	if (status != EXIT_SUCCESS)
		fprintf(stderr, "train_and_score: %s\n", err.message);
	adtool_dataset_free(pictures);
	adtool_model_free(model);
	adtool_backbone_free(backbone);
	return status;
}
