/* What the bodies for floats (body.h) and for 8 bits (int8.h) share. */
#ifndef AD_SIMD_COMMON_H
#define AD_SIMD_COMMON_H

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))
/* i = 0 .. n - 1, unrolled. */
#define EACH(i, n) _Pragma("GCC unroll 36") for (size_t i = 0; i < (n); i++)

/* X(1, R) .. X(N, R), N being what a macro stands for. */
#define TILES_0(X, R)
#define TILES_3(X, R) X(1, R) X(2, R) X(3, R)
#define TILES_4(X, R) TILES_3(X, R) X(4, R)
#define TILES_6(X, R) TILES_4(X, R) X(5, R) X(6, R)
#define TILES_7(X, R) TILES_6(X, R) X(7, R)
#define TILES_9(X, R) TILES_7(X, R) X(8, R) X(9, R)
#define TILES_12(X, R) TILES_9(X, R) X(10, R) X(11, R) X(12, R)
#define TILES_14(X, R) TILES_12(X, R) X(13, R) X(14, R)
#define TILES(N, X, R) TILES_N(N, X, R)
#define TILES_N(N, X, R) TILES_##N(X, R)

/* The taps k0 .. k1-1 of a window along one axis that lie inside, and the first one's input. */
typedef struct taps {
	size_t k0, k1, at;
} taps;

INLINE taps taps_of(size_t out, size_t kernel, size_t stride, size_t dilation, size_t pad, size_t size)
{
	taps t = {0, kernel, 0};
	size_t at = out * stride;

	while (t.k0 < kernel && at + t.k0 * dilation < pad)
		t.k0++;
	while (t.k1 > t.k0 && at + (t.k1 - 1) * dilation >= pad + size)
		t.k1--;
	t.at = at + t.k0 * dilation - pad;
	return t;
}

#endif
