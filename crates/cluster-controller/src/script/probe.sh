#!/bin/sh
# Probes of a Doris container: probe.sh startup | alive | ready, then fe | be | broker.
#
# A frontend is alive while its edit log port is open: the MySQL port is closed during elections, so
# a probe on it would end frontends exactly while they elect.
set -u

root=${START_ROOT:-}
run=$root/opt/doris-operator/run
proc=${PROC_NET:-/proc/net}
start_budget=${START_BUDGET_SECONDS:-1800}

# Whether something listens on a port, by the kernel's own tables.
listens() { # port
    hex=$(printf ':%04X' "$1")
    # Columns: number, local address and port, remote address, state; 0A is LISTEN.
    cat "$proc/tcp" "$proc/tcp6" 2>/dev/null | while read -r _ address _ state _; do
        case $address in
        *"$hex") if [ "$state" = 0A ]; then echo yes && break; fi ;;
        esac
    done | grep -q yes
}

# Body of a local HTTP answer with status 200.
get() { # port and path
    if command -v curl >/dev/null 2>&1; then
        curl -fsS --max-time "${HTTP_SECONDS:-5}" "http://127.0.0.1:$1"
    else
        wget -q -T "${HTTP_SECONDS:-5}" -O - "http://127.0.0.1:$1"
    fi
}

port_of() {
    case $1 in
    fe) echo "${EDIT_LOG_PORT:-9010}" ;;
    be) echo "${HEARTBEAT_PORT:-9050}" ;;
    broker) echo "${HEARTBEAT_PORT:-8000}" ;;
    esac
}

# The gate was left and the port has not been open since: the startup probe had succeeded on the
# waiting file, so this must not count as dead before the time that a start may take.
is_starting() {
    [ -r "$run/starting" ] || return 1
    read -r since <"$run/starting" || return 1
    [ $(($(date +%s) - since)) -lt "$start_budget" ]
}

alive() {
    if listens "$(port_of "$1")"; then
        rm -f "$run/starting"
        return 0
    fi
    [ -e "$run/waiting" ]
}

ready() {
    case $1 in
    fe) get "${HTTP_PORT:-8030}/api/bootstrap" | grep -Eq '"code"[[:space:]]*:[[:space:]]*0[[:space:],}]' ;;
    be) get "${HTTP_PORT:-8040}/api/health" >/dev/null ;;
    broker) listens "$(port_of broker)" ;;
    esac
}

case ${2:-} in
fe | be | broker) ;;
*)
    echo "usage: probe.sh startup | alive | ready  fe | be | broker" >&2
    exit 2
    ;;
esac
case $1 in
startup) alive "$2" ;;
alive) alive "$2" || is_starting ;;
ready) ready "$2" ;;
*)
    echo "usage: probe.sh startup | alive | ready  fe | be | broker" >&2
    exit 2
    ;;
esac
