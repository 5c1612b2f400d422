# TAP for the tests of the command line. A test is a POSIX shell script tests/cli/NAME.t:
#
#	#!/bin/sh
#	. "${0%/*}/lib.sh"
#
#	draw set --train 12 --normal 4 --each 1         # sample pictures: set/train/normal, set/test/...
#	run adtool train set/train/normal -o m.zip
#	exits 'train succeeds' 0
#	out_like 'it says how many pictures it used' '12 pictures'
#	run_expect no-model 128 adtool score -m gone.zip set/test
#	done_testing
#
# The script runs in a folder of its own that is removed at the end (ADTOOL_KEEP=1 keeps it), with the programs of
# this build and its examples first on PATH, no input, LC_ALL=C, an empty HOME, and none of adtool's variables
# set. The test's name always comes first, so that a command can follow it.
#
# Variables for scripts:
#	ROOT     the project's folder (absolute)
#	BUILD    the build under test (absolute): $BUILD/bin, $BUILD/examples, $BUILD/tests/tools, $BUILD/lib
#	HERE     tests/cli/NAME: the expected-output files, and whatever else belongs to the script
#	TMP      the script's own folder, where it starts
#	SHARED   the optional folder of material (see need_shared)
#	status, OUT, ERR    exit status of the last `run`, and the files with its stdout and stderr

set -u
LC_ALL=C
TZ=UTC
export LC_ALL TZ
unset CDPATH

_dir=$(cd "${0%/*}" && pwd -P) || exit 1
_script=${0##*/}
_script=${_script%.t}
ROOT=${_dir%/tests/*}
HERE=$_dir/$_script
BUILD=${ADTOOL_BUILD:-$ROOT/build}
case $BUILD in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
SHARED=${ADTOOL_SHARED:-$ROOT/../shared}
case $SHARED in
/*) ;;
*) SHARED=$ROOT/$SHARED ;;
esac
PATH=$BUILD/bin:$BUILD/examples:$PATH
export PATH

# The user's own settings do not reach the tests.
unset ADTOOL_MODEL ADTOOL_BACKBONES ADTOOL_ISA NO_COLOR SOURCE_DATE_EPOCH XDG_DATA_HOME
TMP=$(mktemp -d "${TMPDIR:-/tmp}/adtool-test.XXXXXX") || exit 1
TMP=$(cd "$TMP" && pwd -P)
chmod 755 "$TMP"
_bin=$(mktemp -d "${TMPDIR:-/tmp}/adtool-test.XXXXXX") || exit 1
HOME=$_bin/home
XDG_CACHE_HOME=$_bin/cache
mkdir "$HOME" "$XDG_CACHE_HOME"
export HOME XDG_CACHE_HOME
OUT=$_bin/out
ERR=$_bin/err
: >"$OUT"
: >"$ERR"
status=0

_clean_up() {
	_last=$?
	trap - EXIT
	cd / || exit 1
	if [ -n "${ADTOOL_KEEP-}" ]; then
		echo "# kept: $TMP"
	else
		chmod -R u+rwX "$TMP" 2>/dev/null
		rm -rf "$TMP"
	fi
	rm -rf "$_bin"
	if [ "$_ended" = 0 ]; then
		echo "# $_script: ended early, with status $_last"
		[ "$_last" != 0 ] || _last=1
	fi
	exit "$_last"
}
_n=0
_failed=0
_planned=0
_ended=0
trap _clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

cd "$TMP" || exit 1
exec </dev/null

# -- plan ----------------------------------------------------------------------------------------------

# plan N: says beforehand how many tests there are. Optional: done_testing counts.
plan() {
	_planned=$1
	echo "1..$1"
}

# plan_skip REASON...: the whole script cannot run here.
plan_skip() {
	_ended=1
	case "$*" in
	*shared*)
		if [ -d "$SHARED" ]; then
			echo "1..1"
			fail "$*"
			exit 1
		fi
		;;
	esac
	echo "1..0 # SKIP $*"
	exit 0
}

# done_testing: the last line of every script.
done_testing() {
	_ended=1
	[ "$_planned" != 0 ] || echo "1..$_n"
	[ "$_planned" = 0 ] || [ "$_planned" = "$_n" ] || exit 1
	[ "$_failed" = 0 ]
	exit $?
}

# -- results -------------------------------------------------------------------------------------------

# Names may not carry what TAP takes for a directive.
_name() { printf '%s' "$*" | tr '\n#' '  '; }

pass() { # NAME
	_n=$((_n + 1))
	echo "ok $_n - $(_name "$*")"
}

fail() { # NAME; explain with diag
	_n=$((_n + 1))
	_failed=$((_failed + 1))
	echo "not ok $_n - $(_name "$*")"
	return 1
}

# diag TEXT... or diag <FILE: comments, shown under a failed test.
diag() {
	if [ $# -gt 0 ]; then
		printf '%s\n' "$*" | sed 's/^/# /'
	else
		sed -e 's/^/# /' | head -n 40
	fi
}

# skip N REASON...: N tests that cannot run here. For want of ../shared it is a failure when that is there.
skip() {
	_count=$1
	shift
	while [ "$_count" -gt 0 ]; do
		_count=$((_count - 1))
		case "$*" in
		*shared*)
			if [ -d "$SHARED" ]; then
				fail "$*"
				continue
			fi
			;;
		esac
		_n=$((_n + 1))
		echo "ok $_n # SKIP $*"
	done
}

# -- what is there -------------------------------------------------------------------------------------

# have_shared PATH: whether $SHARED/PATH is there. With the folder there but not the path, the script fails.
have_shared() {
	[ -e "$SHARED/$1" ] && return 0
	[ -d "$SHARED" ] || return 1
	fail "../shared/$1 is there"
	exit 1
}

# need_shared PATH: skips the whole script without it.
need_shared() { have_shared "$1" || plan_skip "needs ../shared/$1"; }

# have COMMAND, need COMMAND...: programs that are not adtool's own.
have() { command -v "$1" >/dev/null 2>&1; }
need() {
	for _c; do
		have "$_c" || plan_skip "needs $_c"
	done
}

# have_numpy: PYTHON is then a Python with NumPy.
have_numpy() {
	for PYTHON in python3 /usr/bin/python3; do
		"$PYTHON" -c 'import numpy' 2>/dev/null && return 0
	done
	return 1
}

# watched: whether a sanitizer or valgrind is between the programs and the system, with memory and calls of its own. Of
# UndefinedBehaviorSanitizer a program notices nothing.
watched() {
	case $BUILD in
	*/asan | */tsan | */valgrind) return 0 ;;
	esac
	return 1
}

