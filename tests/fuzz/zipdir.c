/* zipdir: the directory of a model's zip file. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/bundle/members.h"
#include "../../lib/bundle/zipdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ad_zip_member members[AD_MEMBERS];
	adtool_error err = {0};
	char unknown[80];
	int code = ad_zip_index(data, size, ad_member_names, AD_MEMBERS, members, unknown, &err), m;

	fuzz_check(code, &err);
	for (m = 0; !code && m < AD_MEMBERS; m++)
		if (members[m].data)
			FUZZ_ASSERT(members[m].data >= data && members[m].packed <= size &&
				    members[m].data + members[m].packed <= data + size);
	return 0;
}
