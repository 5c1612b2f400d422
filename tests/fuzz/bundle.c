/*
 * bundle: a whole model.zip. Its digests and CRCs are put right first, so that damage reaches what stands behind them.
 */
#include "fuzz.h"

#include <adtool/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/digest.h"
#include "../../lib/bundle/bundle.h"
#include "../../lib/bundle/manifest.h"
#include "../../lib/bundle/zipdir.h"

enum { MOST_SIDE = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* No selftest is remembered. */
	unsetenv("HOME");
	unsetenv("XDG_CACHE_HOME");
	return 0;
}

static void put32(uint8_t *p, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *find(uint8_t *data, size_t size, const char *what, size_t n)
{
	return n ? memmem(data, size, what, n) : NULL;
}

static void repair(uint8_t *data, size_t size)
{
	ad_zip_member members[AD_MEMBERS];
	ad_listed listed[AD_MEMBERS] = {0};
	static adtool_model_info info;
	const ad_zip_member *manifest = &members[AD_MEMBER_MANIFEST];
	char unknown[80], digest[17], old[4];
	uint8_t *text, *at;
	int m;

	if (ad_zip_index(data, size, ad_member_names, AD_MEMBERS, members, unknown, NULL) || !manifest->data ||
	    manifest->method != AD_ZIP_STORED ||
	    ad_manifest_read((const char *)manifest->data, manifest->size, &info, listed, NULL))
		return;
	text = data + (manifest->data - data);
	for (m = AD_MEMBER_ONNX; m < AD_MEMBERS; m++) {
		if (!listed[m].present || !members[m].data || members[m].method != AD_ZIP_STORED)
			continue;
		ad_xxh3_hex(members[m].data, members[m].size, digest);
		at = find(text, manifest->size, listed[m].xxh3, strlen(listed[m].xxh3));
		if (at && strlen(listed[m].xxh3) == 16)
			memcpy(at, digest, 16);
	}
	put32((uint8_t *)old, manifest->crc);
	while ((at = find(data, size, old, 4)) != NULL) {
		uint32_t crc = ad_crc32(manifest->data, manifest->size);

		if (crc == manifest->crc)
			break;
		put32(at, crc);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	adtool_model *model = NULL;
	adtool_error err = {0};
	ad_bundle *bundle = NULL;
	ad_bundle_stats stats;
	const char *path;
	int code, small = 0;

	FUZZ_ASSERT(data);
	if (size)
		memcpy(data, bytes, size);
	repair(data, size);
	path = fuzz_file(data, size);
	free(data);
	ad_bundle_is_one(path);
	code = ad_bundle_open(path, &bundle, &err);
	fuzz_check(code, &err);
	if (!code) {
		const adtool_model_info *info = ad_bundle_info(bundle);

		small = info->width <= MOST_SIDE && info->height <= MOST_SIDE;
		code = ad_bundle_check_sha256(bundle, &err);
		fuzz_check(code, &err);
		code = ad_bundle_stats_load(bundle, &stats, &err);
		fuzz_check(code, &err);
		if (!code)
			ad_bundle_stats_release(&stats);
		ad_bundle_free(bundle);
	}
	if (small) {
		code = adtool_model_open(path, &model, &err);
		fuzz_check(code, &err);
		if (!code)
			adtool_model_free(model);
	}
	return 0;
}
