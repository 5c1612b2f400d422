#!/bin/sh
# .ci/packages on machines that are not this one: the commands it finds are made up here.
. "${0%/*}/lib.sh"

mkdir tools
for tool in sh sed tr cut cat printf echo; do
	path=$(command -v "$tool") && [ -x "$path" ] && ln -s "$path" tools/
done
fake() { # NAME, its body on stdin
	{
		echo '#!/bin/sh'
		cat
	} >"tools/$1"
	chmod +x "tools/$1"
}
# Every package but those named in $TMP/lacking.
fake dpkg-query <<'EOF'
for package; do
	case $package in -*) continue ;; esac
	case " $(cat lacking) " in *" $package "*) ;; *) echo "installed $package" ;; esac
done
EOF
fake id <<'EOF'
echo "$FAKE_UID"
EOF
# No compiler and no Python, so that dpkg alone decides.
fake cc </dev/null
printf 'exit 1\n' | fake cc
printf 'exit 1\n' | fake python3
packages() { run env -i PATH="$TMP/tools" FAKE_UID="${uid:-0}" sh "$ROOT/.ci/packages" "$@"; }

echo >lacking
packages install
exits 'nothing is missing' 0
out_is 'no output' ''
err_is 'no message' ''

echo 'libzip-dev zip' >lacking
packages missing
out_is 'the missing ones' 'libzip-dev
zip'
packages install
exits 'without apt-get: stops' 1
err_like 'says what is missing, and why' '^  libzip-dev +lib/bundle: writes model\.zip$'
echo zip >lacking
packages install
exits 'goes on when only a test wants it' 0
err_like 'and says so' 'formats and tests that need them are left out'

echo 'libzip-dev zip' >lacking
echo 'echo "apt-get $*" >>log; case $* in *install*) [ ! -e broken ] ;; esac' | fake apt-get
echo 'case $2 in $(cat unknown)) exit 100 ;; esac' | fake apt-cache
ln -s "$(command -v env)" tools/env
echo none >unknown
packages install
exits 'with apt-get, as root' 0
is 'installs exactly those, without an update' "$(cat log)" 'apt-get -q install -y --no-install-recommends libzip-dev zip'
err_like 'and says so' '^adtool: installing libzip-dev zip$'

rm log
echo zip >unknown
packages install
exits 'a package that only tests want is not offered' 0
is 'the lists are updated before that is believed' "$(cat log)" \
	'apt-get -q update
apt-get -q install -y --no-install-recommends libzip-dev'
echo libzip-dev >unknown
packages install
exits 'a package that building needs is not offered' 1
err_like 'it is named' '^adtool: libzip-dev: '

echo none >unknown
: >broken
packages install
exits 'apt-get fails' 1
echo zip >lacking
packages install
exits 'apt-get fails, for tests only' 0

uid=1000
rm log broken
echo 'libzip-dev' >lacking
packages install
exits 'neither root nor sudo' 1
err_like 'says what to run' '^adtool:   apt-get install .* libzip-dev'
not_ok 'apt-get was not called' test -e log
echo 'echo sudo >>log; "$@"' | fake sudo
packages install
exits 'through sudo' 0
is 'sudo calls apt-get' "$(cat log)" 'sudo
apt-get -q install -y --no-install-recommends libzip-dev'
done_testing
