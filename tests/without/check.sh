#!/bin/sh
# check.sh FULL BUILD FORMAT...: a build without these formats (WITHOUT= of the Makefile) says so, refuses a picture of such
# a kind in one clear message, and reads the others, which the full build drew.
set -eu
full=$1
build=$2
shift 2
work=$(mktemp -d "${TMPDIR:-/tmp}/adtool-without.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$(cd "${0%/*}/../.." && pwd)
PATH=$build/bin:$build/examples:$PATH
HOME=$work XDG_CACHE_HOME=$work/cache
export PATH HOME XDG_CACHE_HOME
unset ADTOOL_MODEL SOURCE_DATE_EPOCH
cd "$work"
failed=0
wrong() {
	echo "check-without: without $left_out: $*" >&2
	failed=1
}

left_out=$*
mkdir drawn
"$full/tests/tools/draw_formats" drawn
draw_samples set --train 12 --normal 1 --each 0 --size 32 >/dev/null
adtool train -q set/train/normal -o model.zip
adtool --version -v >version
# Its name for WITHOUT, and for people; a picture; what it needs.
while IFS=: read -r format name picture library; do
	[ -e "drawn/$picture" ] || wrong "the full build draws no $picture"
	status=0
	adtool score -q "drawn/$picture" >row 2>message || status=$?
	case " $left_out " in
	*" $format "*)
		grep -q "^format $name  *not in this build\$" version || wrong "--version -v does not say so of $name"
		if [ "$format" = icc ]; then
			[ $status = 0 ] || wrong "a picture with a profile: status $status"
		else
			[ $status = 2 ] && cut -f 4 row | grep -qx error || wrong "$picture: status $status, $(cat row)"
			echo "adtool: drawn/$picture: $name, which this adtool was built without (it needs $library)" |
				cmp -s - message || wrong "$picture: $(cat message)"
		fi
		;;
	*)
		grep -q "^format $name  *lib\|^format $name  *[gl][a-z]*[0-9]*\$" version || wrong "--version -v lacks $name"
		[ $status = 0 ] && [ ! -s message ] || wrong "$picture: status $status: $(cat message)"
		;;
	esac
done <<'END'
tiff:TIFF:rgb.tif:libtiff
webp:WebP:lossy.webp:libwebp
gif:GIF:plain.gif:giflib
heif:HEIC:rgb.heic:libheif
heif:AVIF:rgb.avif:libheif
jxl:JPEG XL:lossy.jxl:libjxl
icc:ICC profile:p3.jpg:lcms2
END
cd "$root"
ADTOOL_BUILD=$build "$build/tests/test_formats" >"$work/unit" 2>&1 || { cat "$work/unit"; wrong 'test_formats fails'; }
[ $failed = 1 ] || echo "check-without: without $left_out: as it should be"
exit $failed
