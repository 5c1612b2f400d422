#!/bin/sh
# How programs and the library are built: position-independent, relocations read-only, no executable stack, stacks
# guarded, calls of the C library checked.
. "${0%/*}/lib.sh"
need readelf
[ "$BUILD" = "$ROOT/build" ] || plan_skip 'sanitizers take the place of these'

for file in "$BUILD"/bin/adtool* "$BUILD"/lib/libadtool.so; do
	name=${file##*/}
	readelf -W -h -l -d --dyn-syms "$file" >elf 2>/dev/null
	like "$name: position-independent" "$(grep '^ *Type:' elf)" 'DYN'
	like "$name: read-only relocations" "$(grep 'GNU_RELRO' elf)" RELRO
	like "$name: bound at start" "$(grep -E 'BIND_NOW|FLAGS' elf)" 'BIND_NOW|NOW'
	unlike "$name: no executable stack" "$(grep GNU_STACK elf)" 'RWE'
	like "$name: says so" "$(cat elf)" GNU_STACK
	unlike "$name: nothing writable and executable" "$(grep LOAD elf)" 'RWE'
	unlike "$name: no folder of the build is searched" "$(grep -E 'RPATH|RUNPATH' elf)" .
done
for file in "$BUILD/bin/adtool-score" "$BUILD/lib/libadtool.so"; do
	readelf -W --dyn-syms "$file" >elf
	like "${file##*/}: stacks are guarded" "$(cat elf)" '__stack_chk_fail'
	like "${file##*/}: calls are checked" "$(cat elf)" '__[a-z]*_chk'
done
# It starts every command, so it loads nothing that it would only lose again.
is 'adtool itself needs the C library alone' "$(readelf -W -d "$BUILD/bin/adtool" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')" \
	"$(readelf -W -d "$BUILD/bin/adtool-score" | sed -n 's/.*(NEEDED).*\[\(libc\..*\)\]/\1/p')"
done_testing
