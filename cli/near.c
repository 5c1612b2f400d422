/* What was meant by a word that is not known. */
#include "cli.h"

enum { NEAR_WORD = 32, NEAR_LIMIT = 7 };

static int least(int a, int b)
{
	return a < b ? a : b;
}

/*
 * Damerau's edit distance from what was typed to what could be meant. Leaving letters out is the common
 * slip and costs little; letters that have to go cost more.
 */
static int word_distance(const char *typed, const char *meant)
{
	const int insert = 1, replace = 2, delete = 3, transpose = 1;
	int rows[3][NEAR_WORD + 1];
	int *above2 = rows[0], *above = rows[1], *row = rows[2];
	size_t n = strlen(typed), m = strlen(meant);

	if (n > NEAR_WORD || m > NEAR_WORD)
		return NEAR_LIMIT;
	for (size_t j = 0; j <= m; j++)
		above[j] = (int)j * insert;
	for (size_t i = 1; i <= n; i++) {
		row[0] = (int)i * delete;
		for (size_t j = 1; j <= m; j++) {
			row[j] = above[j - 1] + (typed[i - 1] == meant[j - 1] ? 0 : replace);
			row[j] = least(row[j], above[j] + delete);
			row[j] = least(row[j], row[j - 1] + insert);
			if (i > 1 && j > 1 && typed[i - 1] == meant[j - 2] && typed[i - 2] == meant[j - 1])
				row[j] = least(row[j], above2[j - 2] + transpose);
		}
		int *spare = above2;
		above2 = above;
		above = row;
		row = spare;
	}
	return above[m];
}

const char *cli_nearest(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	/* What has to change in nearly every letter was not meant. */
	size_t length = strlen(word);
	int best_distance = length < NEAR_LIMIT ? (int)length + 1 : NEAR_LIMIT;

	for (size_t i = 0; i < count && word[0]; i++) {
		int d = word_distance(word, words[i]);
		if (!strncmp(word, words[i], strlen(word)))
			d = 0;
		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	return best;
}
