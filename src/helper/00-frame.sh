#!/bin/sh
# holdpoint-helper: the fixed verbs that a holdpoint cockpit may ask of this host, and no others.
#
# Call: holdpoint-helper NONCE EPOCH VERB [WORD...]
# Everything below is a function; the last line of the file calls hp_main. So a text that arrives
# cut off does nothing, and a helper that is replaced while it runs is not half old and half new.
# Made from fragments by holdpoint; change those, not this file.
#
# shellcheck disable=SC2015,SC2317
# (A && B || C is meant as "unless both"; what follows a verb that exits is not unreachable.)
HP_VERSION=4

set -u
LC_ALL=C
export LC_ALL
unset LANGUAGE CDPATH ENV BASH_ENV TMPDIR POSIXLY_CORRECT 2>/dev/null || :
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 077

HP_PATH=/usr/local/sbin/holdpoint-helper
HP_STATE=/var/lib/holdpoint
HP_NONCE=
HP_EPOCH=0
# The most that one section carries, in bytes, and the most of one of its lines.
HP_SECTION_BYTES=4194304
HP_LINE_BYTES=262144
HP_TAB=$(printf '\t')

# --- frames -------------------------------------------------------------------------------------

hp_begin() { printf '@%s begin %s\n' "$HP_NONCE" "$1"; }

hp_end() { printf '@%s end %s %s\n' "$HP_NONCE" "$1" "$2"; }

# Standard input as payload lines. Bounded; a last line without a newline gets one, or the next
# frame would stick to it.
hp_lines() {
    # shellcheck disable=SC1003
    head -c "$HP_SECTION_BYTES" | cut -b "1-$HP_LINE_BYTES" | sed -e 's/^/|/' -e '$a\'
}

# hp_section NAME COMMAND [ARG...]: what the command prints (errors too), and its own exit status.
hp_section() {
    hp_section_name=$1
    shift
    hp_begin "$hp_section_name"
    {
        hp_section_status=$({
            {
                "$@" </dev/null 2>&1 3>&- 4>&-
                echo "$?" >&3
            } | hp_lines >&4
        } 3>&1)
    } 4>&1
    hp_end "$hp_section_name" "${hp_section_status:-1}"
}

hp_done() {
    printf '@%s done %s\n' "$HP_NONCE" "$1"
    exit "$1"
}

# hp_refuse CODE WORDS...: nothing was done.
hp_refuse() {
    hp_refuse_code=$1
    shift
    printf '@%s refuse %s %s\n' "$HP_NONCE" "$hp_refuse_code" "$*"
    exit 3
}

# --- arguments ----------------------------------------------------------------------------------

hp_is_number() {
    case $1 in
        '' | *[!0-9]*) return 1 ;;
        0) return 0 ;;
        0*) return 1 ;;
    esac
    # Longer ones don't fit the shell's arithmetic.
    [ "${#1}" -le 15 ]
}

# An operation's or a batch's id: it becomes the name of a folder, so no slash and no leading dot.
hp_is_id() {
    case $1 in
        '' | *[!a-z0-9.-]* | [!a-z0-9]*) return 1 ;;
    esac
    [ "${#1}" -le 64 ]
}

hp_is_boot_id() {
    case $1 in
        *[!0-9a-f-]*) return 1 ;;
        ????????-????-????-????-????????????) return 0 ;;
    esac
    return 1
}

hp_need_id() { hp_is_id "$2" || hp_refuse usage "not $1"; }

# --- files that must survive a power cut --------------------------------------------------------

# hp_write FILE: standard input becomes FILE, whole or not at all.
hp_write() {
    if cat >"$1.tmp.$$" && sync "$1.tmp.$$" && mv -f "$1.tmp.$$" "$1"; then
        sync "$(dirname "$1")"
        return
    fi
    rm -f "$1.tmp.$$"
    return 1
}

# hp_note FILE WORDS...: a line that has to be kept on a full disk as well. A few KiB are put aside for
# that, so that what a batch keeps for its rollback stays its own.
hp_note() {
    hp_note_file=$1
    shift
    printf '%s\n' "$*" | hp_write "$hp_note_file" 2>/dev/null && return
    rm -f "$HP_STATE/spare"
    printf '%s\n' "$*" | hp_write "$hp_note_file"
}

# Whole or not there: half of it would be no help, and would not be made again.
hp_spare() {
    [ ! -f "$HP_STATE/spare" ] || return 0
    head -c 65536 /dev/urandom 2>/dev/null >"$HP_STATE/spare" || rm -f "$HP_STATE/spare"
}

# hp_mark FILE: an empty file whose being there says something.
hp_mark() { : | hp_write "$1"; }

