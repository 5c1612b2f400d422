#!/bin/sh
# make dist and make deb: the tarball is the same whoever makes it, what is in it builds, and the packages hold a whole
# adtool. Run by `make check-packages`, as it builds everything once more.
. "${0%/*}/../cli/lib.sh"
need make tar gzip

# -- the tarball ---------------------------------------------------------------------------------------

version=$(sed -n 's/^#define ADTOOL_VERSION_[MP][A-Z]* //p' "$ROOT/include/adtool/version.h" | paste -s -d. -)
name=adtool-$version
dist() { # SOURCE BUILD
	run env -u MAKEFLAGS -u MAKELEVEL sh "$1/.ci/dist" "$2" "$version"
}
dist "$ROOT" "$TMP/one"
exits 'dist' 0
out_is 'dist: says what it made' "$TMP/one/$name.tar.gz"
(umask 077 && TZ=Asia/Tokyo sh "$ROOT/.ci/dist" "$TMP/two" "$version" >/dev/null 2>&1)
same 'dist: again, with another umask and zone: the same bytes' "one/$name.tar.gz" "two/$name.tar.gz"
tar -tf "one/$name.tar.gz" >names
is 'dist: one folder' "$(cut -d / -f 1 names | sort -u)" "$name"
is 'dist: nothing that was built' "$(grep -c "^$name/build/\|\.o\$\|/\.git/" names)" 0
(umask 077 && tar -xf "one/$name.tar.gz")
dist "$TMP/$name" "$TMP/three"
exits 'dist, from an unpacked tarball' 0
same 'dist, from an unpacked tarball: the same bytes' "one/$name.tar.gz" "three/$name.tar.gz"
run env SOURCE_DATE_EPOCH=1000000000 sh "$ROOT/.ci/dist" "$TMP/four" "$version"
is 'dist: SOURCE_DATE_EPOCH is the time of all files' \
	"$(TZ=UTC tar --full-time -tvf "four/$name.tar.gz" | awk '{ print $4, $5 }' | sort -u)" '2001-09-09 01:46:40'
ok 'dist: what is unpacked is in order' sh "$name/tests/check-deps.sh"

# -- the packages --------------------------------------------------------------------------------------

if ! have dpkg-buildpackage || ! have dh; then
	skip 30 'needs dpkg-buildpackage and debhelper'
	done_testing
fi
# From the tarball, not from where it was made, so this tells that it builds; with what the build leaves behind.
cd "$name" || exit 1
run env -u MAKEFLAGS -u MAKELEVEL -u ADTOOL_BUILD make deb
cd .. || exit 1
exits 'deb' 0 || done_testing
debs=$name/build/deb
is 'deb: says what it made' "$(sed 's|.*/||; s|_.*||' "$OUT" | grep -v dbgsym | tr '\n' ' ')" 'adtool libadtool-dev libadtool0 '
if have lintian; then
	run lintian -I --allow-root --fail-on error,warning,info "$debs"/adtool_*.changes
	exits 'lintian: nothing to say' 0
	out_is 'lintian: nothing to say' ''
else
	skip 2 'needs lintian'
fi
for p in adtool libadtool0 libadtool-dev; do
	ok "$p unpacks" dpkg -x "$debs/${p}_$version"_*.deb root
done
depends=$(dpkg -f "$debs"/adtool_*.deb Depends)
for library in libzip libarchive liblapacke libopenblas libjpeg libpng libjansson; do
	like "adtool depends on $library" "$depends" "(^|, )$library"
done
like 'libadtool-dev goes with its libadtool0' "$(dpkg -f "$debs"/libadtool-dev_*.deb Depends)" "libadtool0 \\(= $version\\)"
for file in usr/share/man/man1/adtool-watch.1.gz usr/share/bash-completion/completions/adtool \
	usr/share/doc/adtool/examples/adtool-watch@.service usr/share/doc/adtool/copyright; do
	ok "installed: $file" test -s "root/$file"
done

# As a user has it: nothing of the build on PATH.
PATH=$TMP/root/usr/bin:/usr/bin:/bin
is 'it is that one' "$(command -v adtool)" "$TMP/root/usr/bin/adtool"
"$BUILD/examples/draw_samples" d --train 8 --normal 2 --each 1 --size 64 >/dev/null || exit 1
run adtool --version
out_is 'its version' "adtool $version"
run adtool train -q d/train/normal
exits 'train' 0
run adtool score d/test
exits 'score' 0
cp "$OUT" rows
run adtool watch --once --settle 0.1 --state s d/test
same 'watch' "$OUT" rows
run "$BUILD/bin/adtool" score d/test
same 'the same scores as those of the build' "$OUT" rows

# A program linked with the library as packaged.
if have pkg-config && have cc; then
	lib=$(dirname "$(ls root/usr/lib/*/libadtool.so)")
	export PKG_CONFIG_SYSROOT_DIR="$TMP/root" PKG_CONFIG_PATH="$TMP/$lib/pkgconfig"
	ok 'links with the library' sh -c \
		"cc -o score_one root/usr/share/doc/libadtool-dev/examples/score_one.c $(pkg-config --cflags --libs adtool)"
	run env LD_LIBRARY_PATH="$TMP/$lib" ./score_one model.zip d/test/normal/000.png
	out_like 'and runs' '^score [0-9.e+]+, p [0-9.e-]+: '
	like 'with libadtool.so.0' "$(env LD_LIBRARY_PATH="$TMP/$lib" ldd ./score_one)" 'libadtool\.so\.0 => '
else
	skip 3 'needs pkg-config and a compiler'
fi

# The tests of the source that was unpacked and built for the packages; some quick ones.
cd "$debs/$name" || exit 1
run env -u MAKEFLAGS -u MAKELEVEL -u ADTOOL_BUILD PATH=/usr/bin:/bin make -s PREFIX=/usr examples
exits 'the examples build from the tarball' 0
run env -u ADTOOL_BUILD PATH=/usr/bin:/bin prove tests/cli/front.t tests/cli/options.t tests/cli/info.t
exits 'its own tests pass' 0
done_testing
