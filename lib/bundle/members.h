/* The members of a bundle: their names, the shapes the manifest asks of them, and what their values must be. */
#ifndef AD_MEMBERS_H
#define AD_MEMBERS_H

#include <adtool/limits.h>

#include "bundle.h"

/* In the order in which they stand in the file. */
enum ad_member {
	AD_MEMBER_MANIFEST,
	AD_MEMBER_ONNX,
	AD_MEMBER_MASK,
	AD_MEMBER_RANGES_NAMES,
	AD_MEMBER_CHANNELS,
	AD_MEMBER_CHANNELS_MEAN,
	AD_MEMBER_MEAN,
	AD_MEMBER_COMPONENTS,
	AD_MEMBER_VARIANCES,
	AD_MEMBER_CALIBRATION,
	AD_MEMBER_SELFTEST,
	AD_MEMBER_RANGES,
	AD_MEMBER_STATS,
	AD_MEMBER_STATS_NAMES,
	AD_MEMBERS
};
#define AD_MEMBER_FIRST_NPY AD_MEMBER_CHANNELS
/* These are read only when asked for: see ad_bundle_stats_load. */
#define AD_MEMBER_FIRST_LAZY AD_MEMBER_STATS

extern const char *const ad_member_names[AD_MEMBERS];

/* Limits, bytes. A zip file without zip64 has less than 4 GiB. */
#define AD_BUNDLE_MAX_BYTES ((uint32_t)ADTOOL_MAX_MODEL_BYTES_DEFAULT)
#define AD_BUNDLE_MAX_MANIFEST (1u << 20)
#define AD_BUNDLE_MAX_ONNX (1u << 31)
#define AD_BUNDLE_MAX_MASK (1u << 26)
#define AD_BUNDLE_MAX_NAMES (1u << 26) /* of the ranges */

/* Whether the member is a .npy file. */
int ad_member_is_npy(enum ad_member m);

/* The .npy member m (>= AD_MEMBER_FIRST_NPY) of parts. */
ad_npy *ad_member_npy(ad_bundle_parts *parts, enum ad_member m);

/* item_size, ndim, shape and count that info asks of the .npy member m; data is NULL. */
ad_npy ad_member_expected(const adtool_model_info *info, enum ad_member m);

/* Whether a model of this info has the member: 1, 0, or -1 when it may (the channels, the stats). */
int ad_member_needed(const adtool_model_info *info, enum ad_member m);

/* That the fields of info agree with each other and lie in their ranges. Fails with `code`. */
int ad_info_check(const adtool_model_info *info, int code, adtool_error *err);

/* That text is lines, none empty, none with a NUL; what they say is the net's to check. Fails with `code`. */
int ad_ranges_names_check(const char *text, size_t size, int code, adtool_error *err);

/* That npy, the member m, has the shape info asks for and values a model can have. Fails with `code`. */
int ad_member_check(const adtool_model_info *info, enum ad_member m, const ad_npy *npy, int code, adtool_error *err);

#endif
