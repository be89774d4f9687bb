# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: running Doris as a child, and telling why it ended.

# A process and all below it: the scripts of Doris are shells that pass no signal on.
family() {
    echo "$1"
    for stat in /proc/[0-9]*/stat; do
        { read -r content <"$stat"; } 2>/dev/null || continue
        pid=${content%% *}
        # After the name in parentheses: state and parent.
        rest=${content##*) }
        rest=${rest#* }
        if [ "${rest%% *}" = "$1" ]; then family "$pid"; fi
    done
}

signal_family() { # signal, pid
    # shellcheck disable=SC2046 # one argument a process
    kill -s "$1" $(family "$2") 2>/dev/null || true
}

stop_requested() {
    stopping=true
    if [ -n "${child:-}" ]; then
        signal_family TERM "$child"
    else
        say "ended while waiting"
        exit 143
    fi
}

log_file() {
    directory=$(sed -nE 's/^[[:space:]]*(LOG_DIR|sys_log_dir)[[:space:]]*=[[:space:]]*//p' "$conf/fe.conf" 2>/dev/null | tail -n 1)
    case $directory in
    '' | *DORIS_HOME*) directory=$home/log ;;
    *) directory=$root$directory ;;
    esac
    printf '%s/fe.log' "$directory"
}

log_size() { if [ -r "$1" ]; then wc -c <"$1"; else echo 0; fi; }

# What this start added to fe.log; all of it if the file was rotated meanwhile.
new_log() {
    [ -r "$log" ] || return 0
    if [ "$(log_size "$log")" -lt "$log_start" ]; then cat "$log"; else tail -c "+$((log_start + 1))" "$log"; fi
}

# The exception that a start which failed was ended by: the line after the warning of DorisFE.start.
start_exception() {
    new_log | awk '
        seen && /^[^ \t]/ { found = $0; seen = 0 }
        / WARN .*\[DorisFE\.start\(/ { seen = 1 }
        END { if (found != "") print found }'
}

# Ends a frontend whose start failed but whose process stays, all ports closed.
watch_for_hang() {
    while sleep "$watch_seconds"; do
        kill -0 "$child" 2>/dev/null || return 0
        exception=$(start_exception)
        if [ -n "$exception" ]; then
            sleep "$hang_seconds"
            kill -0 "$child" 2>/dev/null || return 0
            printf '%s\n' "$exception" >"$run/hung"
            signal_family KILL "$child"
            return 0
        fi
    done
}

# The sentence that tells best why Doris ended.
last_words() {
    words=
    if [ "$component" = fe ]; then
        words=$(start_exception)
        if [ -z "$words" ]; then words=$(new_log | grep -E ' (ERROR|FATAL) ' | tail -n 1); fi
        if [ -z "$words" ]; then words=$(grep -v '^[[:space:]]' "$home/log/fe.out" 2>/dev/null | grep . | tail -n 1); fi
    fi
    if [ -z "$words" ]; then words=$(grep -v '^[[:space:]]' "$run/last-output" 2>/dev/null | grep . | tail -n 1); fi
    printf '%s' "${words:-no message}"
}

# Runs Doris with its output kept short on the side, and waits for its end.
run_doris() { # arguments of the start script
    rm -f "$run/output" "$run/keep" "$run/last-output" "$run/hung"
    mkfifo "$run/output" "$run/keep" || refuse 70 "no pipe could be made in $run"
    tail -n 50 <"$run/keep" >"$run/last-output" &
    keeper=$!
    tee "$run/keep" <"$run/output" &
    log=$(log_file)
    log_start=$(log_size "$log")
    if $stopping; then exit 143; fi
    "$home/bin/$starter" "$@" >"$run/output" 2>&1 &
    child=$!
    # A signal may have come between the check and this line.
    if $stopping; then signal_family TERM "$child"; fi
    watcher=
    if [ "$component" = fe ]; then
        watch_for_hang >/dev/null 2>&1 &
        watcher=$!
    fi
    code=0
    wait "$child" || code=$?
    while kill -0 "$child" 2>/dev/null; do
        code=0
        wait "$child" || code=$?
    done
    if [ -n "$watcher" ]; then signal_family KILL "$watcher"; fi
    finish_output
    conclude
}

# Waits shortly for the last lines; a process that left children behind must not hold this up.
finish_output() {
    tries=0
    while kill -0 "$keeper" 2>/dev/null && [ $tries -lt 20 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

conclude() {
    if [ -s "$run/hung" ]; then
        refuse 70 "Doris failed to start but its process hung and was ended: $(first_line "$run/hung")"
    fi
    if $stopping || [ -e "$run/stopping" ]; then
        say "Doris ended with status $code after it was asked to stop"
        exit "$code"
    fi
    words=$(last_words)
    if [ "$code" -eq 0 ]; then refuse 70 "Doris ended by itself: $words"; fi
    refuse "$code" "Doris ended with status $code: $words"
}
