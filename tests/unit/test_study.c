/* Studies through the API: what they refuse before they read anything. */
#include <adtool/study.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const adtool_backbone *const backbones[] = {NULL};
static const unsigned sizes[][2] = {{32, 32}}, grids[] = {2};
static const double energies[] = {0.9};
static const enum adtool_aggregate aggregates[] = {ADTOOL_MAX};

static void tune_refuses(void (*spoil)(adtool_tune_options *), const char *why)
{
	static adtool_tune_result untouched, *result;
	adtool_tune_options o;
	adtool_error err;

	adtool_tune_options_init(&o);
	o.backbones = backbones;
	o.sizes = sizes;
	o.grids = grids;
	o.energies = energies;
	o.aggregates = aggregates;
	o.backbone_count = o.size_count = o.grid_count = o.energy_count = o.aggregate_count = 1;
	spoil(&o);
	result = &untouched;
	assert_int_equal(adtool_tune(&o, NULL, 0, NULL, 0, NULL, 0, NULL, &result, &err), ADTOOL_EINVAL);
	assert_ptr_equal(result, &untouched);
	if (!strstr(err.message, why))
		fail_msg("'%s' is not in '%s'", why, err.message);
}

static void no_grid(adtool_tune_options *o)
{
	o->grid_count = 0;
}

static void ppca(adtool_tune_options *o)
{
	o->train.method = ADTOOL_PPCA;
}

static void int8(adtool_tune_options *o)
{
	o->train.precision = ADTOOL_INT8;
}

static void bf16(adtool_tune_options *o)
{
	o->train.precision = ADTOOL_BF16;
}

static void one_fold(adtool_tune_options *o)
{
	o->folds = 1;
}

static void no_repeat(adtool_tune_options *o)
{
	o->repeats = 0;
}

static void tuning(void **state)
{
	(void)state;
	tune_refuses(no_grid, "nothing to try");
	tune_refuses(ppca, "only the method fre");
	tune_refuses(int8, "float32 only");
	tune_refuses(bf16, "float32 only");
	tune_refuses(one_fold, "1 folds");
	tune_refuses(no_repeat, "0 repeats");
}

static void cross_validation(void **state)
{
	static const struct {
		unsigned folds;
		enum adtool_precision precision;
		const char *why;
	} wrong[] = {
		{5, ADTOOL_INT8, "float32 only"},
		{5, ADTOOL_BF16, "float32 only"},
		{1, ADTOOL_FLOAT32, "1 fold;"},
		{0, ADTOOL_FLOAT32, "0 folds;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		adtool_crossval_options o;
		adtool_train_options train;
		adtool_error err;

		adtool_crossval_options_init(&o);
		adtool_train_options_init(&train);
		train.precision = wrong[i].precision;
		o.folds = wrong[i].folds;
		o.train = &train;
		assert_int_equal(adtool_cross_validate(NULL, NULL, 0, NULL, 0, NULL, &o, NULL, &err), ADTOOL_EINVAL);
		if (!strstr(err.message, wrong[i].why))
			fail_msg("'%s' is not in '%s'", wrong[i].why, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tuning),
		cmocka_unit_test(cross_validation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
