# --- a batch's own kernel runs: it is booted away before it is removed ----------------------------------

# To remove the kernel that runs takes its modules from under it. So a rollback, whoever asked for it, boots the
# kernel of before first and goes on by itself after that: its timer fires all the while, so what watches that
# starts the next operation, with nobody there. Once for a batch. Where it can't be, or did not help, the packages
# of the running kernel stay, the rest goes back, and the rollback has failed by that: it is tried again at the
# next boot, as any that failed.
#   kernel.was  the kernel that ran when the batch was applied
#   boot-back   the one reboot for this: ended BOOT, at MS, ordered once it was, and failed WHY where it did not come
# The exit status of a rollback that goes on after a boot.
HP_GOES_ON=75
# The kernel whose packages stay, why, and what is to be done.
HP_STAYS=
HP_STAYS_WHY=
HP_STAYS_THEN=

# hp_is_kernel_of NAME RELEASE: an image or modules of that kernel.
hp_is_kernel_of() {
    case $1 in
        "linux-image-$2" | "linux-image-unsigned-$2" | "linux-image-extra-$2" | "linux-modules-$2" | \
            "linux-modules-"*"-$2" | "linux-signed-image-$2") return 0 ;;
    esac
    return 1
}

# hp_stays NAME FROM: what the batch brought and the running kernel needs.
hp_stays() { [ -n "$HP_STAYS" ] && [ "$2" = - ] && hp_is_kernel_of "$1" "$HP_STAYS"; }

# Whether the kernel that runs is one that the batch brought and that is still installed: HP_K_RUNS.
hp_bootback_runs() {
    HP_K_RUNS=$(uname -r)
    hp_kernel_find
    case "$HP_K_ADDED" in *" $HP_K_RUNS "*) ;; *) return 1 ;; esac
    ! systemd-detect-virt -cq 2>/dev/null || return 1
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] && hp_is_kernel_of "$hp_n" "$HP_K_RUNS" && ! hp_is_at "$hp_n" "$hp_a" - && return 0
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    return 1
}

# Before a rollback puts anything back. 1: the host boots now, and the rollback goes on after that.
hp_bootback() {
    HP_STAYS=
    HP_BOOTBACK_MINE=
    hp_bootback_boot_is_there || hp_say "/boot is not mounted, and could not be"
    if ! hp_bootback_runs; then
        if [ -f "$HP_BATCH/boot-back" ]; then
            # What it was booted away for is over. What the rest of this boot brings up is let come first.
            hp_say "kernel $HP_K_RUNS runs now: going on"
            [ "$HP_PATH" != "$HP_DEADMAN" ] || ! hp_has_systemd ||
                timeout -k 10 180 systemctl is-system-running --wait >/dev/null 2>&1 8>&- || :
        fi
        return 0
    fi
    # What an older helper applied has it beside its trial.
    hp_bootback_was=$(cat "$HP_BATCH/kernel.was" 2>/dev/null)
    [ -n "$hp_bootback_was" ] || hp_bootback_was=$(hp_value "$HP_BATCH/kernel.trial" old)
    [ -n "$hp_bootback_was" ] || hp_bootback_was=$(hp_value "$HP_BATCH/kernel" old)
    if hp_bootback_comes "$HP_BATCH"; then
        if [ -z "$(hp_value "$HP_BATCH/boot-back" ordered)" ] && hp_kernel_hold "$hp_bootback_was" "$HP_K_RUNS"; then
            # Whoever intended it is gone, or this would not run, and was cut off before it gave the order.
            HP_BOOTBACK_MINE=yes
        fi
        hp_say "the reboot into kernel $hp_bootback_was is on its way"
        return 1
    fi
    HP_STAYS_WHY=$(hp_bootback_against)
    if [ -z "$HP_STAYS_WHY" ]; then
        hp_say "kernel $HP_K_RUNS of this batch runs: booting $hp_bootback_was first"
        if hp_bootback_intend; then
            hp_result "boots-back $hp_bootback_was"
            HP_BOOTBACK_MINE=yes
            return 1
        fi
        HP_STAYS_WHY=$(hp_value "$HP_BATCH/boot-back" failed)
    fi
    HP_STAYS=$HP_K_RUNS
    HP_STAYS_THEN="boot another kernel, then it goes on"
    # Whenever it is booted next, by whomever, it is into the kernel of before.
    HP_K_WHY=
    if [ -n "$hp_bootback_was" ]; then
        hp_kernel_can_be_default "$hp_bootback_was"
        if [ -z "$HP_K_WHY" ] && hp_kernel_hold "$hp_bootback_was" "$HP_K_RUNS"; then
            HP_STAYS_THEN="the next boot is into $hp_bootback_was, then it goes on"
        fi
    fi
    hp_say "kernel $HP_STAYS runs, so its packages stay: $HP_STAYS_WHY; $HP_STAYS_THEN"
    # What could not be said, on a full disk, is no reason to wait for a boot.
    return 0
}

# A rollback early in a boot, or in one that ended in emergency mode, may come before it.
hp_bootback_boot_is_there() {
    awk '$1 !~ /^#/ && $2 == "/boot" { found = 1 } END { exit !found }' /etc/fstab 2>/dev/null || return 0
    mountpoint -q /boot || timeout -k 10 30 mount /boot >/dev/null 2>&1 7>&- 8>&- 9>&-
}

