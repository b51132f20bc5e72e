# --- what is left on the host, and what clean would take ------------------------------------------------

hp_left_bytes() {
    hp_left_kib=$(du -sk -- "$@" 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }')
    echo "$((hp_left_kib * 1024))"
}

# Why clean would refuse now, or nothing.
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
