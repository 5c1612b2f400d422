/* Alone, as every row names its rule, also in programs that read no manifest. */
#include "manifest.h"

const char *const ad_rule_words[] = {[ADTOOL_RULE_CONFORMAL] = "conformal",
				     [ADTOOL_RULE_EXTRAPOLATED] = "extrapolated",
				     [ADTOOL_RULE_VALUE] = "value",
				     [ADTOOL_RULE_QUANTILE] = "quantile",
				     [ADTOOL_RULE_TAIL] = "tail",
				     [ADTOOL_RULE_TPR] = "tpr",
				     [ADTOOL_RULE_F1] = "f1",
				     [ADTOOL_RULE_COST] = "cost",
				     NULL};

const char *adtool_rule_name(enum adtool_rule rule)
{
	return rule == ADTOOL_RULE_FDR ? "fdr" : ad_rule_words[rule];
}
