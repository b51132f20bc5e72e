# --- the dead-man timer's verbs, and where other verbs meet it -----------------------------------------

hp_need_batch() {
    hp_need_id "a batch id" "$1"
    hp_need_root
    HP_BATCH=$HP_STATE/batches/$1
    HP_TIMER=$HP_BATCH/timer
}

hp_is_token() {
    case $1 in
        *[!a-z0-9]*) return 1 ;;
    esac
    [ "${#1}" -ge 8 ] && [ "${#1}" -le 64 ]
}

hp_is_plan() {
    case $1 in
        *[!0-9a-f]*) return 1 ;;
    esac
    [ "${#1}" = 64 ]
}

# Whole seconds, at most a month.
hp_is_span() { hp_is_number "$1" && [ "$1" -le 2678400 ]; }

hp_not_armed() { hp_refuse not-armed "$(hp_timer_state "$HP_TIMER")"; }

hp_wrong_token() { hp_refuse wrong-token "the timer was armed with other words"; }

hp_timer_lines() {
    hp_lines_state=$(hp_timer_state "$HP_TIMER")
    hp_timer_read "$HP_TIMER"
    echo "state $hp_lines_state"
    echo "token $HP_T_TOKEN"
    echo "plan $HP_T_PLAN"
    HP_LEFT=0
    HP_RULE=same
    [ "$hp_lines_state" != armed ] || hp_timer_left "$HP_TIMER"
    echo "left $(((HP_LEFT + 999) / 1000))"
    echo "boot $HP_RULE"
    if hp_timers_any "armed armed.new armed.due firing"; then
        echo "watch $(hp_watch_read)"
    else
        echo "watch none"
    fi
    hp_lines_word=$(cat "$HP_TIMER/operation" 2>/dev/null)
    echo "operation ${hp_lines_word:--}"
    hp_lines_word=$(head -n 1 "$HP_TIMER/why" 2>/dev/null)
    if [ "$hp_lines_state" = armed ] && hp_watch_is_alive && ! hp_watch_survives; then
        hp_lines_word="a reboot would end it: $(hp_watch_why)"
    fi
    echo "why ${hp_lines_word:--}"
}

hp_timer_answer() {
    hp_section timer hp_timer_lines
    hp_done 0
}

hp_verb_timer() {
    [ "$#" = 1 ] || hp_refuse usage "timer BATCH"
    hp_need_batch "$1"
    hp_section timer hp_timer_lines
    # What a confirm waits for. Once it is confirmed, or goes back, nobody asks.
    if [ "$(hp_timer_state "$HP_TIMER")" = armed ] && [ -f "$HP_BATCH/begun" ]; then
        hp_fact replaced hp_batch_replaced
    fi
    hp_done 0
}