# hp_value FILE KEY: the rest of the first line that begins with KEY.
hp_value() { sed -n "s/^$2 //p" "$1" 2>/dev/null | head -n 1; }

# --- who and where ------------------------------------------------------------------------------

hp_uid() { id -u; }

hp_is_enrolled() { [ "$0" = "$HP_PATH" ]; }

# What touches the host is done by root, and by the installed helper alone.
hp_need_root() {
    hp_is_enrolled || hp_refuse usage "this verb is for the installed helper"
    [ "$(hp_uid)" = 0 ] || hp_refuse needs-root "this verb needs root"
    if [ -L "$HP_STATE" ]; then
        hp_refuse internal "$HP_STATE is a link"
    fi
    # umask 077 closes what is made on the way as well.
    # shellcheck disable=SC2174
    mkdir -p -m 0700 "$HP_STATE" "$HP_STATE/ops" "$HP_STATE/batches" ||
        hp_refuse internal "cannot make $HP_STATE"
    [ "$(stat -c %u "$HP_STATE")" = 0 ] || hp_refuse internal "$HP_STATE is not root's"
    chmod 0700 "$HP_STATE" || hp_refuse internal "cannot close $HP_STATE to others"
    cd "$HP_STATE" || hp_refuse internal "cannot enter $HP_STATE"
}

hp_boot_id() {
    read -r hp_boot </proc/sys/kernel/random/boot_id
    echo "$hp_boot"
}

# hp_started PID: when a process began, in ticks since boot (stat's field 22; the name in field 2
# may hold blanks and brackets, so it is cut away first). With the pid it names one process.
hp_started() { sed -n '1s/^.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Milliseconds since boot: a clock that nobody steps.
hp_uptime_ms() {
    read -r hp_uptime _ </proc/uptime
    hp_uptime=${hp_uptime%.*}${hp_uptime#*.}0
    # A leading zero would make it octal.
    while [ "${hp_uptime#0}" != "$hp_uptime" ] && [ "$hp_uptime" != 0 ]; do
        hp_uptime=${hp_uptime#0}
    done
    echo "$hp_uptime"
}

# hp_ticks PID: when a process began, by builtins alone: a hundred ticks a second (USER_HZ).
hp_ticks() {
    read -r hp_stat <"/proc/$1/stat"
    # shellcheck disable=SC2086
    set -- ${hp_stat##*) }
    echo "${20}"
}

# Milliseconds since this host began to boot: from when its first process began to when this one did, which
# is now, since it is made to ask. Not the uptime: in a container that is another's, or of another clock.
# It has to be called as a command substitution.
hp_since_boot_ms() {
    read -r hp_stat <"/proc/self/stat"
    # shellcheck disable=SC2086
    set -- ${hp_stat##*) }
    hp_ticks_now=${20}
    echo $(((hp_ticks_now - $(hp_ticks 1)) * 10))
}

# This boot of this host: containers share the kernel's boot id, and keep it when they are started anew.
hp_boot_word() { echo "$(hp_boot_id).$(hp_ticks 1)"; }

hp_has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# --- one at a time, and the epoch ---------------------------------------------------------------

# Verbs that change something pass here one by one. The lock dies with its process; whatever is
# started under it and stays gets 9>&-, so that no daemon inherits it.
hp_lock() {
    exec 9>>"$HP_STATE/lock" || hp_refuse internal "cannot open the lock"
    flock -w 20 9 || hp_refuse busy "another call holds the helper"
}

# hp_admit_epoch [BATCH]: two cockpits, the later one wins. A lower epoch is refused, a higher one is
# stored first. BATCH is one that is rolled back now: what it keeps for that may be let go for it, and no
# other's, whose rollback may be next.
hp_admit_epoch() {
    [ "$HP_EPOCH" != 0 ] || hp_refuse usage "this verb needs an epoch"
    hp_stored=$(cat "$HP_STATE/epoch" 2>/dev/null) || hp_stored=0
    hp_is_number "$hp_stored" || hp_refuse internal "the stored epoch is unreadable"
    if [ "$HP_EPOCH" -lt "$hp_stored" ]; then
        hp_refuse stale-epoch "$hp_stored"
    fi
    if [ "$HP_EPOCH" -gt "$hp_stored" ]; then
        hp_note "$HP_STATE/epoch" "$HP_EPOCH" ||
            { [ "$#" = 1 ] && rm -f "$HP_STATE/batches/$1/reserve" && hp_note "$HP_STATE/epoch" "$HP_EPOCH"; } ||
            hp_refuse no-space "cannot store the epoch"
    fi
    hp_spare
}
