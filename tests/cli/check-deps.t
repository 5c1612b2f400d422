#!/bin/sh
# check-deps finds what it is there to find.
. "${0%/*}/lib.sh"

mkdir -p include/adtool lib/base lib/pipeline lib/image lib/net lib/bundle lib/kernel/avx2 cli examples
echo '#include <stdint.h>' >include/adtool/image.h
printf '#include <adtool/image.h>\n#include "cli.h"\n' >cli/adtool.c
: >cli/cli.h
printf '#include "../base/mem.h"\n#include "image.h"\n#  include <png.h>\n' >lib/image/png.c
printf '#include "../base/mem.h"\n#include "onnx.pb-c.h"\n#include "../kernel/kernel.h"\n' >lib/net/onnx.c
printf '#include "../kernel.h"\n#include "../../base/mem.h"\n#include <immintrin.h>\n' >lib/kernel/avx2/gemm.c
printf '#include "../net/net.h"\n#include "../image/image.h"\n' >lib/pipeline/train.c
printf '#include "../base/mem.h"\n' >lib/bundle/bundle.c

run sh "$ROOT/tests/check-deps.sh" .
exits 'a tree in order passes' 0
out_is 'and says how many includes it read' 'check-deps: 15 includes, all point down'

# violation NAME FILE INCLUDE PATTERN: with this line added the check names it.
violation() {
	cp "$2" saved
	echo "#include $3" >>"$2"
	_at=$(($(wc -l <"$2")))
	run sh "$ROOT/tests/check-deps.sh" .
	mv saved "$2"
	if [ "$status" = 1 ] && grep -q "^$2:$_at: .*$4" "$OUT"; then
		pass "$1"
	else
		fail "$1"
		diag <"$OUT"
	fi
}
violation 'a sibling' lib/image/png.c '"../net/net.h"' 'image may not include net'
violation 'a room from base' lib/kernel/avx2/gemm.c '"../../image/image.h"' 'kernel may not include image'
violation 'the library from the command line' cli/adtool.c '"../lib/base/mem.h"' 'cli may not include base'
violation 'a kernel from the bundle room' lib/bundle/bundle.c '"../kernel/kernel.h"' 'bundle may not include kernel'
violation 'the pipeline from below' lib/net/onnx.c '"../pipeline.h"' 'net may not include pipeline'
violation 'a library outside its room' lib/net/onnx.c '<png.h>' 'belongs to image, not to net'
violation 'a library nobody has a room for' lib/net/onnx.c '<curl/curl.h>' 'does not know'
violation 'the public API from the kernels' lib/kernel/avx2/gemm.c '<adtool/image.h>' 'only <adtool/error.h>'
violation 'a quoted public header' include/adtool/image.h '"error.h"' 'include each other as'
violation 'generated code outside its room' cli/adtool.c '"onnx.pb-c.h"' 'belongs to net'

mkdir lib/extra
echo '#include <stdio.h>' >lib/extra/x.c
run sh "$ROOT/tests/check-deps.sh" .
exits 'a room the design does not have' 1

run sh "$ROOT/tests/check-deps.sh" "$ROOT"
exits 'adtool itself is in order' 0
done_testing
