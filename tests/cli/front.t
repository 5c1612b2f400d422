#!/bin/sh
# adtool NAME runs adtool-NAME.
. "${0%/*}/lib.sh"

run_expect alone 129 adtool
run_expect help 0 adtool help
run_expect short-help 0 adtool -h
run_expect unknown 129 adtool scoer
run_expect unknown-far 129 adtool zzzzzz
run_expect option-before 129 adtool -v score x
run_expect option-unknown 129 adtool --foo score x
run_expect name-with-slash 129 adtool ../score
run adtool help
cp "$OUT" help.txt
run adtool help -h
exits 'help -h' 0
same 'help -h: what help shows' "$OUT" help.txt
run env PATH="$TMP/nowhere" "$BUILD/bin/adtool" help --help
exits 'help --help, without man' 0
same 'help --help: of adtool itself' "$OUT" help.txt
run_expect help-two 129 adtool help score train
run_expect help-unknown 129 adtool help scoer

# A user's own program: arguments as they are, status, and adtool itself within reach.
mkdir own
cat >own/adtool-hello <<'EOF'
#!/bin/sh
printf '<%s>' "$@"
echo
command -v adtool
exit 7
EOF
chmod +x own/adtool-hello
PATH=$PATH:$TMP/own
run adtool hello 'a b' '' -x --help
exits "a program on PATH: its status" 7
is "a program on PATH: its arguments" "$(head -n 1 "$OUT")" '<a b><><-x><--help>'
is "a program on PATH finds this adtool" "$(sed -n 2p "$OUT")" "$BUILD/bin/adtool"

# adtool's own programs go before those on PATH.
printf '#!/bin/sh\necho wrong\n' >own/adtool-score
chmod +x own/adtool-score
PATH=$TMP/own:$PATH
run adtool score -h
out_like "adtool's own programs go first" '^usage: adtool score '

printf '#!/nonexistent/shell\n' >own/adtool-broken
chmod +x own/adtool-broken
run adtool broken
exits 'a program that cannot be run' 129
: >own/adtool-plain
chmod 644 own/adtool-plain

# Installed: bin/adtool, libexec/adtool/adtool-NAME, share/man.
mkdir -p usr/bin usr/libexec/adtool usr/share/man/man1 usr/share/man/man5 tools
cp "$BUILD/bin/adtool" usr/bin/
cp "$BUILD/bin/adtool-info" usr/libexec/adtool/
cp "$ROOT"/man/adtool*.1 usr/share/man/man1/
printf '#!/bin/sh\necho "man $*"\n' >tools/man
chmod +x tools/man
run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool info -h
out_like 'installed: libexec/adtool is found' '^usage: adtool info '
run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool help info
is 'installed: help finds the page' "$(cat "$OUT")" "man -l $TMP/usr/bin/../share/man/man1/adtool-info.1"
for word in help adtool; do
	run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool help $word
	is "help $word: the page on all" "$(cat "$OUT")" "man -l $TMP/usr/bin/../share/man/man1/adtool.1"
done
run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool info --help
is 'installed: --help of a program in libexec finds the page' "$(cat "$OUT")" \
	"man -l $TMP/usr/libexec/adtool/../../share/man/man1/adtool-info.1"
run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool --help
is 'installed: --help of the front' "$(cat "$OUT")" "man -l $TMP/usr/bin/../share/man/man1/adtool.1"

# A command of adtool's own that is not there is no unknown one.
run env PATH="$TMP/tools:/usr/bin:/bin" usr/bin/adtool drift x
if [ "$status" = 128 ] || ! { [ -e /usr/local/libexec/adtool/adtool-drift ] || [ -e /usr/bin/adtool-drift ]; }; then
	exits 'a program that is missing' 128
	err_like 'a program that is missing: which, and where it was looked for' \
		'^adtool: the program adtool-drift is missing: it is not beside adtool, in .*/adtool, or on PATH$'
else
	skip 2 'an installed adtool has it'
fi

run env PATH="$TMP/tools:$PATH" adtool help bundle
exits 'help of a file format' 0
out_like 'help of a file format finds section 5' 'man/adtool-bundle\.5$'

# Without man, --help is -h.
mkdir bare
for tool in sh env; do ln -s "$(command -v $tool)" bare/; done
run env PATH="$TMP/bare" "$BUILD/bin/adtool" score --help
exits '--help without man' 0
out_like '--help without man is the short help' '^usage: adtool score '
run env PATH="$TMP/bare" "$BUILD/bin/adtool" help score
exits 'help without man' 0
out_like 'help without man is the short help' '^usage: adtool score '

if have man; then
	run env MANPAGER=cat PAGER=cat adtool help score
	exits 'the real man shows the page' 0
	out_like 'the real man shows the page' 'adtool.score'
else
	skip 2 'needs man'
fi
done_testing
