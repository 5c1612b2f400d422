/* The version of adtool. It stands here once; everything else reads it here. */
#ifndef ADTOOL_VERSION_H
#define ADTOOL_VERSION_H

#define ADTOOL_VERSION_MAJOR 0
#define ADTOOL_VERSION_MINOR 1
#define ADTOOL_VERSION_PATCH 0

#endif
