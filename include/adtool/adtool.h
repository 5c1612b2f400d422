/* Everything: #include <adtool/adtool.h>, link with -ladtool (pkg-config adtool). */
#ifndef ADTOOL_H
#define ADTOOL_H

#include <adtool/backbone.h>
#include <adtool/dataset.h>
#include <adtool/drift.h>
#include <adtool/error.h>
#include <adtool/geometry.h>
#include <adtool/image.h>
#include <adtool/limits.h>
#include <adtool/metrics.h>
#include <adtool/model.h>
#include <adtool/page.h>
#include <adtool/pipeline.h>
#include <adtool/region.h>
#include <adtool/report.h>
#include <adtool/sandbox.h>
#include <adtool/study.h>
#include <adtool/threshold.h>
#include <adtool/version.h>

#endif
