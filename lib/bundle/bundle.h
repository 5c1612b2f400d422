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
 * What a bundle holds beside the manifest. When reading, every pointer is into the bundle and lives as long as it.
 * When writing, the caller owns all. Absent members have data NULL.
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
	ad_npy selftest;         /* 1 float64: the score of the built-in picture */
} ad_bundle_parts;

typedef struct ad_bundle ad_bundle;

/*
 * Opens and checks everything: zip structure, no unknown / duplicate / missing member, format version, each member's
 * XXH3 digest from the manifest, shapes against the manifest, finiteness. Messages name the member.
 */
int ad_bundle_open(const char *path, ad_bundle **out, adtool_error *err);
const adtool_model_info *ad_bundle_info(const ad_bundle *b);
const ad_bundle_parts *ad_bundle_parts_of(const ad_bundle *b);
const char *ad_bundle_manifest(const ad_bundle *b); /* JSON text */
const char *ad_bundle_digest(const ad_bundle *b);   /* XXH3 hex of the manifest: identifies the model */
/* Compares every member's SHA-256 with the manifest. */
int ad_bundle_check_sha256(const ad_bundle *b, adtool_error *err);
void ad_bundle_free(ad_bundle *b);

/* Whether path holds something ad_bundle_open would take for a bundle (a zip with an adtool manifest): 1, or 0. */
int ad_bundle_is_one(const char *path);

/*
 * Writes atomically. The same info and parts give the same bytes. *size, if not NULL, receives the file's size.
 * Times are 1980-01-01 unless SOURCE_DATE_EPOCH is set.
 */
int ad_bundle_write(const char *path, const adtool_model_info *info, const ad_bundle_parts *parts,
                    uint64_t *size, adtool_error *err);

#endif