# unprivileged CMD...: as user nobody when root runs the tests, else as is. Status 125 when that cannot be done.
unprivileged() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	elif have setpriv; then
		setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_CACHE_HOME= HOME=/nonexistent "$@"
	else
		return 125
	fi
}

# draw DIR ARGUMENT...: sample pictures (see examples/draw_samples.c).
draw() { draw_samples "$@" >"$_bin/draw" 2>&1 || { diag <"$_bin/draw"; exit 1; }; }

# scene ARGUMENT...: one picture, of any size (see tests/tools/draw_scene.c).
scene() { "$BUILD/tests/tools/draw_scene" "$@" || exit 1; }

# -- waiting for what runs in the background -----------------------------------------------------------

# until_true CMD...: tries for half a minute.
until_true() {
	_tries=0
	while ! "$@"; do
		_tries=$((_tries + 1))
		[ $_tries -lt 300 ] || return 1
		sleep 0.1
	done
}

# For it: has_lines FILE COUNT, at least so many; has_text FILE RE, a line that matches.
has_lines() { [ -e "$1" ] && [ $(($(wc -l <"$1"))) -ge "$2" ]; }
has_text() { grep -q -e "$2" "$1" 2>/dev/null; }

# -- running -------------------------------------------------------------------------------------------

# run CMD...: keeps status, $OUT, $ERR. Input comes by redirection: run adtool score - <list
run() {
	"$@" >"$OUT" 2>"$ERR"
	status=$?
	_ran="$*"
	return 0
}

_show_run() {
	diag "ran: $_ran"
	diag "status: $status"
	[ ! -s "$OUT" ] || { diag 'stdout:' && diag <"$OUT"; }
	[ ! -s "$ERR" ] || { diag 'stderr:' && diag <"$ERR"; }
	return 1
}

# -- checks: each is one test, and returns 0 when it passed --------------------------------------------

# ok NAME CMD...: CMD succeeds. not_ok NAME CMD...: it does not.
ok() {
	_what=$1
	shift
	if "$@" >"$_bin/ok" 2>&1; then
		pass "$_what"
	else
		_s=$?
		fail "$_what"
		diag "status $_s: $*"
		diag <"$_bin/ok"
		return 1
	fi
}
not_ok() {
	_what=$1
	shift
	if "$@" >"$_bin/ok" 2>&1; then
		fail "$_what"
		diag "unexpected success: $*"
		diag <"$_bin/ok"
		return 1
	else
		pass "$_what"
	fi
}

# is NAME GOT WANTED, isnt NAME GOT OTHER: text.
is() {
	[ "$2" = "$3" ] && { pass "$1"; return; }
	fail "$1"
	diag "got:    $2"
	diag "wanted: $3"
	return 1
}
isnt() {
	[ "$2" != "$3" ] && { pass "$1"; return; }
	fail "$1"
	diag "got: $2"
	return 1
}

# like NAME GOT ERE, unlike NAME GOT ERE: some line of GOT matches, or none does.
like() {
	printf '%s\n' "$2" | grep -E -q -e "$3" && { pass "$1"; return; }
	fail "$1"
	diag "no line matches: $3"
	diag "$2"
	return 1
}
unlike() {
	printf '%s\n' "$2" | grep -E -q -e "$3" || { pass "$1"; return; }
	fail "$1"
	diag "a line matches: $3"
	diag "$2"
	return 1
}

