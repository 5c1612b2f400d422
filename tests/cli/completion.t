#!/bin/sh
# adtool completion, in the shells themselves.
. "${0%/*}/lib.sh"

mkdir -p "some folder/inner" other
: >'a file.png'
: >model.zip
run adtool completion tcsh
exits 'a shell that there is none for' 129
err_like 'a shell that there is none for: said' "^adtool: completion: no completion for 'tcsh'"
run adtool completion
exits 'no shell' 129
for shell in bash zsh fish; do
	run adtool completion $shell
	exits "$shell" 0
	cp "$OUT" adtool.$shell
	err_is "$shell: nothing to say" ''
	case $shell in
	bash) built=bash/adtool ;;
	zsh) built=zsh/_adtool ;;
	fish) built=fish/adtool.fish ;;
	esac
	same "$shell: make has built the same" adtool.$shell "$BUILD/completions/$built"
	# Each option of each command is there.
	for command in train score watch eval drift tune info threshold backbone completion features; do
		adtool $command -h | grep -o -e '--[a-z][a-z0-9-]*' | sort -u | sed 's/^--//'
	done | sort -u | grep -v '^no$' >options
	while read -r option; do
		grep -q -e "--$option\>\|-l $option\>" adtool.$shell || echo "$option"
	done <options >lacking
	is "$shell: no option is lacking" "$(cat lacking)" ''
done

# bash: as readline calls it. What is completed is the last word.
if have bash; then
	cat >try.bash <<'EOT'
. ./adtool.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_adtool
printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' '
EOT
	bash_gives() { # WANTED WORD...
		_wanted=$1
		shift
		is "bash: $*" "$(bash --norc try.bash "$@" 2>&1 | sed 's/ $//')" "$_wanted"
	}
	bash_gives 'score' adtool sc
	bash_gives 'threshold train tune' adtool t
	bash_gives '--format=' adtool score --form
	bash_gives 'csv jsonl tsv' adtool score --format ''
	bash_gives 'jsonl' adtool score --format = j
	bash_gives 'csv jsonl tsv' adtool score --format =
	bash_gives '--heatmap= --help' adtool score --he
	bash_gives 'some folder' adtool score --heatmap some
	bash_gives 'a file.png adtool.bash adtool.fish adtool.zsh' adtool score a
	bash_gives 'a file.png' adtool score -m 'a f'
	bash_gives '' adtool score --threshold ''
	bash_gives '' adtool train --layer ''
	bash_gives '--color=' adtool train --col
	bash_gives 'always auto bgr never rgb' adtool train --color ''
	bash_gives '' adtool train --background ''
	bash_gives '' adtool tune --grid ''
	bash_gives 'model.zip' adtool train --update m
	bash_gives 'model.zip' adtool eval --compare m
	bash_gives 'other' adtool eval --normal ot
	bash_gives 'other some folder' adtool watch ''
	bash_gives 'check cut list run show' adtool backbone ''
	bash_gives '--input=' adtool backbone run --i
	bash_gives 'bash fish zsh' adtool completion ''
	bash_gives 'score' adtool help sc
	bash_gives '' adtool score -- --form
	bash_gives '--version' adtool --v
	bash_gives 'a file.png adnet adtool.bash adtool.fish adtool.zsh' adtool train --backbone a
	bash_gives 'adnet' adtool tune --backbone = adn
	bash_gives 'adnet' adtool backbone show adn
	is 'bash: it is bound to adtool' "$(bash --norc -c '. ./adtool.bash; complete -p adtool')" 'complete -F _adtool adtool'
else
	skip 29 'needs bash'
fi

# zsh: typed into one that listens, with tabs. The command itself is a function that shows its words.
if have zsh; then
	mkdir zfunc
	cp adtool.zsh zfunc/_adtool
	cat >try.zsh <<'EOT'
zmodload zsh/zpty || exit 9
zpty z "TERM=dumb zsh -f -i"
zpty -w z "PS1= PS2= RPS1=; unsetopt zle_bracketed_paste prompt_cr prompt_sp beep list_beep auto_menu auto_list; fpath=($PWD/zfunc \$fpath)"
zpty -w z "autoload -Uz compinit; compinit -u -D; adtool() { print -r -- \"<\${(j:|:)@}>\" >>$PWD/typed }; print ready >$PWD/typed"
while [[ ! -s typed ]]; do sleep 0.1; done
while read -r line; do
	zpty -w z "${(g::)line}"
done <lines
zpty -w z "print done >>$PWD/typed"
for i in {1..200}; do
	grep -q '^done' typed && break
	zpty -r -t z out
	sleep 0.1
done
zpty -d z
EOT
	cat >lines <<'EOT'
adtool sco\t x
adtool score --forma\tj\t x
adtool score --format j\t x
adtool score --heatmap som\t
adtool score -m mod\t
adtool watch oth\t
adtool backbone sh\t x
adtool backbone run --inp\tx
adtool completion f\t
adtool help thr\t
adtool train --backbone adn\tx
adtool backbone cut mod\t
EOT
	timeout 120 zsh -f try.zsh >/dev/null 2>zsh.err
	is 'zsh: what was typed is completed' "$(sed 's|/>|>|; s| *>$|>|' typed)" 'ready
<score|x>
<score|--format=jsonl|x>
<score|--format|jsonl|x>
<score|--heatmap|some folder>
<score|-m|model.zip>
<watch|other>
<backbone|show|x>
<backbone|run|--input=x>
<completion|fish>
<help|threshold>
<train|--backbone|adnet|x>
<backbone|cut|model.zip>
done'
	is 'zsh: no message' "$(cat zsh.err)" ''
else
	skip 2 'needs zsh'
fi

if have fish; then
	fish_gives() { # WANTED LINE
		is "fish: $2" "$(HOME=$TMP fish --no-config -c "source adtool.fish; complete -C '$2'" 2>&1 | cut -f 1 | LC_ALL=C sort | tr '\n' ' ' |
			sed 's/ $//')" "$1"
	}
	fish_gives 'score' 'adtool sco'
	fish_gives 'threshold train tune' 'adtool t'
	fish_gives '--format' 'adtool score --forma'
	fish_gives 'csv jsonl tsv' 'adtool score --format '
	fish_gives '--format=jsonl' 'adtool score --format=j'
	fish_gives 'some folder/' 'adtool score --heatmap some'
	fish_gives 'a file.png' 'adtool score "a f'
	fish_gives 'other/' 'adtool watch o'
	fish_gives 'check cut list run show' 'adtool backbone '
	fish_gives '--input' 'adtool backbone run --i'
	fish_gives 'bash fish zsh' 'adtool completion '
	fish_gives 'threshold' 'adtool help thr'
	fish_gives 'adnet' 'adtool train --backbone adn'
	fish_gives 'model.zip' 'adtool train --backbone mod'
	fish_gives 'adnet' 'adtool backbone check adn'
else
	skip 15 'needs fish'
fi
done_testing