# hp_bootback_comes BATCH-FOLDER: whether the reboot was ordered in this boot and may still come. By this boot's
# own clock, as for any reboot that is announced.
hp_bootback_comes() {
    [ "$(hp_value "$1/boot-back" ended)" = "$(hp_boot_word)" ] && [ -z "$(hp_value "$1/boot-back" failed)" ] || return 1
    hp_bootback_at=$(hp_value "$1/boot-back" at)
    hp_is_number "$hp_bootback_at" && [ $(($(hp_since_boot_ms) - hp_bootback_at)) -lt "$HP_ANNOUNCED_MS" ]
}

# Why the host is not booted now, in words; nothing where it can be.
hp_bootback_against() {
    HP_K_WHY=
    if [ -f "$HP_BATCH/boot-back" ]; then
        hp_bootback_failed=$(hp_value "$HP_BATCH/boot-back" failed)
        if [ -n "$hp_bootback_failed" ]; then
            echo "$hp_bootback_failed"
        elif [ "$(hp_value "$HP_BATCH/boot-back" ended)" = "$(hp_boot_word)" ]; then
            echo "the reboot that was ordered did not come"
        else
            echo "it was booted away once and runs again"
        fi
        return
    fi
    if [ -z "$hp_bootback_was" ]; then
        echo "the kernel that ran before is not on record"
        return
    fi
    hp_bootback_names=$({ hp_facts_passphrases </etc/crypttab; } 2>/dev/null | sed 's/^passphrase //' | tr '\n' ' ')
    if [ -n "$hp_bootback_names" ]; then
        echo "this host waits for a disk passphrase at boot (${hp_bootback_names% }), and nobody may be there"
    elif ! hp_audit_is_clean; then
        echo "packages are half done, and are repaired before any boot"
    elif hp_dpkg_is_held; then
        echo "a package manager is at work"
    elif [ -n "$(hp_offline_against)" ]; then
        hp_offline_against
    elif hp_reboot_is_inhibited; then
        echo "reboots are inhibited here"
    elif ! hp_bootback_watched; then
        echo "nothing here would go on after a reboot (watched by $(hp_watch_read))"
    else
        hp_kernel_can_be_default "$hp_bootback_was"
        [ -z "$HP_K_WHY" ] || echo "$HP_K_WHY"
    fi
}

# What somebody holds against any shutdown, as logind says it (org.freedesktop.login1(5)).
hp_reboot_is_inhibited() {
    hp_has_systemd && command -v busctl >/dev/null 2>&1 || return 1
    case $(timeout 10 busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \
        org.freedesktop.login1.Manager BlockInhibited 2>/dev/null 8>&-) in
        *[\":]shutdown[\":]*) return 0 ;;
    esac
    return 1
}

# Something that is there again after the boot goes on with it. A batch that was confirmed has a timer that fires
# no more, and nothing watches it: that comes back for this.
hp_bootback_watched() {
    HP_TIMER=$HP_BATCH/timer
    # Under the lock: a watcher that is about to leave looks for timers under it.
    (
        exec 9>>"$HP_STATE/lock" && flock -w 20 9 || exit 1
        if [ ! -f "$HP_TIMER/firing" ]; then
            hp_note "$HP_TIMER/operation" "${HP_OP##*/}" && hp_timer_move "$HP_TIMER" firing confirmed || exit 1
        fi
        [ "$(hp_watch_read)" != none ] || { hp_watch_install && hp_watch_start; }
    ) >/dev/null || return 1
    case $(hp_watch_read) in
        systemd | cron) return 0 ;;
    esac
    return 1
}

# The intent first: whatever is cut off from here on, it is known that this was tried.
hp_bootback_intend() {
    printf 'ended %s\nat %s\nto %s\n' "$(hp_boot_word)" "$(hp_since_boot_ms)" "$hp_bootback_was" |
        hp_write "$HP_BATCH/boot-back" || {
        hp_say "no space to write down that the host is booted"
        return 1
    }
    hp_kernel_hold "$hp_bootback_was" "$HP_K_RUNS" || {
        hp_bootback_failed "GRUB did not take $hp_bootback_was for its default"
        return 1
    }
}

hp_bootback_failed() {
    {
        cat "$HP_BATCH/boot-back"
        echo "failed $1"
    } | hp_write "$HP_BATCH/boot-back"
}

# Before there is a result: what watches waits for the boot from now on, however long its preparation took.
hp_bootback_stamp() {
    [ "${HP_BOOTBACK_MINE:-}" = yes ] || return 0
    {
        sed '/^at /d' "$HP_BATCH/boot-back"
        echo "at $(hp_since_boot_ms)"
    } | hp_write "$HP_BATCH/boot-back" || hp_say "the time of the reboot could not be written down"
}

# The last thing that the operation does: its result is on the disk.
hp_bootback_reboot() {
    [ "${HP_BOOTBACK_MINE:-}" = yes ] || return 0
    # Somebody may have begun since this was looked at. Their work is never cut off.
    if hp_dpkg_is_held; then
        hp_bootback_failed "a package manager was at work when it was to be ordered"
        return 0
    elif hp_reboot_is_inhibited; then
        hp_bootback_failed "reboots were inhibited when it was to be ordered"
        return 0
    fi
    # Other batches' timers take this boot for one that was meant.
    (exec 9>>"$HP_STATE/lock" && flock -w 20 9 && hp_timers_declare) || hp_say "other timers could not be told"
    sync
    hp_reboot_words
    if $hp_reboot_how 8>&-; then
        {
            cat "$HP_BATCH/boot-back"
            echo "ordered yes"
        } | hp_write "$HP_BATCH/boot-back"
    else
        rm -f "$HP_STATE"/batches/*/timer/declared
        hp_bootback_failed "the reboot was refused"
    fi
}