# num NAME A OP B: numbers, in decimal or scientific form; OP is one of < <= == >= > !=. NaN fails.
num() {
	awk -v a="$2" -v b="$4" -v op="$3" 'BEGIN {
		n = "^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
		if (a !~ n || b !~ n) exit 1
		a += 0; b += 0
		exit !((op == "<" && a < b) || (op == "<=" && a <= b) || (op == "==" && a == b) ||
			(op == ">=" && a >= b) || (op == ">" && a > b) || (op == "!=" && a != b)) }' </dev/null &&
		{ pass "$1"; return; }
	fail "$1"
	diag "does not hold: $2 $3 $4"
	return 1
}

# same NAME FILE FILE: the same bytes.
same() {
	cmp -s -- "$2" "$3" && { pass "$1"; return; }
	fail "$1"
	diag "$(diff -u -- "$2" "$3" 2>&1 | head -n 30)"
	return 1
}

# Of the last run: exits NAME STATUS; out_is, err_is NAME TEXT ('' for nothing at all); out_like, err_like,
# out_unlike, err_unlike NAME ERE; lines NAME COUNT (of stdout).
exits() { [ "$status" = "$2" ] && { pass "$1"; return; }; fail "$1"; diag "wanted status $2"; _show_run; }
_text() { if [ -n "$3" ]; then printf '%s\n' "$3" | cmp -s - "$1"; else [ ! -s "$1" ]; fi && { pass "$2"; return; }
	fail "$2"; diag "wanted:" && diag "$3"; _show_run; }
out_is() { _text "$OUT" "$@"; }
err_is() { _text "$ERR" "$@"; }
_like() { grep -E -q -e "$3" <"$1" && { pass "$2"; return; }; fail "$2"; diag "no line matches: $3"; _show_run; }
_unlike() { grep -E -q -e "$3" <"$1" || { pass "$2"; return; }; fail "$2"; diag "a line matches: $3"; _show_run; }
out_like() { _like "$OUT" "$@"; }
err_like() { _like "$ERR" "$@"; }
out_unlike() { _unlike "$OUT" "$@"; }
err_unlike() { _unlike "$ERR" "$@"; }
lines() { _l=$(($(wc -l <"$OUT"))); [ "$_l" = "$2" ] && { pass "$1"; return; }
	fail "$1"; diag "wanted $2 lines, got $_l"; _show_run; }

# near NAME X Y DISTANCE: of a row as JSON, the hottest pixel of the first region lies no farther than that from X, Y.
near() {
	_at=$(sed -n '1s/"regions":\[{\([^}]*\)}.*/\1/p' "$OUT" | sed -n 's/.*"peak_at":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/p')
	[ -n "$_at" ] && echo "$_at $2 $3 $4" |
		awk '{ dx = $1 - $3; dy = $2 - $4; exit !(dx * dx + dy * dy <= $5 * $5) }' && { pass "$1"; return; }
	fail "$1"
	diag "the peak is at '$_at', not near $2 $3"
	_show_run
}

# expect_filter: what run_expect sends the output through before comparing; a script may define its own,
# for instance to mask seconds.
expect_filter() { cat; }

# run_expect NAME STATUS CMD...: one test of status, stdout and stderr against tests/cli/SCRIPT/NAME.out and
# NAME.err; a file that is not there stands for no output. @TMP@ stands for the script's folder, @ROOT@ for the
# project's, @VERSION@ for adtool's version. ADTOOL_UPDATE=1 writes the files: read the diff before committing it.
run_expect() {
	_what=$1
	_want=$2
	shift 2
	run "$@"
	_version=$(sed -n 's/^#define ADTOOL_VERSION_[MP][A-Z]* //p' "$ROOT/include/adtool/version.h" | paste -s -d. -)
	_bad=
	for _kind in out err; do
		_from=$OUT
		[ "$_kind" = out ] || _from=$ERR
		sed -e "s|$TMP|@TMP@|g" -e "s|$ROOT|@ROOT@|g" -e "s|$_version|@VERSION@|g" "$_from" |
			expect_filter >"$_bin/got.$_kind"
		if [ -n "${ADTOOL_UPDATE-}" ]; then
			if [ -s "$_bin/got.$_kind" ]; then
				mkdir -p "$HERE" && cp "$_bin/got.$_kind" "$HERE/$_what.$_kind"
			else
				rm -f "$HERE/$_what.$_kind"
			fi
		fi
		_file=$HERE/$_what.$_kind
		[ -e "$_file" ] || _file=/dev/null
		cmp -s "$_file" "$_bin/got.$_kind" || _bad="$_bad $_kind"
	done
	[ "$status" = "$_want" ] || _bad="$_bad status"
	[ -n "$_bad" ] || { pass "$_what"; return; }
	fail "$_what"
	diag "ran: $_ran"
	for _kind in $_bad; do
		if [ "$_kind" = status ]; then
			diag "status $status, wanted $_want"
			[ "$status" = 0 ] || diag <"$ERR"
		else
			_file=$HERE/$_what.$_kind
			[ -e "$_file" ] || _file=/dev/null
			diff -u --label wanted --label "got ($_kind)" "$_file" "$_bin/got.$_kind" | diag
		fi
	done
	return 1
}
