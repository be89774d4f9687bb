# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: what stands on the volume and in the pod, and what follows from it. Nothing here
# changes anything but variables: action (start, wait or an exit status) and reason.

# ---- What is on the volume and in the pod ----

look_at_expectations() {
    wanted_epoch=$(first_line "$gate/epoch")
    is_number "$wanted_epoch" || wanted_epoch=0
    wanted_cluster=$(first_line "$gate/cluster-id")
    upgrade_from=$(first_line "$gate/upgrade-from")
    ticket=$(first_line "$operator/pod/ticket")
}

look_at_marker() { # file
    marker_identity=$(value_of identity "$1")
    marker_fqdn=$(value_of fqdn "$1")
    incarnation=$(value_of incarnation "$1")
    epoch=$(value_of epoch "$1")
    is_number "$epoch" || epoch=0
}

look_at_metadata() {
    has_role=false has_version=false has_bdb=false is_blank=true cluster_id=
    if [ -s "$meta/image/ROLE" ] && [ -n "$(value_of role "$meta/image/ROLE")" ]; then has_role=true; fi
    if [ -s "$meta/image/VERSION" ]; then
        cluster_id=$(value_of clusterId "$meta/image/VERSION")
        if [ -n "$cluster_id" ]; then has_version=true; fi
    fi
    for file in "$meta"/bdb/*.jdb; do
        if [ -e "$file" ]; then has_bdb=true; fi
    done
    for file in "$meta"/image/* "$meta"/bdb/*; do
        if [ -e "$file" ]; then is_blank=false; fi
    done
    look_at_marker "$meta/.operator/member"
}

# ---- The gate of a frontend: sets action and reason ----

# Splits the ticket; one for another pod, or of another form, is none.
read_ticket() {
    ticket_kind=none ticket_note=
    [ -n "$ticket" ] || return 0
    kind=${ticket%%:*} rest=${ticket#*:}
    uid=${rest%%:*} rest=${rest#*:}
    if [ "$uid" != "$POD_UID" ]; then
        ticket_note="the ticket is for another pod ($uid)"
        return 0
    fi
    case $kind in
    found)
        if is_number "$rest"; then ticket_kind=found attempt=$rest; fi
        ;;
    join)
        ticket_incarnation=${rest%%:*} rest=${rest#*:}
        ticket_role=${rest%%:*} helpers=${rest#*:}
        if [ -n "$ticket_incarnation" ] && [ -n "$helpers" ] && [ "$ticket_role" != "$rest" ]; then ticket_kind="join"; fi
        ;;
    blank-ok) ticket_kind="blank-ok" ;;
    esac
    if [ $ticket_kind = none ]; then ticket_note="the ticket has no known form"; fi
}

# A ticket that this member cannot use now is none; the reason stands in ticket_note.
check_ticket() {
    case $ticket_kind in
    found)
        if [ -n "$wanted_cluster" ]; then
            ticket_kind=none ticket_note="the cluster is founded already (cluster id $wanted_cluster)"
        elif [ "$MEMBER_ROLE" != FOLLOWER ]; then
            ticket_kind=none ticket_note="only a FOLLOWER founds a cluster"
        fi
        ;;
    join)
        if [ "$ticket_role" != "$MEMBER_ROLE" ]; then
            ticket_kind=none ticket_note="the ticket is for role $ticket_role, this is a $MEMBER_ROLE"
            return 0
        fi
        case ",$helpers," in
        *",$MEMBER_FQDN:"*) ticket_kind=none ticket_note="the ticket names this frontend as its own helper" ;;
        esac
        ;;
    blank-ok) ticket_kind=none ;;
    esac
}

# Attempt of the founding that made what is on the volume; empty if nothing was founded here.
founding_attempt() {
    case $incarnation in
    found-*) printf '%s' "${incarnation#found-}" ;;
    '') printf 0 ;;
    esac
}

# True if the ticket is newer than what the volume holds.
ticket_is_newer() {
    case $ticket_kind in
    join) [ "$ticket_incarnation" != "$incarnation" ] ;;
    found)
        made=$(founding_attempt)
        is_number "$made" && [ "$attempt" -gt "$made" ]
        ;;
    *) return 1 ;;
    esac
}

start_by_ticket() { # aside: true if something has to be moved away first
    aside=$1 action=start start_with=$ticket_kind reason=
}

wait_because() { action=wait reason="$1${ticket_note:+; $ticket_note}"; }
end_because() { action=$1 reason=$2; }

decide_frontend() {
    aside=false start_with=
    read_ticket
    check_ticket
    if [ -n "$marker_identity" ] && [ "$marker_identity" != "$DORIS_IDENTITY" ]; then
        end_because 65 "wrong volume: it belongs to cluster identity $marker_identity, not to $DORIS_IDENTITY"
    elif [ -n "$marker_fqdn" ] && [ "$marker_fqdn" != "$MEMBER_FQDN" ]; then
        end_because 65 "wrong volume: it belongs to $marker_fqdn"
    elif [ -n "$wanted_cluster" ] && [ -n "$cluster_id" ] && [ "$cluster_id" != "$wanted_cluster" ]; then
        end_because 65 "wrong volume: it holds metadata of cluster id $cluster_id, not of $wanted_cluster"
    elif $has_role && $has_version; then
        decide_with_metadata
    elif $is_blank; then
        decide_blank
    elif [ $ticket_kind = join ] || ticket_is_newer; then
        start_by_ticket true
    else
        wait_because "the metadata on the volume is incomplete (ROLE or VERSION is missing or empty)"
    fi
}

decide_with_metadata() {
    if ticket_is_newer && { [ "$ticket_kind" = join ] || [ -n "$incarnation" ]; }; then
        start_by_ticket true
    elif [ "$epoch" -lt "$wanted_epoch" ]; then
        end_because 66 "parked at epoch $epoch: epoch $wanted_epoch is wanted"
    elif ! $has_bdb; then
        end_because 67 "bdb lost: ROLE and VERSION are there, but no journal file bdb/*.jdb"
    elif left_the_group; then
        wait_because "the metadata on the volume is of a member that left the group ($left_as): it joins anew with a ticket"
    else
        action=start start_with=metadata reason=
    fi
}

# True if the metadata is of a registration of this member that was ended. Metadata that came to be otherwise than by
# joining is older than any that was.
left_the_group() {
    left_as=
    [ -e "$gate/left" ] || return 1
    while read -r left_host left_name; do
        [ "$left_host" = "$MEMBER_FQDN" ] || continue
        case $incarnation in
        "$left_name" | found-* | adopted | '') left_as=$left_name ;;
        esac
    done <"$gate/left"
    [ -n "$left_as" ]
}

decide_blank() {
    case $ticket_kind in
    join) start_by_ticket false ;;
    found)
        made=$(founding_attempt)
        if is_number "$made" && [ "$attempt" -ge "$made" ]; then
            start_by_ticket false
        else
            ticket_note="the ticket is older than the marker ($incarnation)"
            wait_because "the volume is empty"
        fi
        ;;
    *) wait_because "the volume is empty and there is no ticket" ;;
    esac
}

# ---- The gate of a backend ----

# A root without a cluster_id file never held data, or lost it: if the claim is known to have held
# data, only a ticket lets the backend start on it. A disk that was just added is known to be new.
decide_backend() {
    action=start reason='' blank=
    read_ticket
    old_ifs=$IFS IFS=';'
    # shellcheck disable=SC2086 # the roots are split on purpose
    set -- $STORAGE_ROOTS
    IFS=$old_ifs
    for path in "$@"; do
        look_at_marker "$root$path/.operator/member"
        found=$(first_line "$root$path/cluster_id")
        found=${found%%[!0-9]*}
        if [ -n "$marker_identity" ] && [ "$marker_identity" != "$DORIS_IDENTITY" ]; then
            end_because 65 "wrong volume: $path belongs to cluster identity $marker_identity, not to $DORIS_IDENTITY"
            return 0
        elif [ -n "$marker_fqdn" ] && [ "$marker_fqdn" != "$MEMBER_FQDN" ]; then
            end_because 65 "wrong volume: $path belongs to $marker_fqdn"
            return 0
        elif [ -n "$wanted_cluster" ] && [ -n "$found" ] && [ "$found" != "$wanted_cluster" ]; then
            end_because 65 "wrong volume: $path holds data of cluster id $found, not of $wanted_cluster"
            return 0
        elif [ ! -s "$root$path/cluster_id" ] && ! grep -qxF -- "$POD_NAME $path" "$gate/fresh" 2>/dev/null; then
            blank="$blank $path"
        fi
    done
    if [ -n "$blank" ] && grep -qxF -- "$POD_NAME" "$gate/had-data" 2>/dev/null && [ "$ticket_kind" != blank-ok ]; then
        wait_because "a volume that held data is empty:$blank"
    fi
}
