/*
 * Errors. Every fallible call returns 0 or one of the negative codes below and
 * fills the caller's adtool_error (which may be NULL) with a message complete
 * enough to print after "adtool: ".
 */
#ifndef ADTOOL_ERROR_H
#define ADTOOL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ADTOOL_API __attribute__((visibility("default")))
#else
#define ADTOOL_API
#endif

enum adtool_code {
	ADTOOL_OK = 0,
	ADTOOL_ENOMEM = -1,       /* out of memory */
	ADTOOL_EIO = -2,          /* the system refused: open, read, write, rename */
	ADTOOL_EFORMAT = -3,      /* the bytes are not what they claim to be */
	ADTOOL_ELIMIT = -4,       /* a stated limit was exceeded */
	ADTOOL_EUNSUPPORTED = -5, /* well-formed, but not something adtool can do */
	ADTOOL_EINVAL = -6,       /* the caller asked for something impossible */
	ADTOOL_ENUMERIC = -7,     /* the numbers do not allow an answer */
	ADTOOL_EEXIST = -8,       /* would overwrite something that is not ours */
	ADTOOL_ECANCELLED = -9    /* a callback asked to stop */
};

/* The message is always NUL-terminated UTF-8 (or the bytes of a file's name). */
typedef struct adtool_error {
	int code;          /* one of adtool_code */
	char message[1024];
} adtool_error;

/* A short English name of a code ("out of memory"); never NULL. */
ADTOOL_API const char *adtool_code_string(int code);

/* "0.1.0"; the version the library was built as. */
ADTOOL_API const char *adtool_version(void);

/* Releases what the library allocated for the caller. Harmless on NULL. */
ADTOOL_API void adtool_free(void *block);

#ifdef __cplusplus
}
#endif
#endif
