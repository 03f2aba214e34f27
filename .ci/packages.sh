# SPDX-License-Identifier: Apache-2.0
# Sourced by ./up and ./check: installs what .ci/packages lists and the machine lacks.

# packages_need SECTION...: calls apt only when a package of these sections is missing. Without root
# it says which, and with what command they can be had, and fails.
packages_need() {
    local list missing
    list=$(awk -v sections=" $* " '!/^#/ && NF && index(sections, " " $1 " ") { print $2 }' \
        "$root/.ci/packages")
    if ! command -v dpkg-query >/dev/null; then
        echo "${0##*/}: this is not a Debian system: cannot tell whether these packages' contents" \
            "are here:" $list >&2
        echo "${0##*/}: Clustix is developed on Debian 12; going on, the build will tell" >&2
        return 0
    fi
    # A package counts when it is installed, not when only its configuration is left.
    missing=$(comm -23 <(sort <<<"$list") \
        <(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' 2>/dev/null |
            awk '$1 == "ii" { print $2 }' | sort -u))
    missing=${missing//$'\n'/ }
    [ -n "$missing" ] || return 0

    local install="apt-get install -y --no-install-recommends $missing"
    if [ "$(id -u)" != 0 ]; then
        echo "${0##*/}: these packages are missing, and installing them needs root:" >&2
        echo "    sudo sh -c 'apt-get update && $install'" >&2
        return 1
    fi
    echo "${0##*/}: installing $(wc -w <<<"$missing") packages: $missing"
    local log
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get -o Acquire::Retries=3 update && apt-get -o Acquire::Retries=3 \
        -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $missing; } \
        </dev/null >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "${0##*/}: apt could not install them (the whole log: $log). By hand:" >&2
        echo "    apt-get update && $install" >&2
        return 1
    fi
    rm -f "$log"
}
