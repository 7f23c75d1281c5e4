#!/bin/sh
# Installs what the tests need beside Rust, where it is missing: Postfix with its pcre tables, postgrey, miltertest
# (OpenDKIM's, and the Python package of that name), Sendmail, Redis, openssl, ip(8) for network namespaces, and mount(8) and
# mkfs.ext4(8) for disks that are filled and broken.
#
# As root on Debian it does so; anywhere else it says what the tests will skip, which is no failure but under CI=true.
# What is no package of Debian's, and Sendmail, which excludes Postfix as one, goes into target/peers.
# The Postfix that it installs gets no configuration and is not started: the tests run their own.
set -eu

PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$0")
modules=$here/../../target/peers/python
sendmail=$here/../../target/peers/sendmail

missing=
command -v postfix >/dev/null || missing="$missing postfix"
ls /usr/lib/postfix/postfix-pcre.so >/dev/null 2>&1 || missing="$missing postfix-pcre"
command -v miltertest >/dev/null || missing="$missing miltertest"
command -v postgrey >/dev/null || missing="$missing postgrey"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v openssl >/dev/null || missing="$missing openssl"
command -v ip >/dev/null || missing="$missing iproute2"
command -v mount >/dev/null || missing="$missing mount"
command -v mkfs.ext4 >/dev/null || missing="$missing e2fsprogs"
command -v m4 >/dev/null || missing="$missing m4"
# What Sendmail is linked with, and nobody else may have asked for.
for library in libldap-2.5.so.0:libldap-2.5-0 liblockfile.so.1:liblockfile1 libnsl.so.2:libnsl2 libwrap.so.0:libwrap0; do
    ls /usr/lib/*/"${library%:*}" >/dev/null 2>&1 || missing="$missing ${library#*:}"
done
if ! cmp -s "$here/requirements.txt" "$modules/requirements.txt"; then
    python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
fi

# Says what cannot be had. Where tests must run, that is the end.
skip() {
    echo "tests/peers/install.sh: $1; $2 are skipped" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
}

install_packages() {
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
        { apt-get update && apt-get install --yes --no-install-recommends $missing; }
}

# Of the versions in requirements.txt alone. In a folder of its own pip needs no rights, and leaves Debian's Python as it is.
install_modules() {
    if cmp -s "$here/requirements.txt" "$modules/requirements.txt"; then return; fi
    rm -rf "$modules"
    python3 -m pip install --quiet --root-user-action=ignore --no-deps --require-hashes \
        --target "$modules" --requirement "$here/requirements.txt" &&
        cp "$here/requirements.txt" "$modules/"
}

unpack_sendmail() {
    if [ -e "$sendmail" ]; then return; fi
    fetched=$(mktemp -d)
    download() { (cd "$fetched" && apt-get download sendmail-bin sendmail-cf); }
    download || { apt-get update && download; } || return 1
    for package in "$fetched"/*.deb; do dpkg -x "$package" "$fetched/root" || return 1; done
    # It need not write what only the group mail may.
    chmod g-s "$fetched"/root/usr/libexec/sendmail/*
    mkdir -p "$(dirname "$sendmail")" && mv "$fetched/root" "$sendmail" && rm -r "$fetched"
}

if [ "$(id -u)" -ne 0 ]; then
    skip "not root" "tests in network namespaces and on disks of their own"
fi
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        skip "not root" "tests that need$missing"
    elif ! command -v apt-get >/dev/null; then
        skip "no apt-get" "tests that need$missing"
    else
        install_packages || skip "apt-get failed" "tests that need$missing"
    fi
fi
unpack_sendmail || skip "apt-get failed" "tests that need Sendmail"
install_modules || skip "pip failed" "tests that need the Python package miltertest"
