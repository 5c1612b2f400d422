# What models that keep their pictures have in common, with tiles and without; update.t and cut_kept.t go on from here.
. "${0%/*}/lib.sh"

# updates SCORED OPTION...: a model of the folder a that is updated by the folder b has the bytes of one that saw both, on any
# number of threads; so has one by a recipe. plain.zip, which keeps nothing, scores the pictures SCORED as union.zip does.
updates() {
	_scored=$1
	shift
	run adtool train -q --keep-stats "$@" -o union.zip a b
	exits "train --keep-stats $*" 0
	adtool train -q --keep-stats "$@" -o m.zip a
	run adtool train -q -j 3 --update m.zip b
	exits "train --update of $*" 0
	same "--update equals training on the union: $*" m.zip union.zip
	run adtool info --check m.zip
	exits "it is sound: $*" 0
	adtool train -q "$@" -o plain.zip a b
	run adtool train -q --from plain.zip -o again.zip a b
	same "--from equals the training it repeats: $*" again.zip plain.zip
	run adtool train -q -j 1 --from plain.zip --keep-stats -o again.zip a b
	same "--from --keep-stats equals training with --keep-stats: $*" again.zip union.zip
	# shellcheck disable=SC2086
	adtool score -q -m plain.zip $_scored >plain.tsv
	# shellcheck disable=SC2086
	adtool score -q -m union.zip $_scored >union.tsv
	same "--keep-stats changes no score, p-value and verdict: $*" union.tsv plain.tsv
}
