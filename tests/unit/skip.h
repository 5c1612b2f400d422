/*
 * Skipping a unit test with a reason that shows in the summary, and finding the optional folder of material.
 * Include after <cmocka.h>.
 */
#ifndef TESTS_UNIT_SKIP_H
#define TESTS_UNIT_SKIP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SKIP(...)                                                                                                      \
	do {                                                                                                           \
		print_message("# skip: " __VA_ARGS__);                                                                 \
		print_message("\n");                                                                                   \
		skip();                                                                                                \
	} while (0)

/*
 * The path of a file in the folder of material ($ADTOOL_SHARED, else ../shared), written to buffer; skips the
 * test when the folder is not there, and fails it when the folder is there but not the file.
 */
static inline const char *need_shared(const char *file, char *buffer, size_t size)
{
	const char *folder = getenv("ADTOOL_SHARED");

	if (!folder || !*folder)
		folder = "../shared";
	if (access(folder, F_OK) != 0)
		SKIP("needs ../shared/%s", file);
	int n = snprintf(buffer, size, "%s/%s", folder, file);
	if (n < 0 || (size_t)n >= size || access(buffer, R_OK) != 0)
		fail_msg("%s/%s: not there", folder, file);
	return buffer;
}

#endif
