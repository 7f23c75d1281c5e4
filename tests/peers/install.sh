#!/bin/sh
# Installs what the tests need beside Rust, where it is missing: Postfix with its pcre tables, postgrey,
# Redis, openssl, ip(8) for network namespaces, and mount(8) and mkfs.ext4(8) for disks that are filled and broken.
#
# As root on Debian it does so; anywhere else it says what the tests will skip, which is no failure but under CI=true.
# The Postfix that it installs gets no configuration and is not started: the tests run their own.
set -eu

PATH=$PATH:/usr/sbin:/sbin

missing=
command -v postfix >/dev/null || missing="$missing postfix"
ls /usr/lib/postfix/postfix-pcre.so >/dev/null 2>&1 || missing="$missing postfix-pcre"
command -v postgrey >/dev/null || missing="$missing postgrey"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v openssl >/dev/null || missing="$missing openssl"
command -v ip >/dev/null || missing="$missing iproute2"
command -v mount >/dev/null || missing="$missing mount"
command -v mkfs.ext4 >/dev/null || missing="$missing e2fsprogs"

# Ends the script where nothing can be installed.
give_up() {
    echo "tests/peers/install.sh: $1; tests that need$missing are skipped" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
    exit 0
}

if [ "$(id -u)" -ne 0 ]; then
    echo "tests/peers/install.sh: not root; tests in network namespaces and on disks of their own are skipped" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
fi
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" -ne 0 ]; then give_up "not root"; fi
command -v apt-get >/dev/null || give_up "no apt-get"

# invoke-rc.d asks this file whether a daemon may start (101: no). An administrator's own file stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
if [ "$missing" != "${missing#*postfix}" ]; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections || true
fi
# A list of packages that is old or not there yet is the usual reason for a failure.
# shellcheck disable=SC2086 # names of packages, one word each
apt-get install --yes --no-install-recommends $missing ||
    { apt-get update && apt-get install --yes --no-install-recommends $missing; } ||
    give_up "apt-get failed"
