/*
 * How much is read before it is refused: what any file, archive or model may ask for, whatever it claims. All limits
 * and their defaults stand here. A refusal is ADTOOL_ELIMIT; its message says the limit, and by which option the
 * commands set it.
 */
#ifndef ADTOOL_LIMITS_H
#define ADTOOL_LIMITS_H

#include <stdint.h>

#include <adtool/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The defaults; 0 in what takes a limit means them. A limit on pixels that is the default means the other one with
 * tiles, too.
 */
#define ADTOOL_MAX_PIXELS_DEFAULT 178956970u                  /* of a picture: half a gigabyte of them */
#define ADTOOL_MAX_PIXELS_TILED_DEFAULT (1u << 30)            /* of one in tiles that need not be in memory whole */
#define ADTOOL_MAX_FILE_BYTES_DEFAULT ((uint64_t)1 << 30)     /* of a picture's file, or a member of an archive */
#define ADTOOL_MAX_MEMBERS_DEFAULT ((uint64_t)1000000)        /* of an archive */
#define ADTOOL_MAX_UNPACKED_BYTES_DEFAULT ((uint64_t)1 << 40) /* of an archive, in all */
#define ADTOOL_MAX_RATIO_DEFAULT 1000u                        /* of an archive, unpacked to packed, past 64 MiB */
#define ADTOOL_MAX_DEPTH_DEFAULT 64u                          /* folders below an input */
#define ADTOOL_MAX_MODEL_BYTES_DEFAULT ((uint64_t)0xfffffffe) /* of a model or backbone; a zip file can have no more */
#define ADTOOL_MAX_NODES_DEFAULT 65536u                       /* of a backbone's graph; also the most there can be */

typedef struct adtool_limits {
	uint64_t pixels, file_bytes, members, unpacked_bytes;
	unsigned ratio, depth;
	uint64_t model_bytes;
	unsigned nodes;
} adtool_limits;

/* An initializer with the defaults, and what fills them in. */
#define ADTOOL_LIMITS_DEFAULT                                                                                          \
	{                                                                                                              \
		ADTOOL_MAX_PIXELS_DEFAULT, ADTOOL_MAX_FILE_BYTES_DEFAULT, ADTOOL_MAX_MEMBERS_DEFAULT,                  \
		    ADTOOL_MAX_UNPACKED_BYTES_DEFAULT, ADTOOL_MAX_RATIO_DEFAULT, ADTOOL_MAX_DEPTH_DEFAULT,             \
		    ADTOOL_MAX_MODEL_BYTES_DEFAULT, ADTOOL_MAX_NODES_DEFAULT                                           \
	}
ADTOOL_API void adtool_limits_init(adtool_limits *limits);

/* ADTOOL_ELIMIT when the file, of a model or a backbone, is larger than allowed. What is not there is no matter. */
ADTOOL_API int adtool_limits_check_model(const adtool_limits *limits, const char *path, adtool_error *err);

#ifdef __cplusplus
}
#endif
#endif
