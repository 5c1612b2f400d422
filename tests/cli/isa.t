#!/bin/sh
# ADTOOL_ISA forces the kernels; --version -v says which they are.
. "${0%/*}/lib.sh"

run adtool --version -v
exits 'the build tells of itself' 0
out_like 'the kernels in force' '^kernels +[a-z0-9]+$'
out_like 'those of 8 bits' '^int8 kernels +[a-z0-9]+$'
out_like 'those of bfloat16' '^bf16 kernels +(avx512bf16|none, those of floats do it)$'
out_like 'each kernel' '^kernel conv +[a-z0-9]+$'
for isa in scalar avx2 avx512 neon; do
	if adtool --version -v | grep -q "^instruction set $isa *can run"; then
		ADTOOL_ISA=$isa run adtool --version -v
		out_like "$isa is in force when asked for" "^kernels +$isa$"
		ADTOOL_ISA=$isa run adtool backbone check adnet
		exits "adnet runs on $isa" 0
	else
		ADTOOL_ISA=$isa run adtool backbone check adnet
		exits "$isa is refused here" 128
		err_like 'and the reason given' "ADTOOL_ISA=$isa: this CPU or this build cannot run it"
	fi
done
ADTOOL_ISA=sse9 run adtool backbone check adnet
exits 'an unknown one is refused' 128
err_like 'by name' 'ADTOOL_ISA=sse9: no such instruction set'
ADTOOL_ISA=scalar run adtool --version -v
out_like 'whoever asks for less gets no more' '^bf16 kernels +none'
done_testing
