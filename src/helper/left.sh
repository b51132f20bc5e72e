# --- what is left on the host, and what clean would take ------------------------------------------------

hp_left_bytes() {
    hp_left_kib=$(du -sk -- "$@" 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }')
    echo "$((hp_left_kib * 1024))"
}

# hp_batch_open BATCH: the state of one that a window has not done with, or nothing. What was confirmed, went
# back or was never staged whole is over.
hp_batch_open() {
    hp_open_dir=$HP_STATE/batches/$1
    hp_open_state=$(hp_timer_state "$hp_open_dir/timer")
    case $hp_open_state in
        armed | firing | rollback-failed) echo "$hp_open_state" ;;
        none)
            [ ! -f "$hp_open_dir/rolled-back" ] || return 0
            if [ -f "$hp_open_dir/begun" ]; then
                echo applied
            elif [ -f "$hp_open_dir/staged" ]; then
                echo staged
            fi
            ;;
    esac
}

# hp_batch_epoch BATCH: the highest epoch that came with work on it, or 0.
hp_batch_epoch() {
    cat "$HP_STATE"/ops/*/intent "$HP_STATE/batches/$1/timer/terms" 2>/dev/null | awk -v id="$1" '
        $1 == "kind" { ours = 0 }
        $1 == "batch" { ours = ($2 "" == id "") }
        $1 == "token" { ours = 1 }
        $1 == "epoch" && ours && $2 ~ /^[0-9]+$/ && $2 + 0 > top + 0 { top = $2 }
        END { print top == "" ? 0 : top }'
}

# BATCH STATE EPOCH of each that is open.
hp_batches_open() {
    for hp_open in "$HP_STATE"/batches/*/; do
        hp_open=${hp_open%/}
        hp_open=${hp_open##*/}
        hp_is_id "$hp_open" || continue
        hp_open_is=$(hp_batch_open "$hp_open")
        [ -z "$hp_open_is" ] || echo "$hp_open $hp_open_is $(hp_batch_epoch "$hp_open")"
    done
}

# hp_clean_open [BATCH...]: why clean would refuse for a batch that is open and none of those, or nothing.
hp_clean_open() {
    hp_batches_open | while read -r hp_open_id hp_open_is hp_open_epoch; do
        case " $* " in
            *" $hp_open_id "*) ;;
            *)
                echo "batch $hp_open_id is open here: $hp_open_is, by the window of epoch $hp_open_epoch"
                break
                ;;
        esac
    done
}

# Why clean would refuse whoever asks, or nothing.
hp_clean_held() {
    if hp_any_running ''; then
        echo "an operation is running"
    elif hp_timers_any "armed armed.new armed.due firing rollback-failed"; then
        echo "a timer is armed or firing, or its rollback failed and needs what is stored"
    elif [ -n "$(ls "$HP_STATE"/batches/*/kernel.trial 2>/dev/null)" ]; then
        echo "a kernel is on trial still, and what ends that is stored: roll the batch back once more"
    fi
}

hp_left_lines() {
    for hp_left_dir in "$HP_STATE"/batches/*/; do
        hp_left_id=${hp_left_dir%/}
        hp_left_id=${hp_left_id##*/}
        hp_is_id "$hp_left_id" && [ -d "$hp_left_dir" ] || continue
        hp_left_state=$(hp_timer_state "${hp_left_dir}timer")
        if [ "$hp_left_state" = none ] && [ -f "${hp_left_dir}rolled-back" ]; then
            hp_left_state=rolled-back
        elif [ "$hp_left_state" = none ] && [ -f "${hp_left_dir}begun" ]; then
            hp_left_state=applied
        elif [ "$hp_left_state" = none ]; then
            hp_left_state=staged
        fi
        echo "batch $hp_left_id $hp_left_state $(hp_left_bytes "$hp_left_dir")"
    done
    echo "operations $(find "$HP_STATE/ops" -mindepth 1 -maxdepth 1 -type d | wc -l)"
    echo "bytes $(hp_left_bytes "$HP_STATE/batches" "$HP_STATE/ops")"
    for hp_left_dir in "$HP_STATE"/batches/*/snap.taken; do
        if [ -f "$hp_left_dir" ] && hp_snap_read "$hp_left_dir" && hp_snap_is_there; then
            echo "snapshot $HP_S_KIND $HP_S_AT"
        fi
    done
    hp_batches_open | sed 's/^/open /'
    hp_pins | sed 's/^/pin /'
    hp_left_held=$(hp_clean_held)
    echo "held ${hp_left_held:--}"
}

hp_verb_left() {
    [ "$#" = 0 ] || hp_refuse usage "left takes no words"
    hp_need_root
    hp_section left hp_left_lines
    hp_done 0
}
