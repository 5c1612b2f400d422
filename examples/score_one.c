/*
 * The smallest use of the library: one model, one picture.
 *
 *	cc -o score_one score_one.c $(pkg-config --cflags --libs adtool)
 *	score_one MODEL PICTURE
 *
 * Prints the score, its p-value and the verdict; exit status 1 when the picture is anomalous, 2 on any error.
 */
#include <stdio.h>
#include <stdlib.h>

#include <adtool/adtool.h>

/* A whole file; NULL when that cannot be had. */
static void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	unsigned char *data = NULL;
	size_t room = 0, n = 0, got;

	if (!f)
		return NULL;
	do {
		if (n == room) {
			unsigned char *more = realloc(data, room = room ? 2 * room : 1 << 16);

			if (!more)
				break;
			data = more;
		}
		got = fread(data + n, 1, room - n, f);
		n += got;
	} while (got > 0);
	if (n == room || ferror(f)) {
		free(data);
		data = NULL;
	}
	fclose(f);
	*size = n;
	return data;
}

int main(int argc, char **argv)
{
	adtool_model *model = NULL;
	adtool_error err;
	void *data = NULL;
	size_t size;
	double score, p;
	int status = 2;

	if (argc != 3) {
		fprintf(stderr, "usage: score_one MODEL PICTURE\n");
		return 2;
	}
	if (adtool_model_open(argv[1], &model, &err) != 0) {
		fprintf(stderr, "score_one: %s: %s\n", argv[1], err.message);
		goto out;
	}
	data = read_file(argv[2], &size);
	if (!data) {
		perror(argv[2]);
		goto out;
	}
	if (adtool_score_image(model, data, size, &score, &p, NULL, &err) != 0) {
		fprintf(stderr, "score_one: %s: %s\n", argv[2], err.message);
		goto out;
	}
	status = score > adtool_model_get_info(model)->threshold;
	printf("score %.4g, p %.3g: %s\n", score, p, status ? "anomalous" : "normal");
out:
	free(data);
	adtool_model_free(model);
	return status;
}
