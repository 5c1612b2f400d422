/* json: any text as a JSON string, which a JSON parser must take. */
#include "fuzz.h"

#include <adtool/report.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *quoted;
	adtool_error err = {0};
	json_t *json;

	FUZZ_ASSERT(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	FUZZ_ASSERT(!adtool_json_string(text, &quoted, &err));
	json = json_loads(quoted, JSON_DECODE_ANY, NULL);
	FUZZ_ASSERT(json_is_string(json));
	json_decref(json);
	adtool_free(quoted);
	free(text);
	return 0;
}
