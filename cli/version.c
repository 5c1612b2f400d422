/* What --version prints. */
#include "cli.h"

static void print_build(void *context, const char *name, const char *value)
{
	(void)context;
	cli_print("%-24s %s\n", name, value);
}

static void print_format(void *context, const char *format, const char *library)
{
	char *name = cli_text("format %s", format);

	print_build(context, name, !library ? "not in this build" : *library ? library : "adtool's own");
	free(name);
}

void cli_print_version(void)
{
	cli_print("adtool %s\n", adtool_version());
	if (cli_verbose) {
		adtool_build_info(print_build, NULL);
		adtool_image_formats(print_format, NULL);
	}
}
