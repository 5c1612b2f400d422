/* What this CPU is. */
#ifndef AD_CPU_H
#define AD_CPU_H

#include "buf.h"

/* Appends a text that is the same for CPUs which compute the same: architecture, model, features. */
void ad_cpu_identity(ad_buf *out);

#endif
