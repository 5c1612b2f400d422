/*
 * comma_locale IN MODEL INPUT...: as a program does whose locale writes numbers with a comma: trains on IN, saves
 * MODEL, opens it, and prints the rows of the inputs in every format. Status 3 when the locale has no comma.
 */
#include <adtool/adtool.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static adtool_model_info info;

static void check(int code, const adtool_error *err)
{
	if (!code)
		return;
	fprintf(stderr, "comma_locale: %s\n", err->message);
	exit(1);
}

static int print_row(void *context, const adtool_row *row)
{
	adtool_error err;
	char *text;
	size_t size;

	check(adtool_row_format(row, *(enum adtool_format *)context, &info, &text, &size, &err), &err);
	fwrite(text, 1, size, stdout);
	adtool_free(text);
	return 0;
}

int main(int argc, char **argv)
{
	static const enum adtool_format formats[] = {ADTOOL_TSV, ADTOOL_CSV, ADTOOL_JSONL};
	adtool_backbone *backbone;
	adtool_train_options train;
	adtool_model *model;
	adtool_error err;

	if (argc < 4 || !setlocale(LC_ALL, "") || strcmp(localeconv()->decimal_point, ","))
		return 3;
	check(adtool_backbone_open(NULL, &backbone, &err), &err);
	adtool_train_options_init(&train);
	check(adtool_train(backbone, (const char *const *)argv + 1, 1, NULL, &train, &model, NULL, &err), &err);
	check(adtool_model_save(model, argv[2], 1, &err), &err);
	adtool_model_free(model);
	adtool_backbone_free(backbone);
	check(adtool_model_open(argv[2], &model, &err), &err);
	info = *adtool_model_get_info(model);
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		adtool_score_options o;
		adtool_dataset *dataset;
		enum adtool_format format = formats[i];
		adtool_score_options_init(&o);
		o.row = print_row;
		o.context = &format;
		o.regions = format == ADTOOL_JSONL;
		check(adtool_dataset_open((const char *const *)argv + 3, (size_t)argc - 3, NULL, &dataset, &err), &err);
		check(adtool_score(model, dataset, &o, NULL, &err), &err);
		adtool_dataset_free(dataset);
	}
	adtool_model_free(model);
	return 0;
}
