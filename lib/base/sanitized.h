/*
 * AD_SANITIZED: 1 in a build whose sanitizer needs what a confined process has not: files to report to, and to trace
 * itself.
 */
#ifndef AD_SANITIZED_H
#define AD_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define AD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define AD_SANITIZED 1
#endif
#endif
#ifndef AD_SANITIZED
#define AD_SANITIZED 0
#endif

#endif
