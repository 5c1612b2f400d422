#!/bin/sh
# The test library itself: what it lets pass, what it does not, and what it leaves behind.
. "${0%/*}/lib.sh"

# script NAME: a script beside a copy of the library, run with no folder of material.
mkdir -p tests/cli/inner include/adtool build/bin
cp "$ROOT/tests/cli/lib.sh" tests/cli/
cp "$ROOT/include/adtool/version.h" include/adtool/
script() {
	{
		echo '. "${0%/*}/lib.sh"'
		cat
	} >tests/cli/inner.t
	run env -u ADTOOL_BUILD ADTOOL_SHARED="${shared-$TMP/none}" TMPDIR="$TMP/tmp" ADTOOL_UPDATE="${update-}" \
		sh tests/cli/inner.t
}
mkdir tmp

script <<'EOF'
ok 'ok' true
not_ok 'not_ok' false
is 'is' a a
isnt 'isnt' a b
like 'like' 'a
bc' '^b'
unlike 'unlike' abc x
num 'num' 1e-3 '<' 0.002
run sh -c 'echo out; echo err >&2; exit 3'
exits 'exits' 3
out_is 'out_is' out
err_is 'err_is' err
out_like 'out_like' 'o.t'
err_unlike 'err_unlike' 'o.t'
lines 'lines' 1
run true
out_is 'nothing' ''
skip 2 'no wings'
done_testing
EOF
exits 'a script of passing checks passes' 0
out_like 'it gives its plan' '^1\.\.16$'
lines 'one line a test, and the plan' 17
out_like 'skips carry their reason' '^ok 16 # SKIP no wings$'
out_unlike 'nothing fails' '^not ok'

script <<'EOF'
ok 'ok' false
not_ok 'not_ok' true
is 'is' a b
isnt 'isnt' a a
like 'like' abc x
unlike 'unlike' abc b
num 'num' nan '<' 1
num 'num' 2 '<' 1
run sh -c 'echo out; exit 3'
exits 'exits' 0
out_is 'out_is' ''
err_is 'err_is' err
out_like 'out_like' x
out_unlike 'out_unlike' o
lines 'lines' 2
run_expect missing 3 echo something
have_shared x || skip 1 'needs ../shared/x'
done_testing
EOF
exits 'a script of failing checks fails' 1
is 'every one of them' "$(grep -c '^not ok' "$OUT")" 15
out_like 'the reason is shown' '^# got:    a$'

shared=$TMP
script <<'EOF'
skip 1 'needs ../shared/x'
done_testing
EOF
out_like 'a skip for want of shared fails when it is there' '^not ok 1'
unset shared

script <<'EOF'
need_shared x
pass unreachable
EOF
exits 'without it the script is skipped' 0
out_is 'with the reason' '1..0 # SKIP needs ../shared/x'

script <<'EOF'
pass one
exit 0
EOF
exits 'ending early is a failure' 1

update=1
script <<'EOF'
run_expect both 2 sh -c 'echo "$1/x"; echo oops >&2; exit 2' - "$TMP"
done_testing
EOF
is 'ADTOOL_UPDATE writes what was printed' "$(cat tests/cli/inner/both.out tests/cli/inner/both.err)" '@TMP@/x
oops'
unset update
script <<'EOF'
run_expect both 2 sh -c 'echo "$1/x"; echo oops >&2; exit 2' - "$TMP"
run_expect both 2 sh -c 'echo "$1/x"; echo OOPS >&2; exit 2' - "$TMP"
done_testing
EOF
out_like 'run_expect holds output against the files' '^ok 1 - both'
out_like 'and shows the difference' '^# \+OOPS'
is 'nothing is left behind' "$(ls tmp)" ''
done_testing
