# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: waiting at the gate and acting on its decision.

# Moves metadata that must not be started on out of the way; nothing is deleted. The image goes
# first: a crash in between leaves a volume that cannot be taken for a complete one.
move_aside() {
    stale=$meta/.stale-$(date +%s)
    mkdir -p "$stale" || return 1
    for part in image bdb; do
        if [ -e "$meta/$part" ]; then mv "$meta/$part" "$stale/" || return 1; fi
    done
    say "moved metadata of '$incarnation' to $stale"
}

# On disk before Doris starts, so that the next start knows what this one was for.
write_marker() { # directory, incarnation, epoch
    mkdir -p "$1/.operator" || return 1
    {
        echo "identity=$DORIS_IDENTITY"
        echo "fqdn=$MEMBER_FQDN"
        echo "role=$MEMBER_ROLE"
        echo "incarnation=$2"
        echo "epoch=$3"
    } >"$1/.operator/member.new" || return 1
    persist "$1/.operator/member.new" && mv "$1/.operator/member.new" "$1/.operator/member" && persist "$1/.operator"
}

persist() { sync "$1" 2>/dev/null || sync; }

prepare_frontend() {
    if $aside; then move_aside || refuse 70 "the old metadata could not be moved aside"; fi
    case $start_with in
    found) write_marker "$meta" "found-$attempt" "$wanted_epoch" ;;
    join) write_marker "$meta" "$ticket_incarnation" "$wanted_epoch" ;;
    # A marker that is there stays as it is: a full volume must not keep its frontend from starting.
    *) [ -n "$marker_identity" ] || write_marker "$meta" adopted "$wanted_epoch" ;;
    esac || refuse 70 "the marker could not be written to the volume"
    write_build
}

prepare_backend() {
    old_ifs=$IFS IFS=';'
    # shellcheck disable=SC2086
    set -- $STORAGE_ROOTS
    IFS=$old_ifs
    for path in "$@"; do
        [ -e "$root$path/.operator/member" ] || write_marker "$root$path" '' "$wanted_epoch" || refuse 70 "the marker could not be written to $path"
    done
}

# The waiting file tells the probes that a closed port is meant.
wait_here() {
    if [ "${told:-}" != "$reason" ]; then
        say "waiting: $reason"
        told=$reason
    fi
    printf '%s\n' "$reason" >"$run/waiting"
    pause "$poll"
}

# A sleep that a signal interrupts.
pause() {
    sleep "$1" &
    wait $! || true
}

# Own name to own address and back: Doris in FQDN mode ends when this does not hold.
name_resolves() {
    "$resolver" hosts "$MEMBER_FQDN" 2>/dev/null | while read -r address _; do
        if [ "$address" = "$POD_IP" ]; then echo yes; fi
    done | grep -q yes || return 1
    "$resolver" hosts "$POD_IP" 2>/dev/null | grep -qwF "$MEMBER_FQDN"
}

wait_for_name() {
    tries=0
    until name_resolves; do
        tries=$((tries + 1))
        if [ $tries -ge "$dns_tries" ]; then
            refuse 68 "the name $MEMBER_FQDN and the address $POD_IP do not resolve to each other"
        fi
        reason="the name $MEMBER_FQDN does not resolve to $POD_IP and back yet"
        wait_here
    done
}

# Polls until the decision is to start; the name is looked up before the volume is touched, and
# the decision made again after that wait.
pass_gate() { # look function, decide function
    named=false
    while :; do
        look_at_expectations
        "$1"
        "$2"
        case $action in
        start)
            if $named; then return 0; fi
            wait_for_name
            named=true
            ;;
        wait) wait_here ;;
        *) refuse "$action" "$reason" ;;
        esac
    done
}

# After a wait the startup probe has succeeded already: until the port opens for the first time the
# file `starting` keeps the liveness probe content.
leave_gate() {
    if [ -e "$run/waiting" ]; then date +%s >"$run/starting"; fi
    rm -f "$run/waiting"
}
