/*
 * Fuzz targets: a program each, that hands any bytes to one parser of the library. Each tests/fuzz/NAME.c defines
 *
 *	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
 *
 * which must return, whatever the bytes are; what it finds broken ends in abort(). `make fuzz` links the targets with
 * libFuzzer, `make check` with replay.c, which runs them over the seeds and every input that once broke something.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <adtool/error.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer calls these. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The path of a file with these bytes; the same path every time. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* A result and its error must agree: 0, or one of the codes and a message. */
void fuzz_check(int code, const adtool_error *err);

#define FUZZ_ASSERT(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                  \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
