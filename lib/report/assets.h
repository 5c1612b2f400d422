/* Style and script of report pages: NUL-terminated text. */
#ifndef AD_REPORT_ASSETS_H
#define AD_REPORT_ASSETS_H

extern const char ad_page_css[], ad_page_js[];

#endif
