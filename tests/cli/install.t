#!/bin/sh
# make install puts everything where it is found again, and uninstall takes it away.
. "${0%/*}/lib.sh"
need make
[ "$BUILD" = "$ROOT/build" ] || plan_skip 'only the release build is installed'

in_project() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" "$@" DESTDIR="$TMP/stage" PREFIX=/usr; }
run in_project install
exits 'install' 0
for file in bin/adtool libexec/adtool/adtool-score lib/libadtool.a lib/libadtool.so lib/pkgconfig/adtool.pc \
	include/adtool/adtool.h share/man/man1/adtool.1 share/man/man1/adtool-train.1 share/man/man5/adtool-bundle.5 \
	share/bash-completion/completions/adtool share/zsh/site-functions/_adtool share/fish/vendor_completions.d/adtool.fish; do
	ok "installed: $file" test -r "stage/usr/$file"
done
like 'adtool.pc tells where it was installed to' "$(cat stage/usr/lib/pkgconfig/adtool.pc)" '^prefix=/usr$'
not_ok 'commands are not on PATH by themselves' test -e stage/usr/bin/adtool-score

draw d --train 4 --normal 1 --each 0 --size 32
PATH=$TMP/stage/usr/bin:/usr/bin:/bin
run adtool train -q d/train/normal
exits 'installed: train' 0
run adtool score d/test/normal
exits 'installed: score' 0
lines 'installed: score gives a row' 1
is 'installed: it is that one' "$(command -v adtool)" "$TMP/stage/usr/bin/adtool"

# The examples, as each says how to compile it.
if have cc && have pkg-config; then
	cp "$ROOT"/examples/*.c .
	for line in score_one train_and_score features; do
		command=$(sed -n 's/^ \*	\(cc .*\)/\1/p' $line.c)
		run env PKG_CONFIG_PATH="$TMP/stage/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$TMP/stage" sh -c "$command"
		exits "$line.c: ${command:-no command}" 0
		run env LD_LIBRARY_PATH="$TMP/stage/usr/lib" ./$line
		err_like "$line runs" "^usage: $line "
	done
else
	skip 6 'needs cc and pkg-config'
fi

run in_project uninstall
exits 'uninstall' 0
is 'uninstall leaves no file' "$(find stage -type f -o -type l)" ''
done_testing
