#!/bin/sh
# cli.sh BUILD SCRIPT...: tests of the command line, each command in them under valgrind's memcheck; what it finds, in whatever
# process, is a failure. The kernels are the scalar ones: valgrind knows no AVX-512, and takes five times as long for AVX2.
set -eu
build=$1
shift
case $build in /*) ;; *) build=$PWD/$build ;; esac
here=$(cd "${0%/*}" && pwd)
out=$build/valgrind
valgrind=$(command -v valgrind)
rm -rf "$out"
mkdir -p "$out/bin" "$out/reports"
chmod 1777 "$out/reports"
for part in completions examples gen lib tests; do
	ln -s "../$part" "$out/$part"
done
# The front looks for its commands where it is itself.
cp "$build/bin/adtool" "$out/bin/"
for program in "$build"/bin/adtool-*; do
	name=${program##*/}
	cat >"$out/bin/$name" <<EOF
#!/bin/sh
export ADTOOL_ISA="\${ADTOOL_ISA:-scalar}"
exec '$valgrind' -q --log-file='$out/reports/$name.%p' --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \\
	--suppressions='$here/valgrind.supp' '$program' "\$@"
EOF
	chmod 755 "$out/bin/$name"
done
status=0
ADTOOL_BUILD=$out "${PROVE:-prove}" --formatter Adtool::Formatter "$@" || status=$?
# Not what it says of calls that it does not know, which is between dashes, or of a signal that ends a process as it should.
for report in "$out"/reports/*; do
	[ -s "$report" ] || continue
	awk '!/^==/ { next }
		{ sub(/^==[0-9]+== ?/, "") }
		/^$/ { signal = 0; next }
		/^Process terminating with default action of signal (1|2|13|15|25) / { signal = 1 }
		!signal { print; found = 1 }
		END { exit !found }' "$report" || continue
	echo "not ok - valgrind: ${report##*/}"
	status=1
done
exit $status