# hp_verb_arm BATCH TOKEN PLAN AFTER BOOT GRACE CAP
hp_verb_arm() {
    [ "$#" = 7 ] && hp_is_token "$2" && hp_is_plan "$3" && hp_is_span "$4" && hp_is_span "$5" &&
        hp_is_span "$6" && hp_is_span "$7" || hp_refuse usage "arm BATCH TOKEN PLAN AFTER BOOT GRACE CAP"
    hp_need_batch "$1"
    # The rollback is an operation, and its id is made of the batch's.
    [ "${#1}" -le 52 ] || hp_refuse usage "the batch id is too long for a timer"
    hp_lock
    hp_admit_epoch
    [ -f "$HP_BATCH/staged" ] || hp_refuse usage "no batch of that name was staged here"
    hp_arm_state=$(hp_timer_state "$HP_TIMER")
    case $hp_arm_state in
        armed)
            hp_timer_read "$HP_TIMER" || HP_T_TOKEN=-
            if [ "$HP_T_TOKEN" = "$2" ]; then
                [ "$HP_T_PLAN" = "$3" ] || hp_wrong_token
            else
                # A timer whose apply never began, since its answer was lost, stands in nobody's way.
                [ "$HP_EPOCH" -gt "$HP_T_EPOCH" ] || [ ! -f "$HP_BATCH/begun" ] || hp_wrong_token
            fi
            ;;
        none) ;;
        rolled-back)
            # That very apply was rolled back: what comes late must not arm what is not there any more.
            hp_timer_read "$HP_TIMER" && [ "$HP_T_TOKEN" = "$2" ] && hp_not_armed
            ;;
        *) hp_refuse not-armed "$hp_arm_state" ;;
    esac
    # What watches comes first: a timer that is armed has something that fires it, in the next boot too. One
    # that is armed already keeps what it has.
    hp_watch_install
    if [ "$hp_arm_state" != armed ]; then
        # One that a boot would end makes way for one that systemd keeps.
        ! hp_watch_is_alive || hp_watch_survives || hp_watch_end
        hp_watch_start
        hp_watch_survives || hp_refuse unarmed "the timer would not survive a reboot: $(hp_watch_why)"
    fi
    if [ "$hp_arm_state" = armed ]; then
        hp_timer_take "$HP_TIMER" armed.new || hp_not_armed
    else
        mkdir -p "$HP_TIMER" && (cd "$HP_TIMER" && rm -f rolled-back operation why tried declared) ||
            hp_refuse no-space "cannot make the timer's folder"
        HP_T_TOKEN=-
    fi
    hp_arm_up=$(hp_since_boot_ms)
    if [ "$HP_T_TOKEN" = "$2" ]; then
        hp_timer_settle
    else
        HP_T_CAP=$7
        HP_T_CAP_MS=$((hp_arm_up + $7 * 1000))
        HP_T_CAP_WALL=$(($(hp_now) + $7))
    fi
    HP_T_TOKEN=$2
    HP_T_PLAN=$3
    HP_T_EPOCH=$HP_EPOCH
    HP_T_BOOT=$(hp_boot_word)
    HP_T_AFTER_BOOT=$5
    HP_T_GRACE=$6
    hp_arm_to=$((hp_arm_up + $4 * 1000))
    [ "$hp_arm_to" -le "$HP_T_CAP_MS" ] || hp_arm_to=$HP_T_CAP_MS
    hp_timer_until "$hp_arm_to"
    hp_arm_written=0
    hp_timer_write "$HP_TIMER" || hp_arm_written=1
    if [ "$hp_arm_state" = armed ]; then
        hp_timer_move "$HP_TIMER" armed armed.new || hp_not_armed
    elif [ "$hp_arm_written" = 0 ]; then
        hp_mark "$HP_TIMER/armed" && sync "$HP_BATCH" || hp_arm_written=1
    fi
    [ "$hp_arm_written" = 0 ] || hp_refuse no-space "cannot write the timer's terms"
    hp_pause_keep
    hp_watch_start
    hp_timer_answer
}

# The answer may have been lost: what is confirmed with these words is confirmed.
hp_verb_confirm() {
    [ "$#" = 3 ] && hp_is_token "$2" && hp_is_plan "$3" || hp_refuse usage "confirm BATCH TOKEN PLAN"
    hp_need_batch "$1"
    hp_lock
    hp_admit_epoch
    case $(hp_timer_state "$HP_TIMER") in
        armed | confirmed) ;;
        *) hp_not_armed ;;
    esac
    hp_timer_read "$HP_TIMER"
    if [ "$HP_T_TOKEN" != "$2" ] || [ "$HP_T_PLAN" != "$3" ]; then
        hp_wrong_token
    fi
    if [ ! -f "$HP_TIMER/confirmed" ]; then
        hp_kernel_keep "$HP_BATCH" || hp_refuse internal "$HP_K_WHY"
        hp_timer_take "$HP_TIMER" confirmed || hp_not_armed
        rm -f "$HP_BATCH/kernel.trial"
    fi
    sync "$HP_TIMER" || hp_refuse internal "the disk does not keep it; ask again"
    hp_snap_drop "$HP_BATCH" || : # What is left of it `left` says, and `clean` takes.
    hp_pause_settle
    hp_timer_answer
}

hp_verb_extend() {
    [ "$#" = 3 ] && hp_is_token "$2" && hp_is_span "$3" || hp_refuse usage "extend BATCH TOKEN SECONDS"
    hp_need_batch "$1"
    hp_lock
    hp_admit_epoch
    [ "$(hp_timer_state "$HP_TIMER")" = armed ] || hp_not_armed
    hp_timer_read "$HP_TIMER"
    [ "$HP_T_TOKEN" = "$2" ] || hp_wrong_token
    # By 0 it is asked for this alone: that something watches again.
    hp_watch_install
    hp_watch_start
    hp_change_failed=0
    hp_timer_change "$HP_TIMER" "$3" || hp_not_armed
    [ "$hp_change_failed" = 0 ] || hp_refuse no-space "cannot write the timer's terms"
    hp_timer_answer
}

