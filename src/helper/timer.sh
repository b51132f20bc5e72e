# --- the dead-man timer: a batch that nobody confirms is rolled back ---------------------------------

# One timer for a batch, in batches/BATCH/timer. Which file is there is its state, and a rename is all
# that moves it, so each way out of `armed` has one winner, whoever else tries and whatever is killed:
#   armed -> confirmed, or armed -> firing -> rolled-back | rollback-failed
# Two of `armed` stand for moments only: armed.new while a verb writes new terms, armed.due while the
# watcher looks once more at what it is about to fire. Either can be taken as armed by whoever finds it.
# The state files are empty. What goes with them stands beside them, so that writing it can't bring a
# timer back that fired in between:
#   terms      token, plan, epoch, and when it fires
#   declared   the boot whose end was announced, the boot that came after it, and when that was done
#   operation  the rollback that it started
#   why, tried why that failed, and in which boot
HP_TIMER_STATES="armed armed.new armed.due firing confirmed rolled-back rollback-failed"

# hp_timer_file DIR: the state as the name of its file. A rename may pass between two looks.
hp_timer_file() {
    for _ in 1 2 3 4 5; do
        for hp_timer_state in $HP_TIMER_STATES; do
            if [ -f "$1/$hp_timer_state" ]; then
                echo "$hp_timer_state"
                return
            fi
        done
        [ -f "$1/terms" ] || break
    done
    echo none
}

hp_timer_state() {
    hp_state_of=$(hp_timer_file "$1")
    case $hp_state_of in
        armed.*) echo armed ;;
        *) echo "$hp_state_of" ;;
    esac
}

# hp_timer_move DIR TO FROM...: the first of FROM that is there becomes TO, in one step. A call that was
# killed, or the watcher, may have the timer under another of its names: so it is tried a few times.
hp_timer_move() {
    hp_move_dir=$1
    hp_move_to=$2
    shift 2
    for _ in 1 2 3; do
        for hp_move_from in "$@"; do
            if [ -f "$hp_move_dir/$hp_move_from" ] &&
                mv -fT "$hp_move_dir/$hp_move_from" "$hp_move_dir/$hp_move_to" 2>/dev/null; then
                sync "$hp_move_dir" 2>/dev/null
                return 0
            fi
        done
    done
    return 1
}

# All that may still be confirmed, extended or fired by whoever holds the helper's lock.
hp_timer_take() { hp_timer_move "$1" "$2" armed armed.new armed.due; }

hp_now() { date +%s; }

# hp_timer_read DIR: the terms into HP_T_*. Builtins alone: the watcher does it every second.
hp_timer_read() {
    HP_T_TOKEN=- HP_T_PLAN=- HP_T_EPOCH=0 HP_T_BOOT=- HP_T_DEADLINE='' HP_T_WALL=''
    HP_T_AFTER_BOOT='' HP_T_GRACE='' HP_T_CAP='' HP_T_CAP_MS='' HP_T_CAP_WALL=''
    HP_T_ENDED='' HP_T_SINCE=''
    [ -f "$1/terms" ] || return 1
    while read -r hp_terms_key hp_terms_value; do
        case $hp_terms_key in
            token) HP_T_TOKEN=$hp_terms_value ;;
            plan) HP_T_PLAN=$hp_terms_value ;;
            epoch) HP_T_EPOCH=$hp_terms_value ;;
            boot) HP_T_BOOT=$hp_terms_value ;;
            deadline-ms) HP_T_DEADLINE=$hp_terms_value ;;
            wall) HP_T_WALL=$hp_terms_value ;;
            after-boot) HP_T_AFTER_BOOT=$hp_terms_value ;;
            grace) HP_T_GRACE=$hp_terms_value ;;
            cap) HP_T_CAP=$hp_terms_value ;;
            cap-ms) HP_T_CAP_MS=$hp_terms_value ;;
            cap-wall) HP_T_CAP_WALL=$hp_terms_value ;;
        esac
    done 2>/dev/null <"$1/terms"
    if [ -f "$1/declared" ]; then
        read -r HP_T_ENDED HP_T_SINCE 2>/dev/null <"$1/declared"
    fi
    for hp_terms_value in "$HP_T_DEADLINE" "$HP_T_WALL" "$HP_T_AFTER_BOOT" "$HP_T_GRACE" "$HP_T_CAP" \
        "$HP_T_CAP_MS" "$HP_T_CAP_WALL"; do
        hp_is_number "$hp_terms_value" || return 1
    done
}

