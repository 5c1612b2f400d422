/* Pieces of text that rows are made of. Failures show in out->failed. */
#ifndef AD_REPORT_TEXT_H
#define AD_REPORT_TEXT_H

#include "../base/buf.h"

/* A JSON number, or null for what JSON cannot say. */
void ad_text_json_number(ad_buf *out, double value);
/* Base64 (RFC 4648) with padding. */
void ad_text_base64(ad_buf *out, const void *bytes, size_t size);
/* The bytes with backslash, tab, newline and carriage return escaped. */
void ad_text_tsv(ad_buf *out, const char *bytes);
/* A CSV field, quoted when it must be (RFC 4180). */
void ad_text_csv(ad_buf *out, const char *bytes);
/*
 * Text of HTML, also within quoted attributes: markup is escaped, each ill-formed piece of UTF-8 and each
 * control character becomes U+FFFD.
 */
void ad_text_html(ad_buf *out, const char *bytes);
/* The same, not for attributes: lines may break after slashes. */
void ad_text_html_path(ad_buf *out, const char *bytes);
/* So many decimals, and so many significant digits (%g); with a point, whatever the locale. Not finite: a dash. */
void ad_text_fixed(ad_buf *out, double value, int decimals);
void ad_text_short(ad_buf *out, double value, int digits);

#endif
