# --- for people at the host's own console: holdpoint-helper console status | confirm | extend MINUTES | retry
# Its exit status: 0 it is done, or said; 1 it is not, and why was said.

hp_console() {
    if [ "$(hp_uid)" != 0 ] || [ ! -d "$HP_STATE" ]; then
        echo "holdpoint: this needs root: sudo $HP_PATH console $*" >&2
        exit 1
    fi
    case $*,$# in
        status,1)
            hp_console_status
            exit 0
            ;;
        confirm,1 | "confirm ${2-}",2 | retry,1 | "retry ${2-}",2) ;;
        "extend ${2-}",2 | "extend ${2-} ${3-}",3)
            hp_is_number "$2" && [ "$2" -ge 1 ] && [ "$2" -le 1440 ] || hp_console_usage
            ;;
        *) hp_console_usage ;;
    esac
    exec 9>>"$HP_STATE/lock" && flock -w 20 9 || {
        echo "holdpoint: another call holds the helper; try again"
        exit 1
    }
    case $1 in
        confirm) hp_console_pick armed "${2-}" ;;
        extend) hp_console_pick armed "${3-}" ;;
        retry) hp_console_pick rollback-failed "${2-}" ;;
    esac
    hp_console_"$1" "${2-}"
}

hp_console_usage() {
    echo "holdpoint: console status | confirm [BATCH] | extend MINUTES [BATCH] | retry [BATCH]" >&2
    exit 1
}

# hp_console_pick STATE [BATCH]: the batch in that state; with several of them its name has to be said.
hp_console_pick() {
    case $1 in
        armed) hp_pick_none="no batch waits for a confirmation on this host" ;;
        *) hp_pick_none="no rollback has failed on this host" ;;
    esac
    hp_pick_all=
    for hp_pick_dir in "$HP_STATE"/batches/*/timer; do
        [ "$(hp_timer_state "$hp_pick_dir")" = "$1" ] || continue
        hp_pick_batch=${hp_pick_dir%/timer}
        hp_pick_all="$hp_pick_all ${hp_pick_batch##*/}"
    done
    hp_pick_all=${hp_pick_all# }
    HP_PICKED=${2:-$hp_pick_all}
    case " $hp_pick_all " in
        "  ") echo "holdpoint: $hp_pick_none" ;;
        *" $HP_PICKED "*)
            case $HP_PICKED in
                *' '*) echo "holdpoint: there are several batches, name one: $hp_pick_all" ;;
                *)
                    HP_BATCH=$HP_STATE/batches/$HP_PICKED
                    HP_TIMER=$HP_BATCH/timer
                    return
                    ;;
            esac
            ;;
        *) echo "holdpoint: that batch is not $1; those are: $hp_pick_all" ;;
    esac
    hp_console_status
    exit 1
}

hp_clock() { date -d "@$1" '+%H:%M:%S %Z' 2>/dev/null; }

hp_console_left() {
    hp_timer_left "$HP_TIMER"
    echo "$((HP_LEFT / 60000)) min $((HP_LEFT / 1000 % 60)) s, at $(hp_clock $(($(hp_now) + HP_LEFT / 1000)))"
}

