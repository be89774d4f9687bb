#!/bin/sh
# Starts a Doris process in its pod: start.sh fe | be | broker; or tells what is on its volume: start.sh inspect [be].
#
# A frontend without metadata waits here until its pod carries a ticket; one with complete metadata
# starts by itself, whether or not any controller is alive. The decision is made from the volume,
# the ticket and two expectations (epoch, cluster id) alone.
#
# START_ROOT is put before every path, so that tests can run this in a directory of theirs.
set -u

root=${START_ROOT:-}
doris=$root/opt/apache-doris
operator=$root/opt/doris-operator
run=$operator/run
gate=$operator/gate
termination_log=${TERMINATION_LOG:-$root/dev/termination-log}
mountinfo=${MOUNTINFO:-/proc/self/mountinfo}
poll=${POLL_SECONDS:-1}
resolver=${RESOLVER:-getent}
dns_tries=${DNS_TRIES:-120}
watch_seconds=${WATCH_SECONDS:-5}
hang_seconds=${HANG_SECONDS:-30}
copy_reserve=${COPY_RESERVE_KIB:-1048576}

say() { printf '%s\n' "start.sh: $*" >&2; }

# Leaves one sentence for whoever reads the pod's status.
explain() {
    say "$1"
    printf '%s\n' "$1" >"$termination_log" 2>/dev/null || say "no termination message could be written"
}

refuse() { # status, sentence
    explain "$2"
    exit "$1"
}

# First line of a file, nothing if there is none.
first_line() {
    line=
    if [ -r "$1" ]; then IFS= read -r line <"$1" || true; fi
    printf '%s' "$line"
}

# Value of a key in a file of lines key=value.
value_of() { # key, file
    if [ -r "$2" ]; then sed -n "s/^$1=//p" "$2" | tail -n 1; fi
}

is_number() { case ${1:-x} in *[!0-9]*) return 1 ;; esac; }

is_mounted() {
    while read -r _ _ _ _ point _; do
        if [ "$point" = "$1" ]; then return 0; fi
    done <"$mountinfo"
    return 1
}

# shellcheck source=gate.sh
. "${0%/*}/gate.sh"
# shellcheck source=act.sh
. "${0%/*}/act.sh"
# shellcheck source=copy.sh
. "${0%/*}/copy.sh"
# shellcheck source=config.sh
. "${0%/*}/config.sh"
# shellcheck source=run.sh
. "${0%/*}/run.sh"

begin() { # directory of the component, name of its start script
    home=$doris/$1 starter=$2
    stopping=false child=
    mkdir -p "$run"
    rm -f "$run/waiting" "$run/starting" "$run/stopping"
    trap stop_requested TERM INT
}

start_frontend() {
    component=fe
    meta=$doris/fe/doris-meta
    begin fe start_fe.sh
    if ! is_mounted "$meta"; then refuse 64 "volume missing: $meta is not a mount"; fi
    configure_frontend
    pass_gate look_at_metadata decide_frontend
    prepare_frontend
    leave_gate
    case $start_with in
    found)
        configure_founding
        run_doris --console
        ;;
    join) run_doris --console --helper "$helpers" ;;
    *) run_doris --console ;;
    esac
}

start_backend() {
    component=be
    begin be start_be.sh
    old_ifs=$IFS IFS=';'
    # shellcheck disable=SC2086
    set -- $STORAGE_ROOTS
    IFS=$old_ifs
    for path in "$@"; do
        if ! is_mounted "$root$path"; then refuse 64 "volume missing: $path is not a mount"; fi
    done
    configure_backend
    pass_gate : decide_backend
    prepare_backend
    leave_gate
    run_doris --console
}

start_broker() {
    component=broker
    begin apache_hdfs_broker start_broker.sh
    copy_config "$home/conf"
    link_kerberos
    look_at_expectations
    wait_for_name
    leave_gate
    run_doris --console
}

# What the controller sees of a backend's volumes.
inspect_backend() {
    mounted=true
    {
        old_ifs=$IFS IFS=';'
        # shellcheck disable=SC2086
        set -- $STORAGE_ROOTS
        IFS=$old_ifs
        for path in "$@"; do
            if ! is_mounted "$root$path"; then
                mounted=false
            elif [ ! -s "$root$path/cluster_id" ]; then
                echo "blank=$path"
            fi
        done
        echo "mounted=$mounted"
    } >"$termination_log"
}

# What the controller sees of a frontend's volume. It runs once for a pod and before Doris: here the copy is made,
# which may take long and must not be taken for a start that hangs.
inspect_frontend() {
    meta=$doris/fe/doris-meta
    mounted=false copy='' copy_note=''
    if is_mounted "$meta"; then mounted=true; fi
    look_at_expectations
    look_at_metadata
    if $mounted; then
        copy_metadata
        look_at_copy
    fi
    {
        echo "mounted=$mounted"
        echo "role=$has_role"
        echo "version=$has_version"
        echo "bdb=$has_bdb"
        echo "cluster-id=$cluster_id"
        echo "incarnation=$incarnation"
        echo "identity=$marker_identity"
        echo "epoch=$epoch"
        echo "copy=$copy"
        echo "copy-note=$copy_note"
    } >"$termination_log"
}

case ${1:-} in
fe) start_frontend ;;
be) start_backend ;;
broker) start_broker ;;
inspect) if [ "${2:-fe}" = be ]; then inspect_backend; else inspect_frontend; fi ;;
*)
    say "usage: start.sh fe | be | broker | inspect [be]"
    exit 2
    ;;
esac
