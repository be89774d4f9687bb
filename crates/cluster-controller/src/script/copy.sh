# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: a copy of a frontend's metadata, made before another build writes to it. Nothing runs on the
# volume then, so image and journal belong together. One copy is kept.

# KiB of files and directories; empty if that cannot be told.
kib_of() { du -sk "$@" 2>/dev/null | awk '{ sum += $1 } END { if (NR > 0) print sum }'; }

free_kib() { df -Pk "$meta" 2>/dev/null | awk 'NR == 2 { print $4 }'; }

# Version of the copy that is there.
look_at_copy() {
    copy=
    for directory in "$meta"/.pre-upgrade-*; do
        case $directory in *.new) continue ;; esac
        if [ -d "$directory/image" ] && [ -d "$directory/bdb" ]; then copy=${directory##*/.pre-upgrade-}; fi
    done
}

# Whether another build than the last one is about to start on complete metadata.
copy_is_due() {
    [ -n "${DORIS_IMAGE:-}" ] && $has_role && $has_version && $has_bdb &&
        [ "$(value_of image "$meta/.operator/build")" != "$DORIS_IMAGE" ]
}

# Copies if there is room; a frontend starts without a copy, too, and copy_note says why there is none.
copy_metadata() {
    copy_note=
    copy_is_due || return 0
    last=$(value_of version "$meta/.operator/build")
    kept=$meta/.pre-upgrade-${last:-unknown}
    rm -rf "$meta"/.pre-upgrade-*.new
    size=$(kib_of "$meta/image" "$meta/bdb")
    free=$(free_kib)
    old=$(kib_of "$meta"/.pre-upgrade-*)
    is_number "$old" || old=0
    if ! is_number "$size" || ! is_number "$free"; then
        copy_note="not made: the size of the metadata or the room on its volume could not be told"
    elif [ $((free + old)) -lt $((size + copy_reserve)) ]; then
        copy_note="not made: the metadata takes $size KiB and $free KiB are free"
    else
        # An older copy goes first only where both have no room.
        if [ "$free" -lt $((size + copy_reserve)) ]; then rm -rf "$meta"/.pre-upgrade-*; fi
        if mkdir -p "$kept.new" && cp -R -p "$meta/image" "$meta/bdb" "$kept.new/" && sync; then
            for directory in "$meta"/.pre-upgrade-*; do
                if [ "$directory" != "$kept.new" ]; then rm -rf "$directory"; fi
            done
            mv "$kept.new" "$kept" && sync
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
