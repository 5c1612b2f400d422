/* Text as JSON has it. */
#ifndef AD_JSON_H
#define AD_JSON_H

#include "buf.h"

/*
 * The length of the well-formed UTF-8 sequence at s (1 .. 4), or minus that of the ill-formed piece there: the
 * longest start of a sequence, or one byte (Unicode 15, section 3.9, table 3-7). s ends in a NUL.
 */
int ad_utf8_length(const uint8_t *s);

/*
 * Appends a JSON string of the bytes, with quotes; each ill-formed piece of UTF-8 becomes U+FFFD. 1 if there was any.
 * Failures show in out->failed.
 */
int ad_json_string(ad_buf *out, const char *bytes);

#endif
