#!/bin/sh
# --tiles with --precision bf16 and int8: ranges are of the tiles that are learned from.
. "${0%/*}/lib.sh"

mkdir ok
for i in 1 2 3 4 5 6 7 8; do scene 500x330 "$i" "ok/$i.png"; done
mkdir others
for i in 50 51 52 53; do scene 500x330 "$i" "others/$i.png"; done
scene 500x330 77 blot.png defect 380,240,30,30
tiles='--tiles 224x224+32'

# near SHARE: each row's score is that in `wide` to this share.
near() {
	cut -f 2 "$OUT" | paste - wide |
		awk -v most="$1" '{ d = $1 / $3 - 1; if (d > most || d < -most) bad = 1 } END { exit bad || !NR }'
}

run adtool train -q $tiles -o wide.zip ok
run adtool score -m wide.zip others
cp "$OUT" wide
for precision in bf16 int8; do
	run adtool train --precision $precision $tiles -j 1 -o one.zip ok
	exits "$precision: train" 0
	out_like "$precision: it says how far features are off" "^precision +$precision; features differ by [0-9.]+ %"
	num "$precision: which is not far" "$(sed -n 's/^precision.*by \([0-9.]*\) %.*/\1/p' "$OUT")" '<' \
		"$([ $precision = bf16 ] && echo 6 || echo 15)"
	run adtool train -q --precision $precision $tiles -j 3 -o three.zip ok
	same "$precision: -j 1 and -j 3 give the same bytes" one.zip three.zip
	run adtool info --check one.zip
	exits "$precision: the model is sound" 0
	run adtool train -q --from one.zip -o again.zip ok
	same "$precision: a recipe has it" again.zip one.zip
	run adtool score -j 1 -m one.zip others
	cp "$OUT" rows
	ok "$precision: scores are near those of float32" near "$([ $precision = bf16 ] && echo 0.05 || echo 0.2)"
	run adtool score -j 3 -m one.zip others
	same "$precision: -j 1 and -j 3 give the same rows" "$OUT" rows
	run adtool score -m one.zip blot.png
	out_like "$precision: a blot is an anomaly" 'anomalous$'
	ADTOOL_ISA=scalar run adtool score -m one.zip blot.png
	out_like "$precision: on plain C, too" 'anomalous$'
done

# Tiles in which a mask shows nothing are not measured; a picture that cannot be read is told of once.
"$BUILD/tests/tools/draw_mask" 500x330 mask.png 0,0,250,330 || exit 1
mkdir left
for i in 1 2 3 4 5 6 7 8; do scene 500x330 "$i" "left/$i.png" defect 400,100,60,60; done
for precision in bf16 int8; do
	run adtool train -q --precision $precision --tiles 112x112 --size 224x224 --mask mask.png -o mask.zip ok
	exits "$precision: with a mask" 0
	run adtool train -q --precision $precision --tiles 112x112 --size 224x224 --mask mask.png -o left.zip left
	adtool score -q -m mask.zip others blot.png >a.tsv
	adtool score -q -m left.zip others blot.png >b.tsv
	same "$precision: what it hides changes nothing" a.tsv b.tsv
	echo 'no picture' >ok/x.png
	scene 150x90 9 ok/y.png
	run adtool train --precision $precision $tiles -o x.zip ok
	exits "$precision: one that cannot be read" 2
	is "$precision: is named once" "$(grep -c 'ok/x\.png' "$ERR")" 1
	out_like "$precision: one smaller than a tile is learned from" '^pictures +9 used, 1 refused'
	rm ok/x.png ok/y.png
done

# An update of int8 computes with the ranges that the kept maps were made with; that of bf16 is training on all.
for precision in bf16 int8; do
	run adtool train -q --keep-stats --precision $precision $tiles -o all.zip ok/1.png ok/2.png ok/6.png ok/8.png
	exits "$precision: --keep-stats" 0
	run adtool train --update all.zip ok/3.png ok/4.png ok/5.png ok/7.png
	exits "$precision: --update" 0
	out_like "$precision: learned from all" '^pictures +8 used, 0 refused; 4 from the old model'
	run adtool info all.zip
	out_like "$precision: stays what it is" "^  precision +$precision"
	cp all.zip $precision.zip
done
adtool train -q --keep-stats --precision bf16 $tiles -o union.zip ok
same 'bf16: --update equals training on the union' bf16.zip union.zip
run adtool train -q --precision int8 --tiles 224x224 --method ppca -o none.zip ok
exits 'ppca stays refused' 128
err_like 'with the reason' 'int8 does not go with ppca, whose likelihood is of differences too fine for it'
done_testing
