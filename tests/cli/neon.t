#!/bin/sh
# The NEON kernels, built for AArch64 and run under an emulator (natively there, tests/unit/test_kernels does it).
. "${0%/*}/lib.sh"

need aarch64-linux-gnu-gcc
need qemu-aarch64

cd "$ROOT" || exit 1
run aarch64-linux-gnu-gcc -std=c11 -O2 -static -D_GNU_SOURCE -include lib/base/banned.h -DAD_ROOM_scalar=1 \
	-DAD_ROOM_neon=1 -Iinclude -ffp-contract=off -o "$TMP/kernels" tests/neon/kernels.c tests/unit/kernel_check.c \
	lib/kernel/dispatch.c lib/kernel/scalar/kernels.c lib/kernel/neon/kernels.c lib/base/fail.c lib/base/mem.c -lm
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
