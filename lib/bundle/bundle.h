/*
 * The bundle room: model.zip <-> checked members. Format: adtool-bundle(5).
 */
#ifndef AD_BUNDLE_H
#define AD_BUNDLE_H

#include <adtool/error.h>
#include <adtool/model.h>

#include "../base/npy.h"

#define AD_BUNDLE_FORMAT 1

/*
 * What a bundle holds beside the manifest. When reading, every pointer is into the bundle and lives as long as it;
 * the values of each .npy are aligned to 64 bytes. When writing, the caller owns all. Absent members have data NULL
 * (channels and channels_mean, stats and stats_names come together or not at all; with k = 0 components and variances
 * may be absent too).
 */
typedef struct ad_bundle_parts {
	const void *onnx;        /* backbone.onnx, cut at the layer */
	size_t onnx_size;
	ad_npy channels;         /* c x C float32; absent when all channels are kept, and for ppca */
	ad_npy channels_mean;    /* C float32 */
	ad_npy mean;             /* D, float32 (fre) or float64 (ppca) */
	ad_npy components;       /* k x D, as mean */
	ad_npy variances;        /* k, as mean */
	ad_npy calibration;      /* n float64, ascending */
	const char *ranges_names; /* int8: tensors, one to a line, each ended; */
	size_t ranges_names_size;
	ad_npy ranges;           /* and the low and high of each: n x 2 float32 */
	ad_npy selftest;         /* 1 float64: the score of the built-in picture */
	ad_npy stats;            /* N x C x g x g float32: the pooled maps; when reading: see ad_bundle_stats_load */
	const void *mask;        /* a picture file; absent without a mask */
	size_t mask_size;
	const char *stats_names; /* whose maps: text */
	size_t stats_names_size;
} ad_bundle_parts;

typedef struct ad_bundle ad_bundle;

/*
 * Opens and checks everything: zip structure, no unknown / duplicate / missing member, format version, each member's
 * XXH3 digest from the manifest, shapes against the manifest, finiteness. Messages name the member and leave the path
 * to the caller. The file stays mapped: it must not be cut short in place while the bundle is open (renaming another
 * over it is safe). A member that another tool has deflated is unpacked into memory, never more than its shape asks
 * for.
 * ADTOOL_EUNSUPPORTED: made by a newer adtool, or packed in a way that is not read.
 * A bundle is immutable and may be shared between threads.
 */
int ad_bundle_open(const char *path, ad_bundle **out, adtool_error *err);
const adtool_model_info *ad_bundle_info(const ad_bundle *b);
const ad_bundle_parts *ad_bundle_parts_of(const ad_bundle *b);
const char *ad_bundle_manifest(const ad_bundle *b); /* JSON text */
const char *ad_bundle_digest(const ad_bundle *b);   /* XXH3 hex of the manifest: identifies the model */
/* Compares every member's SHA-256 with the manifest. */
int ad_bundle_check_sha256(const ad_bundle *b, adtool_error *err);
/*
 * The maps of the pictures that the model was made from, if the bundle keeps them. They are not needed for scoring, so
 * ad_bundle_open checks their sizes only; here their digests, shapes and values are. The pointers are into the bundle,
 * or into *out.
 */
typedef struct ad_bundle_stats {
	ad_npy maps; /* N x C x g x g float32 */
	const char *names;
	size_t names_size;
	void *owned[3];
} ad_bundle_stats;
int ad_bundle_has_stats(const ad_bundle *b);
int ad_bundle_stats_load(const ad_bundle *b, ad_bundle_stats *out, adtool_error *err);
void ad_bundle_stats_release(ad_bundle_stats *stats); /* harmless on a zeroed one */

void ad_bundle_free(ad_bundle *b);

/*
 * Whether path holds an adtool model (a zip file with its manifest), of whatever version, members damaged or not: 1,
 * or 0. Reads the manifest only.
 */
int ad_bundle_is_one(const char *path);

/*
 * Writes atomically. The same info and parts give the same bytes. *size, if not NULL, receives the file's size.
 * Times are 1980-01-01 unless SOURCE_DATE_EPOCH is set. What ad_bundle_open would refuse is not written
 * (ADTOOL_EINVAL); info->format_version is not looked at. When writing fails, the file that was there stays as it was.
 * Where a limit on file sizes is set (RLIMIT_FSIZE), the program must ignore SIGXFSZ to get an error instead of the
 * signal.
 */
int ad_bundle_write(const char *path, const adtool_model_info *info, const ad_bundle_parts *parts,
                    uint64_t *size, adtool_error *err);

#endif
