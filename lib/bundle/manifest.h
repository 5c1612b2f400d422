/* manifest.json <-> adtool_model_info. The keys are those of adtool-bundle(5). */
#ifndef AD_MANIFEST_H
#define AD_MANIFEST_H

#include "../base/buf.h"
#include "members.h"

/* What the manifest says of one member. */
typedef struct ad_listed {
	int present;
	uint64_t size;
	char xxh3[17], sha256[65]; /* lower-case hex */
} ad_listed;

/* The threshold rules that a model can have, by enum adtool_rule; ends with NULL. */
extern const char *const ad_rule_words[];

/*
 * Appends the JSON text, keys in a fixed order. The members with listed[m].present are listed. Bytes of strings that
 * are not UTF-8 become U+FFFD. Numbers read back as the same double (float).
 */
int ad_manifest_write(const adtool_model_info *info, const ad_listed listed[AD_MEMBERS], ad_buf *out,
                      adtool_error *err);

/*
 * Reads it back. Unknown keys are ignored; a higher format version is refused (ADTOOL_EUNSUPPORTED). What the values
 * mean together is not checked here.
 */
int ad_manifest_read(const char *text, size_t size, adtool_model_info *info, ad_listed listed[AD_MEMBERS],
                     adtool_error *err);

/* Whether the text is the manifest of an adtool model, of any version. */
int ad_manifest_is_one(const char *text, size_t size);

#endif
