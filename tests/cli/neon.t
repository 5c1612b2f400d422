#!/bin/sh
# The NEON kernels, built for AArch64 and run under an emulator (natively there, tests/unit/test_kernels does it).
. "${0%/*}/lib.sh"

need aarch64-linux-gnu-gcc
need qemu-aarch64

cd "$ROOT" || exit 1
flags="-std=c11 -O2 -D_GNU_SOURCE -include lib/base/banned.h -DAD_ROOM_scalar=1 -DAD_ROOM_neon=1 -DAD_ROOM_neondot=1
	-Iinclude -ffp-contract=off"
# Only its own room has what not every AArch64 can do.
run aarch64-linux-gnu-gcc $flags -march=armv8.2-a+dotprod -c -o "$TMP/neondot.o" lib/kernel/neondot/int8.c
exits 'the room of the dot product is built' 0
run aarch64-linux-gnu-gcc $flags -static -o "$TMP/kernels" tests/neon/kernels.c tests/unit/kernel_check.c \
	tests/unit/int8_check.c lib/kernel/dispatch.c lib/kernel/int8.c lib/kernel/scalar/kernels.c lib/kernel/scalar/int8.c \
	lib/kernel/neon/kernels.c lib/kernel/neon/int8.c "$TMP/neondot.o" lib/base/fail.c lib/base/half.c lib/base/mem.c -lm
exits 'the kernels are built for AArch64' 0
run qemu-aarch64 "$TMP/kernels"
exits 'and run' 0
while read -r line; do
	case $line in
	*'SKIP not for this'*) ;;
	'not ok '*) fail "${line#not ok * - }" ;;
	'ok '*) pass "${line#ok * - }" ;;
	'# '*) echo "$line" | diag ;;
	esac
done <"$OUT"
done_testing