hp_verb_claim() {
    [ "$#" = 0 ] || hp_refuse usage "claim takes no words"
    hp_need_root
    hp_lock
    hp_admit_epoch
    hp_section id hp_identity
    hp_done 0
}

# --- where other verbs meet it

# hp_timers_any "STATE...": whether any batch's timer is in one of those.
hp_timers_any() {
    for hp_any_dir in "$HP_STATE"/batches/*/timer; do
        case " $1 " in
            *" $(hp_timer_file "$hp_any_dir") "*) return 0 ;;
        esac
    done
    return 1
}

# Nothing is applied that would stay if nobody came back.
hp_need_armed() {
    HP_TIMER=$HP_STATE/batches/$1/timer
    if [ "$(hp_timer_state "$HP_TIMER")" = armed ]; then
        hp_timer_left "$HP_TIMER"
        [ "$HP_LEFT" = 0 ] || [ "$(hp_watch_read)" = none ] || return 0
    fi
    hp_refuse unarmed "the batch's timer is not armed"
}

# hp_timer_rollback BATCH OP: somebody rolls the batch back, so no confirm can win any more. One that
# fires already goes on with the operation that it has.
hp_timer_rollback() {
    HP_TIMER=$HP_STATE/batches/$1/timer
    case $(hp_timer_state "$HP_TIMER") in
        armed | rollback-failed) ;;
        *) return 0 ;;
    esac
    # The operation first: a timer that fires and has none gets one from the watcher.
    hp_note "$HP_TIMER/operation" "$2" || return 1
    hp_timer_take "$HP_TIMER" firing || hp_timer_move "$HP_TIMER" firing rollback-failed || :
}

# hp_timer_ended EXIT: at the end of a rollback, whoever started it, and before it says so.
hp_timer_ended() {
    HP_TIMER=$HP_BATCH/timer
    # It goes on after the boot that is to come: until then it fires still.
    [ -d "$HP_TIMER" ] && [ "$1" != "$HP_GOES_ON" ] || return 0
    if [ "$1" = 0 ]; then
        # Confirmed before, and rolled back all the same: it may be armed for another round.
        hp_timer_move "$HP_TIMER" rolled-back firing rollback-failed confirmed && rm -f "$HP_TIMER/why"
    elif [ -f "$HP_TIMER/firing" ]; then
        hp_note "$HP_TIMER/why" "$(hp_timer_why "$1")"
        hp_note "$HP_TIMER/tried" "$(hp_boot_word)"
        hp_timer_move "$HP_TIMER" rollback-failed firing
    fi
    # No lock, no tidying: then the watcher does it.
    (exec 9>>"$HP_STATE/lock" && flock -w 20 9 && hp_watch_tidy)
}

hp_timer_why() {
    hp_why=$(hp_value "$HP_OP/result.part" failed)
    if [ -z "$hp_why" ]; then
        hp_why="the rollback ended with $1"
        hp_audit_is_clean || hp_why="$hp_why; packages are half done"
        hp_all_are_at 4 || hp_why="$hp_why; packages are not at their old versions"
        ! grep -q '^dependencies unmet' "$HP_OP/result.part" || hp_why="$hp_why; dependencies are unmet"
        ! grep -q '^file-differs ' "$HP_OP/result.part" || hp_why="$hp_why; files of old packages are missing"
    fi
    hp_why_kept=$(hp_value "$HP_OP/result.part" "snapshot kept")
    [ -z "$hp_why_kept" ] || hp_why="$hp_why; a snapshot of before is kept: $hp_why_kept"
    printf '%s\n' "$hp_why" | tr -cd ' -~\n' | head -n 1 | cut -c 1-500
}

# Before a planned reboot: its end is announced to each armed timer, in terms of the boot that ends, with
# the moment of this boot at which that was done: what does not come true soon is taken back.
hp_timers_declare() {
    for hp_declare_dir in "$HP_STATE"/batches/*/timer; do
        [ "$(hp_timer_state "$hp_declare_dir")" = armed ] || continue
        hp_change_failed=0
        hp_timer_change "$hp_declare_dir" 0 || continue
        [ "$hp_change_failed" = 0 ] &&
            printf '%s\nat %s\n' "$(hp_boot_word)" "$(hp_since_boot_ms)" | hp_write "$hp_declare_dir/declared" ||
            return 1
    done
}
