# --- apply ------------------------------------------------------------------------------------------

# Everything that can be wrong is looked for before the first change: exit 2 and a line `refused`
# mean that nothing was touched.
hp_apply() {
    hp_apply_check || return 2
    if [ -f "$HP_BATCH/rolled-back" ]; then
        # A rehearsal applies again what it rolled back. `begun` goes first: without it there is
        # nothing to roll back, and that is true now.
        rm -f "$HP_BATCH/begun" && sync "$HP_BATCH" && hp_forget_run || return 2
    fi
    hp_save_before || {
        hp_result "refused no-space cannot save what is there now"
        return 2
    }
    hp_snap_take || {
        hp_apply_refused no-snapshot "$HP_S_WHY"
        return 2
    }
    hp_mark "$HP_BATCH/begun" || {
        hp_result "refused no-space cannot write the mark that the apply begins"
        hp_snap_drop "$HP_BATCH"
        return 2
    }
    hp_kernel_before || {
        hp_kernel_back
        # What could not be put back there is the rollback's: to it this has begun.
        if [ ! -f "$HP_BATCH/kernel.trial" ]; then
            rm -f "$HP_BATCH/begun"
            hp_snap_drop "$HP_BATCH"
        fi
        hp_result "refused kernel GRUB could not be told to keep the running kernel as its default"
        return 2
    }
    hp_unpin_batch
    hp_say "installing"
    hp_install_new
    hp_apply_status=$?
    hp_say "apt ended with $hp_apply_status"
    hp_apply_report
}

hp_install_new() {
    # The ids and names hold no blank: checked when the spec came in.
    # shellcheck disable=SC2046
    hp_apt -y install $(hp_transaction new)
}

# What a run of apply and rollback leaves in the batch's folder.
hp_forget_run() {
    (cd "$HP_BATCH" && rm -f rolled-back boot-back marks.* extended_states.* versions.* addresses.* routes?.* units.* files.* etc.* tools/restored && sync .)
}

hp_apply_refused() {
    hp_result "refused $*"
    hp_say "refused: $*"
    return 1
}

hp_apply_check() {
    [ -f "$HP_BATCH/staged" ] || {
        hp_apply_refused not-staged "this batch was not staged"
        return
    }
    if [ -f "$HP_BATCH/begun" ] && [ ! -f "$HP_BATCH/rolled-back" ]; then
        hp_apply_refused already-begun "this batch was applied before and was not rolled back"
        return
    fi
    hp_wait_for_dpkg 120 || {
        hp_apply_refused locked "a package manager is at work"
        return
    }
    hp_paused_within 120 || {
        hp_apply_refused "$hp_paused_why"
        return
    }
    # What is prepared and not yet triggered does nothing at a boot; what is was named at stage, or came since.
    hp_offline_why=$(hp_offline_against)
    [ -z "$hp_offline_why" ] || {
        hp_apply_refused offline-update "$hp_offline_why"
        return
    }
    hp_audit_is_clean || {
        hp_apply_refused audit "dpkg says that packages are half done already"
        return
    }
    hp_dependencies_are_met || {
        hp_apply_refused dependencies "apt says that dependencies are unmet already"
        return
    }
    hp_apply_hashes || return
    hp_feet_intact || {
        hp_apply_refused mismatch "the copied tools are not those that were proven"
        return
    }
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        hp_is_at "$hp_n" "$hp_a" "$hp_f" || {
            hp_apply_refused from-differs "$hp_n:$hp_a $hp_f $(hp_installed "$hp_n" "$hp_a" | tr '\t' ' ')"
            return
        }
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    hp_apply_space || return
    hp_simulate_transaction new "$HP_BATCH/forward.raw" && hp_simulated "$HP_BATCH/forward.raw" >"$HP_BATCH/forward.now"
    cmp -s "$HP_BATCH/forward.now" "$HP_BATCH/forward" || {
        diff "$HP_BATCH/forward" "$HP_BATCH/forward.now"
        hp_apply_refused forward-differs "apt would do something else than when this was staged"
        return
    }
    # It may have fired while this waited. From here on a rollback waits for the apply instead.
    [ "$(hp_timer_state "$HP_BATCH/timer")" = armed ] || hp_apply_refused unarmed "the batch's timer is not armed any more"
}

# The files are those that were staged, and all of them are there: the new ones, and the old ones, which
# are the way back. What was staged without an old file has none to compare.
hp_apply_hashes() { hp_apply_hashes_of new && hp_apply_hashes_of old; }

hp_apply_hashes_of() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f hp_t _; do
        hp_want=$(hp_hash_of "$HP_BATCH/hashes.$1" "$hp_n:$hp_a")
        if [ "$1" = old ]; then
            [ -n "$hp_want" ] || continue
            hp_t=$hp_f
        fi
        [ "$hp_t" = - ] && continue
        hp_got=
        for hp_file_arch in "$hp_a" all "$(dpkg --print-architecture)"; do
            hp_file=$HP_BATCH/$1/$(hp_deb_name "$hp_n" "$hp_t" "$hp_file_arch")
            [ -f "$hp_file" ] || continue
            hp_got=$(hp_sha256 "$hp_file")
            break
        done
        if [ -z "$hp_want" ] || [ "$hp_want" != "$hp_got" ]; then
            hp_apply_refused mismatch "$hp_n:$hp_a ${hp_want:--} ${hp_got:--}"
            return
        fi
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

hp_apply_space() {
    hp_need=$(($(du -sk "$HP_BATCH/new" | cut -f 1) * 2048 + 33554432))
    for hp_space_path in "$HP_STATE" /usr; do
        hp_free=$(df -PB1 "$hp_space_path" | awk 'NR == 2 { print $4 }')
        if [ "${hp_free:-0}" -lt "$hp_need" ]; then
            hp_apply_refused no-space "$hp_space_path"
            return
        fi
    done
}

hp_apply_report() {
    hp_apply_ok=0
    hp_restore_marks || hp_apply_ok=1
    hp_etc_save "$HP_BATCH/etc.after" || hp_apply_ok=1
    hp_units | hp_write "$HP_BATCH/units.after" || hp_apply_ok=1
    {
        hp_etc_differing "$HP_BATCH/etc.before" "$HP_BATCH/etc.after" | sed 's/^/etc-changed /'
        hp_restarted "$HP_BATCH/units.before" "$HP_BATCH/units.after" | sed 's/^/unit-restarted /'
        hp_batch_versions | sed 's/^/package /'
    } >>"$HP_OP/result.part"
    hp_result "apt-exit $hp_apply_status"
    hp_result "audit $(hp_audit_words)"
    hp_audit_is_clean || hp_apply_ok=1
    if hp_dependencies_are_met; then
        hp_result "dependencies met"
    else
        hp_result "dependencies unmet"
        hp_apply_ok=1
    fi
    if hp_marks_are_before; then
        hp_result "marks same"
    else
        hp_result "marks differ"
    fi
    hp_kernel_after || hp_apply_ok=1
    hp_snap_report
    if [ -e /run/reboot-required ] || [ -f "$HP_BATCH/kernel.trial" ]; then
        hp_result "reboot-required yes"
    else
        hp_result "reboot-required no"
    fi
    hp_all_are_at 5 || hp_apply_ok=1
    return "$hp_apply_ok"
}