# hp_timer_due: after hp_timer_read, into HP_DUE the ms since boot at which the timer fires,
# and into HP_RULE by which rule. The wall clock counts in one case alone, and there it can only bring
# the deadline nearer: nobody disarms a timer by setting a clock.
hp_timer_due() {
    hp_due_boot=$(hp_boot_word)
    if [ "$HP_T_BOOT" = "$hp_due_boot" ]; then
        HP_RULE=same
        HP_DUE=$HP_T_DEADLINE
    elif [ "$HP_T_ENDED" = "$HP_T_BOOT" ] && { [ -z "$HP_T_SINCE" ] || [ "$HP_T_SINCE" = "$hp_due_boot" ]; }; then
        # Servers boot slowly and their clocks start wrong: what was announced counts from the boot.
        HP_RULE=declared
        HP_DUE=$((HP_T_AFTER_BOOT * 1000))
    else
        HP_RULE=undeclared
        HP_DUE=$((HP_T_GRACE * 1000))
        hp_due_wall=$(($(hp_since_boot_ms) + (HP_T_WALL - $(hp_now)) * 1000))
        [ "$hp_due_wall" -ge "$HP_DUE" ] || HP_DUE=$hp_due_wall
    fi
}

# hp_timer_left DIR: into HP_LEFT the milliseconds until it fires, 0 when it is due. Terms that can't be
# read are due: what can't be told is not taken for time that is left.
hp_timer_left() {
    HP_RULE=same
    HP_DUE=0
    HP_LEFT=0
    hp_timer_read "$1" || return 0
    hp_timer_due
    HP_LEFT=$((HP_DUE - $(hp_since_boot_ms)))
    [ "$HP_LEFT" -gt 0 ] || HP_LEFT=0
}

# Under the helper's lock: the terms, in the words of the boot that is. HP_T_* are what is written.
hp_timer_write() {
    hp_write "$1/terms" <<TERMS
token $HP_T_TOKEN
plan $HP_T_PLAN
epoch $HP_T_EPOCH
boot $HP_T_BOOT
deadline-ms $HP_T_DEADLINE
wall $HP_T_WALL
after-boot $HP_T_AFTER_BOOT
grace $HP_T_GRACE
cap $HP_T_CAP
cap-ms $HP_T_CAP_MS
cap-wall $HP_T_CAP_WALL
TERMS
}

# Terms of an earlier boot become terms of this one, with the deadline that counts now.
hp_timer_settle() {
    hp_timer_due
    [ "$HP_RULE" != same ] || return 0
    hp_settle_up=$(hp_since_boot_ms)
    hp_settle_cap=$((HP_T_CAP_WALL - $(hp_now)))
    [ "$hp_settle_cap" -ge 0 ] || hp_settle_cap=0
    [ "$hp_settle_cap" -le "$HP_T_CAP" ] || hp_settle_cap=$HP_T_CAP
    HP_T_CAP_MS=$((hp_settle_up + hp_settle_cap * 1000))
    HP_T_BOOT=$(hp_boot_word)
    hp_timer_until "$HP_DUE"
}

# hp_timer_until MS: the deadline by this boot's uptime, and the same by the wall clock.
hp_timer_until() {
    HP_T_DEADLINE=$1
    [ "$HP_T_DEADLINE" -ge 0 ] || HP_T_DEADLINE=0
    HP_T_WALL=$(($(hp_now) + (HP_T_DEADLINE - $(hp_since_boot_ms) + 999) / 1000))
    [ "$HP_T_WALL" -ge 0 ] || HP_T_WALL=0
}

# hp_timer_change DIR SECONDS: puts the deadline off, up to the cap and never nearer. 1: it is armed no
# more. While it is done the timer is armed.new; killed there, it is armed with the terms of before or after.
hp_timer_change() {
    hp_timer_take "$1" armed.new || return 1
    if hp_timer_read "$1"; then
        hp_timer_settle
        hp_change_to=$((HP_T_DEADLINE + $2 * 1000))
        [ "$hp_change_to" -le "$HP_T_CAP_MS" ] || hp_change_to=$HP_T_CAP_MS
        [ "$hp_change_to" -le "$HP_T_DEADLINE" ] || hp_timer_until "$hp_change_to"
        hp_timer_write "$1" || hp_change_failed=1
    fi
    hp_timer_move "$1" armed armed.new
}
