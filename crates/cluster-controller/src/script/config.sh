# shellcheck shell=sh disable=SC2034,SC2154
# Part of start.sh: the configuration files that Doris reads.

# Copies every mounted file into the image's conf directory; later directories win.
copy_config() { # conf directory
    conf=$1
    mkdir -p "$conf" "$run"
    old_ifs=$IFS IFS=:
    # shellcheck disable=SC2086
    set -- "$operator/conf" ${EXTRA_CONF_DIRS:-}
    IFS=$old_ifs
    for directory in "$@"; do
        case $directory in "$root"/*) ;; *) directory=$root$directory ;; esac
        for file in "$directory"/*; do
            if [ -f "$file" ]; then
                # The image's file may be a link or read-only: replace it, never write through it.
                rm -f "$conf/${file##*/}"
                cp -L "$file" "$conf/${file##*/}" || refuse 69 "the configuration file ${file##*/} could not be copied"
                chmod u+w "$conf/${file##*/}"
            fi
        done
    done
}

# Ends when a file sets a key that would break the cluster's identity.
refuse_keys() { # keys separated by |, files
    keys=$1
    shift
    for file in "$@"; do
        [ -r "$file" ] || continue
        key=$(sed -nE "s/^[[:space:]]*($keys)([[:space:]]*[=:]|[[:space:]]|\$).*/\1/p" "$file" | head -n 1)
        if [ -n "$key" ]; then refuse 69 "${file##*/} sets $key, which belongs to the operator"; fi
    done
}

link_all() { # from directory, to directory
    [ -d "$root$1" ] || return 0
    mkdir -p "$root$2"
    for file in "$root$1"/*; do
        if [ -f "$file" ]; then ln -sf "$file" "$root$2/${file##*/}"; fi
    done
}

link_kerberos() {
    if [ -n "${KRB5_MOUNT_PATH:-}" ]; then
        krb5=${KRB5_CONFIG:-/etc/krb5.conf}
        link_all "$KRB5_MOUNT_PATH" "${krb5%/*}"
    fi
    if [ -n "${KEYTAB_MOUNT_PATH:-}" ]; then link_all "$KEYTAB_MOUNT_PATH" "${KEYTAB_FINAL_USED_PATH:-/etc/keytab}"; fi
}

# Generated keys come last and so win.
generate() { # file, lines
    file=$1
    shift
    { echo; printf '%s\n' "$@"; } >>"$file" || refuse 69 "${file##*/} could not be written"
}

configure_frontend() {
    copy_config "$doris/fe/conf"
    refuse_keys 'cluster_id|auth_token|meta_dir' "$conf/fe.conf" "$conf/fe_custom.conf"
    link_kerberos
    generate "$conf/fe.conf" 'enable_fqdn_mode = true'
}

# Only a founding start gives root its password: any later one would be ignored or wrong.
configure_founding() {
    hash=$(first_line "$operator/root/initial-root-password")
    [ -n "$hash" ] || refuse 69 "the hash of the initial root password is not there: no cluster is founded with an empty root"
    case ${hash#\*} in
    "$hash" | *[!0-9A-Fa-f]*) refuse 69 "the initial root password is not a star and 40 hexadecimal digits" ;;
    esac
    if [ ${#hash} -ne 41 ]; then refuse 69 "the initial root password is not a star and 40 hexadecimal digits"; fi
    generate "$conf/fe.conf" "initial_root_password = $hash"
}

configure_backend() {
    copy_config "$doris/be/conf"
    refuse_keys 'cluster_id' "$conf/be.conf" "$conf/be_custom.conf"
    link_kerberos
    if [ -n "${CPU_LIMIT:-}" ]; then generate "$conf/be.conf" "num_cores = $CPU_LIMIT"; fi
}
