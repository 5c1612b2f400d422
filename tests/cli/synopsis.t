#!/bin/sh
# -h, the manual pages and the commands' one-line help agree.
. "${0%/*}/lib.sh"
need mandoc

mkdir pages
commands=$(sed -n 's/^[[:blank:]]*{ *"\([a-z]*\)",.*/\1/p' "$ROOT/cli/commands.c")
isnt 'the table of commands is found' "$commands" ''

# The SYNOPSIS of a page and the usage of -h, one line a form, with single blanks.
forms() { tr -s ' \t\n' ' ' | sed -e 's/^ //' -e 's/ $//' -e 's/ adtool /\nadtool /g'; }
page_synopsis() { mandoc -Tascii -O width=500 "$1" | col -bx | sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' | sed '1d;$d' | forms; }
usage() { sed -e '/^$/,$d' -e 's/^usage: //' | forms; }

for command in '' $commands; do
	page=$ROOT/man/adtool${command:+-$command}.1
	run adtool $command -h
	exits "adtool $command -h" 0
	err_is "adtool $command -h says nothing on stderr" ''
	is "adtool $command: -h and SYNOPSIS" "$(usage <"$OUT")" "$(page_synopsis "$page")"
	[ -n "$command" ] || continue
	summary=$(sed -n "s/^[[:blank:]]*{ *\"$command\", *\"\(.*\)\" *},/\1/p" "$ROOT/cli/commands.c")
	is "adtool $command: its help line is that of the page" "$summary" "$(sed -n 's/^\.Nd //p' "$page")"
	out_like "adtool $command -h says what it does" "^$summary\$"

	# Each option of -h stands in the page's OPTIONS, and the other way round. With --train, eval names them in one list.
	sed -n -e '/^Every command:/q' -e '/^With --train/q' -e 's/.*  --\([a-z-]*\).*/\1/p' \
		-e 's/^  -., --\([a-z-]*\).*/\1/p' "$OUT" | sort -u >help.txt
	: >page.txt
	sed -n '/^\.Sh OPTIONS/,/^\.El/p' "$page" | sed -e '/^\.It Ar TRAINING/,$d' |
		grep '^\.It' | grep -o 'Fl -[a-z-]*' | sed 's/Fl -//' | sort -u >page.txt
	if [ "$command" = backbone ]; then
		for sub in list show check run cut; do
			adtool backbone $sub -h | sed -n -e '/^Every command:/q' -e 's/.*  --\([a-z-]*\).*/\1/p' \
				-e 's/^  -., --\([a-z-]*\).*/\1/p'
		done | sort -u >help.txt
	fi
	same "adtool $command: -h and OPTIONS name the same options" help.txt page.txt
done

for sub in list show check run cut; do
	run adtool backbone $sub -h
	exits "adtool backbone $sub -h" 0
	is "adtool backbone $sub: -h and SYNOPSIS" "$(usage <"$OUT")" \
		"$(page_synopsis "$ROOT/man/adtool-backbone.1" | grep "^adtool backbone $sub")"
done

for page in "$ROOT"/man/*.[1-9]; do
	ok "${page##*/} is clean" mandoc -Tlint -Wwarning "$page"
	for section in 'EXIT STATUS' EXAMPLES FILES 'SEE ALSO'; do
		case $page in
		*.1) ok "${page##*/} has $section" grep -q "^\.Sh $section\$" "$page" ;;
		esac
	done
	# What it refers to is there.
	for ref in $(sed -n 's/^\.Xr \(adtool[a-z-]*\) \([0-9]\).*/\1.\2/p' "$page" | sort -u); do
		ok "${page##*/} refers to $ref" test -f "$ROOT/man/$ref"
	done
done

run adtool -h
for command in $commands; do
	out_like "adtool -h names $command" "^  $command "
	ok "adtool $command is a program" test -x "$BUILD/bin/adtool-$command"
done
done_testing
