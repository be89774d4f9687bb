# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: a copy of a frontend's metadata, made before another build writes to it. Nothing runs on the volume
# then, so image and journal belong together. One copy is kept; while an upgrade is under way that of the version which it
# left is kept beside any other, for that is the one that people may have to go back to.

# KiB of files and directories; empty if that cannot be told.
kib_of() { du -sk "$@" 2>/dev/null | awk '{ sum += $1 } END { if (NR > 0) print sum }'; }

free_kib() { df -Pk "$meta" 2>/dev/null | awk 'NR == 2 { print $4 }'; }

# Version of the copy that is there; of two that of the version which the upgrade under way left.
look_at_copy() {
    copy=
    for directory in "$meta"/.pre-upgrade-*; do
        case $directory in *.new) continue ;; esac
        if [ -d "$directory/image" ] && [ -d "$directory/bdb" ] && [ "${copy:-.}" != "$upgrade_from" ]; then
            copy=${directory##*/.pre-upgrade-}
        fi
    done
}

# A version's line as one number, nothing for what is no version.
line_of() { # version
    major=${1%%.*} minor=${1#*.}
    minor=${minor%%[!0-9]*}
    if [ -n "$major" ] && [ -n "$minor" ] && [ "$1" != "$major" ] && is_number "$major"; then echo $((major * 1000 + minor)); fi
}

# What cannot be told is taken for a newer line.
brings_newer_line() { # last version, next version
    last_line=$(line_of "$1") next_line=$(line_of "$2")
    [ -z "$last_line" ] || [ -z "$next_line" ] || [ "$next_line" -gt "$last_line" ]
}

# Copies that another one may take the place of, each followed by a newline.
replaceable_copies() {
    for directory in "$meta"/.pre-upgrade-*; do
        case ${directory##*/.pre-upgrade-} in
        *.new | "${upgrade_from:-.}") ;;
        *) if [ -d "$directory" ]; then printf '%s\n' "$directory"; fi ;;
        esac
    done
}

remove_replaceable_copies() {
    replaceable_copies | while IFS= read -r directory; do rm -rf "$directory"; done
}

# The copy of the version that the upgrade under way left.
has_kept_copy() {
    [ -n "$upgrade_from" ] && [ -d "$meta/.pre-upgrade-$upgrade_from/image" ] && [ -d "$meta/.pre-upgrade-$upgrade_from/bdb" ]
}

# Whether another build than the last one is about to start on complete metadata. An upgrade that is turned to another
# release of its line, or back, has its copy already: within a line a frontend reads what is there.
copy_is_due() {
    [ -n "${DORIS_IMAGE:-}" ] && $has_role && $has_version && $has_bdb || return 1
    [ "$(value_of image "$meta/.operator/build")" != "$DORIS_IMAGE" ] || return 1
    last=$(value_of version "$meta/.operator/build")
    ! has_kept_copy || [ "$last" = "$upgrade_from" ] || brings_newer_line "$last" "${DORIS_VERSION:-}"
}

# Copies if there is room; a frontend starts without a copy, too, and copy_note says why there is none.
copy_metadata() {
    copy_note=
    copy_is_due || return 0
    kept=$meta/.pre-upgrade-${last:-unknown}
    rm -rf "$meta"/.pre-upgrade-*.new
    size=$(kib_of "$meta/image" "$meta/bdb")
    free=$(free_kib)
    old=$(replaceable_copies | while IFS= read -r directory; do kib_of "$directory"; done | awk '{ sum += $1 } END { print sum + 0 }')
    is_number "$old" || old=0
    if ! is_number "$size" || ! is_number "$free"; then
        copy_note="not made: the size of the metadata or the room on its volume could not be told"
    elif [ $((free + old)) -lt $((size + copy_reserve)) ]; then
        copy_note="not made: the metadata takes $size KiB and $free KiB are free"
    else
        # An older copy goes first only where both have no room.
        if [ "$free" -lt $((size + copy_reserve)) ]; then remove_replaceable_copies; fi
        if mkdir -p "$kept.new" && cp -R -p "$meta/image" "$meta/bdb" "$kept.new/" && sync; then
            remove_replaceable_copies
            rm -rf "$kept" && mv "$kept.new" "$kept" && sync
            copy_note="made before the first start of ${DORIS_VERSION:-$DORIS_IMAGE}: $size KiB"
        else
            rm -rf "$kept.new"
            copy_note="not made: the files could not be copied"
        fi
    fi
    say "copy of the metadata of ${last:-an unknown version}: $copy_note"
}

# What the next start compares its own image with. A full volume must not keep a frontend from starting.
write_build() {
    [ -n "${DORIS_IMAGE:-}" ] || return 0
    [ "$(value_of image "$meta/.operator/build")" != "$DORIS_IMAGE" ] || return 0
    if ! {
        {
            echo "image=$DORIS_IMAGE"
            echo "version=${DORIS_VERSION:-}"
        } >"$meta/.operator/build.new" && persist "$meta/.operator/build.new" && mv "$meta/.operator/build.new" "$meta/.operator/build"
    } 2>/dev/null; then
        say "the build could not be noted on the volume"
    fi
}
