#!/bin/sh
# How every command reads its command line, and what it says when that is wrong.
. "${0%/*}/lib.sh"

# Wrong in one way each: status 129, one message that names it, nothing on stdout.
run_expect no-input 129 adtool score
run_expect unknown-long 129 adtool score --foo x
run_expect unknown-far 129 adtool score --xyzzy x
run_expect unknown-short 129 adtool score -Z x
run_expect one-dash 129 adtool score -model m.zip x
run_expect abbreviated 129 adtool score --form csv x
run_expect missing-value 129 adtool score x -m
run_expect missing-long-value 129 adtool score x --format
run_expect flag-with-value 129 adtool score --exit-code=yes x
run_expect empty-value 129 adtool score -m '' x
run_expect empty-operand 129 adtool score ''
run_expect exclusive 129 adtool score --threshold=1 --alpha 0.5 x
run_expect word 129 adtool score --format xml x
run_expect number 129 adtool score --threshold 1,5 x
run_expect number-infinite 129 adtool score --threshold inf x
run_expect alpha-zero 129 adtool score --alpha 0 x
run_expect alpha-one 129 adtool score --alpha 1 x
run_expect jobs-zero 129 adtool score -j0 x
run_expect jobs-word 129 adtool score -jx x
run_expect jobs-many 129 adtool score -j 4096 x
run_expect size 129 adtool train --size 224 x
run_expect size-zero 129 adtool train --size 0x224 x
run_expect size-tail 129 adtool train --size 224x224x3 x
run_expect bytes 129 adtool train --memory 4X x
run_expect bytes-overflow 129 adtool train --memory 99999999T x
run_expect seed-negative 129 adtool train --seed -1 x
run_expect seed-overflow 129 adtool train --seed 18446744073709551616 x
run_expect grid-huge 129 adtool train --grid 99999999999999999999 x
run_expect energy 129 adtool train --energy 1.5 x
run_expect energy-or-components 129 adtool train --energy 0.9 --components 5 x
run_expect triple 129 adtool train --mean 1,2 x
run_expect eval-operand 129 adtool eval x --normal a --anomalous b
run_expect eval-no-anomalous 129 adtool eval --normal a b
run_expect eval-training-option 129 adtool eval --layer x --normal a --anomalous b
run_expect eval-model-and-train 129 adtool eval -m m.zip --train x --normal a --anomalous b
run_expect info-two 129 adtool info a.zip b.zip
run_expect info-both 129 adtool info --json --check a.zip
run_expect features-no-output 129 adtool features x
run_expect backbone-none 129 adtool backbone
run_expect backbone-unknown 129 adtool backbone rum
run_expect backbone-run-no-input 129 adtool backbone run adnet -o y.npy
run_expect escape 129 adtool score --format "$(printf 'a\nb\033[31m')" x

# Right in several ways: all reach the model, which is not there.
run_expect value-by-equals 128 adtool score --model=gone.zip x
run_expect value-apart 128 adtool score --model gone.zip x
run_expect short-attached 128 adtool score -mgone.zip x
run_expect bundled 128 adtool score -q0vmgone.zip x
run_expect after-operand 128 adtool score x -m gone.zip
run_expect last-wins 128 adtool score -m other.zip -m gone.zip x
run_expect dashes-end-options 128 adtool score -m gone.zip -- --foo
run_expect negative-threshold 128 adtool score -m gone.zip --threshold -1.5e3 x

# Help goes before everything else, and to stdout.
run adtool score --foo -h
exits 'a wrong option before -h is still wrong' 129
run adtool score -qh
exits '-h in a bundle' 0
out_like '-h in a bundle prints the usage' '^usage: adtool score '
for command in '' train score eval tune info backbone features 'backbone run'; do
	run adtool $command --version
	exits "adtool $command --version" 0
	out_like "adtool $command --version" '^adtool [0-9]+\.[0-9]+\.[0-9]+$'
done
run adtool --version -v
exits 'adtool --version -v' 0
out_like 'adtool --version -v names the compiler' '^compiler '

# stdout that cannot be written to is a failure, with a message.
status=0
adtool score -h >/dev/full 2>"$ERR" || status=$?
exits 'a full disk under stdout' 128
err_is 'a full disk under stdout is said' 'adtool: stdout: No space left on device'
status=0
adtool score -h >&- 2>"$ERR" || status=$?
exits 'a closed stdout' 128
err_is 'a closed stdout is said' 'adtool: stdout: Bad file descriptor'
run adtool train --mean 1e39 x
exits 'a mean beyond single precision' 129
err_like 'a mean beyond single precision: said' "^adtool: train: option '--mean' wants numbers of at most .* not '1e39'"
run adtool eval --normal - --anomalous -
exits 'two lists on one standard input' 129
err_like 'two lists on one standard input: said' "^adtool: eval: the list of paths, '-', can be read only once"
done_testing