hp_console_status() {
    hp_status_found=0
    for hp_status_dir in "$HP_STATE"/batches/*/timer; do
        hp_status_batch=${hp_status_dir%/timer}
        hp_status_batch=${hp_status_batch##*/}
        HP_TIMER=$hp_status_dir
        hp_status_op=$(cat "$HP_TIMER/operation" 2>/dev/null)
        hp_status_log=$HP_STATE/ops/${hp_status_op:--}/out.log
        case $(hp_timer_state "$HP_TIMER") in
            armed)
                echo "holdpoint: batch $hp_status_batch on $(uname -n) is not confirmed."
                echo "  It is rolled back in $(hp_console_left)."
                echo "  Keep it, once the customers' path is checked:"
                echo "    sudo /usr/local/sbin/holdpoint-helper console confirm"
                echo "  Ten minutes more:"
                echo "    sudo /usr/local/sbin/holdpoint-helper console extend 10"
                ! hp_pause_is_ours || echo "  Unattended upgrades are paused until then."
                ;;
            firing) echo "holdpoint: batch $hp_status_batch is being rolled back; log: $hp_status_log" ;;
            rollback-failed)
                echo "holdpoint: the rollback of batch $hp_status_batch FAILED: $(head -n 1 "$HP_TIMER/why" 2>/dev/null)"
                echo "  Its log: $hp_status_log"
                echo "  It is tried again at the next boot. Unattended upgrades stay paused until it comes off. Again now:"
                echo "    sudo /usr/local/sbin/holdpoint-helper console retry"
                hp_snap_console "$HP_STATE/batches/$hp_status_batch"
                ;;
            *) continue ;;
        esac
        hp_status_found=1
    done
    [ "$hp_status_found" = 1 ] || echo "holdpoint: nothing waits on this host"
}

# That somebody came in by ssh proves nothing: it worked in the story as well. So a whole word is asked.
hp_console_confirm() {
    [ -t 0 ] || {
        echo "holdpoint: confirm asks a question, so it needs a terminal"
        exit 1
    }
    echo "Batch $HP_PICKED on $(uname -n) is rolled back in $(hp_console_left)."
    echo "Confirmed, it stays. A login by ssh is no proof: check the customers' own path first."
    printf 'Type the name of this host to confirm: '
    # Nobody waits for a person while holding the lock; what may have changed meanwhile, the rename tells.
    exec 9>&-
    read -r hp_console_word || hp_console_word=
    if [ "$hp_console_word" != "$(uname -n)" ]; then
        echo "holdpoint: that is not the name of this host; nothing was changed"
        exit 1
    fi
    exec 9>>"$HP_STATE/lock" && flock -w 20 9 || {
        echo "holdpoint: another call holds the helper; nothing was changed"
        exit 1
    }
    hp_kernel_keep "${HP_TIMER%/timer}" || {
        echo "holdpoint: NOT confirmed: $HP_K_WHY"
        exit 1
    }
    hp_timer_take "$HP_TIMER" confirmed && rm -f "$HP_BATCH/kernel.trial" || {
        echo "holdpoint: NOT confirmed, the timer is: $(hp_timer_state "$HP_TIMER")"
        exit 1
    }
    hp_snap_drop "$HP_BATCH" || echo "holdpoint: its snapshot could not be removed: $HP_S_AT"
    hp_pause_settle
    echo "holdpoint: batch $HP_PICKED is confirmed"
    exit 0
}

hp_console_extend() {
    hp_change_failed=0
    if ! hp_timer_change "$HP_TIMER" "$(($1 * 60))"; then
        echo "holdpoint: NOT extended, the timer is: $(hp_timer_state "$HP_TIMER")"
        exit 1
    fi
    if [ "$hp_change_failed" != 0 ]; then
        echo "holdpoint: NOT extended, the disk takes nothing"
        exit 1
    fi
    echo "holdpoint: batch $HP_PICKED is rolled back in $(hp_console_left)"
    exit 0
}

# The watcher finds a timer that fires and has no operation, and gives it one.
hp_console_retry() {
    hp_watch_install
    rm -f "$HP_TIMER/operation"
    if ! hp_timer_move "$HP_TIMER" firing rollback-failed; then
        echo "holdpoint: NOT tried again, the timer is: $(hp_timer_state "$HP_TIMER")"
        exit 1
    fi
    hp_watch_start
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
        if [ -f "$HP_TIMER/operation" ]; then
            echo "holdpoint: batch $HP_PICKED is being rolled back; log: $HP_STATE/ops/$(cat "$HP_TIMER/operation")/out.log"
            exit 0
        fi
        sleep 0.2
    done
    echo "holdpoint: the rollback of batch $HP_PICKED has not begun after 5 s; see: console status"
    exit 1
}
