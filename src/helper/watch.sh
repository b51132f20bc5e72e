# --- what fires the timers -----------------------------------------------------------------------------

# A copy of the helper as it was when the first timer was armed: one that a later enrolment puts in the
# helper's place changes nothing about what is armed. It is called by its own path and takes no verbs.
HP_DEADMAN=/var/lib/holdpoint/deadman
HP_UNIT=holdpoint-deadman.service
HP_UNIT_FILE=/etc/systemd/system/$HP_UNIT
HP_CRON_FILE=/etc/cron.d/holdpoint-deadman
HP_MOTD_FILE=/etc/update-motd.d/60-holdpoint
# The watcher's exit status when there is nothing to watch: its unit is not started again then.
HP_IDLE=47

# A loop that asks CLOCK_BOOTTIME (/proc/uptime) every second, not a unit of kind timer: OnCalendar follows
# a clock that is stepped, OnActiveSec stops in suspend and begins anew at each boot, both have a window of
# accuracy, and neither starts in emergency mode, where a boot ends whose mounts failed. Restarted whatever
# it dies of. It comes after the root file system is writable and /boot is there, where there
# is one, and otherwise waits for nothing.
hp_unit_text() {
    cat <<UNIT
[Unit]
Description=holdpoint: rolls back what nobody confirms
DefaultDependencies=no
RequiresMountsFor=$HP_STATE
After=systemd-remount-fs.service boot.mount boot-efi.mount
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=$(hp_feet_shell) $HP_DEADMAN deadman0 0 watch
StandardInput=null
Restart=always
RestartSec=1
SuccessExitStatus=$HP_IDLE
RestartPreventExitStatus=$HP_IDLE
KillMode=process
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target emergency.target rescue.target
UNIT
}

hp_cron_text() {
    echo "# holdpoint: until a batch is confirmed, this keeps running what rolls it back."
    for hp_cron_when in '@reboot' '* * * * *'; do
        echo "$hp_cron_when root setsid /bin/sh $HP_DEADMAN deadman0 0 watch </dev/null >/dev/null 2>&1 &"
    done
}

hp_motd_text() {
    echo '#!/bin/sh'
    echo '# holdpoint: until a batch is confirmed, each login says so.'
    echo "if [ -r $HP_DEADMAN ]; then exec /bin/sh $HP_DEADMAN console status; fi"
}

# hp_place FILE MODE: standard input becomes FILE with that mode, whole or not at all, and nothing is left
# beside it. A name with a dot more is no unit, no crontab and no script to those who read the folders.
hp_place() {
    cat >"$1.tmp" && chmod "$2" "$1.tmp" && sync "$1.tmp" && mv -fT "$1.tmp" "$1" && sync "$(dirname "$1")" && return
    rm -f "$1.tmp"
    return 1
}

hp_has_cron() {
    [ -d /etc/cron.d ] || return 1
    for hp_cron_comm in /proc/[0-9]*/comm; do
        read -r hp_cron_name 2>/dev/null <"$hp_cron_comm" || continue
        case $hp_cron_name in
            cron | crond) return 0 ;;
        esac
    done
    return 1
}

# --- read back, install, start, tidy: under the helper's lock

# Its process: pid, when that began, in which boot.
hp_watch_is_alive() {
    [ -f "$HP_STATE/watch.pid" ] || return 1
    read -r hp_watch_pid hp_watch_since hp_watch_boot 2>/dev/null <"$HP_STATE/watch.pid" || return 1
    [ "$hp_watch_boot" = "$(hp_boot_word)" ] && [ -n "$hp_watch_since" ] &&
        [ "$(hp_started "$hp_watch_pid")" = "$hp_watch_since" ]
}

hp_watch_read() {
    if ! hp_watch_is_alive; then
        echo none
    elif hp_has_systemd && [ -f "$HP_UNIT_FILE" ] && systemctl is-enabled -q "$HP_UNIT" >/dev/null 2>&1 8>&- 9>&- &&
        systemctl is-active -q "$HP_UNIT" 2>/dev/null 8>&- 9>&-; then
        echo systemd
    elif [ -f "$HP_CRON_FILE" ] && hp_has_cron; then
        echo cron
    else
        echo process
    fi
}

# Whether it is there again after a boot. Without systemd nothing better can be had than what is read back.
hp_watch_survives() { ! hp_has_systemd || [ "$(hp_watch_read)" = systemd ]; }

hp_watch_why() {
    if ! systemctl is-enabled -q "$HP_UNIT" 2>/dev/null 8>&- 9>&-; then
        echo "systemd does not enable $HP_UNIT"
    else
        echo "systemd does not keep $HP_UNIT running"
    fi
}

hp_watch_end() {
    kill "$hp_watch_pid" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        hp_watch_is_alive || return 0
        sleep 0.1
    done
    kill -9 "$hp_watch_pid" 2>/dev/null
}

# The copy changes only while nothing is armed; one that watches with the old copy is stopped first.
hp_watch_install() {
    if [ ! -f "$HP_DEADMAN" ] || ! hp_timers_any "armed armed.new armed.due firing"; then
        if ! cmp -s "$HP_PATH" "$HP_DEADMAN"; then
            ! hp_watch_is_alive || hp_watch_end
            hp_place "$HP_DEADMAN" 0700 <"$HP_PATH" && sync "$HP_STATE" ||
                hp_refuse no-space "cannot keep a copy of the helper"
        fi
    fi
    hp_feet_keep
    if hp_has_systemd; then
        if ! hp_unit_text | cmp -s - "$HP_UNIT_FILE" || ! systemctl is-enabled -q "$HP_UNIT" 8>&- 9>&-; then
            hp_unit_text | hp_place "$HP_UNIT_FILE" 0644
            systemctl daemon-reload 8>&- 9>&- && systemctl -q enable "$HP_UNIT" 8>&- 9>&-
            # The links that make it start at boot are on the disk before anything is armed.
            sync -f /etc/systemd/system
        fi
    elif [ -d /etc/cron.d ] && ! hp_cron_text | cmp -s - "$HP_CRON_FILE"; then
        hp_cron_text | hp_place "$HP_CRON_FILE" 0644
    fi >/dev/null 2>&1
    if [ -d /etc/update-motd.d ] && ! hp_motd_text | cmp -s - "$HP_MOTD_FILE"; then
        hp_motd_text | hp_place "$HP_MOTD_FILE" 0755
    fi >/dev/null 2>&1
}

# A watcher takes its name off under the lock before it ends, so one that has a name stays.
hp_watch_start() {
    hp_watch_is_alive && return
    if hp_has_systemd; then
        # Not `start`: to systemd the last one may not have ended yet.
        timeout 20 systemctl restart "$HP_UNIT" >/dev/null 2>&1 8>&- 9>&-
        hp_watch_await && return
    fi
    setsid env -i PATH="$PATH" HOME=/root /bin/sh "$HP_DEADMAN" deadman0 0 watch \
        </dev/null >/dev/null 2>&1 8>&- 9>&- &
    hp_watch_await
}

hp_watch_await() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        hp_watch_is_alive && return
        sleep 0.1
    done
    return 1
}

# With nothing armed or firing there is nothing left of all this. After a rollback that failed it stays,
# to try again at the next boot and to say so at each login.
hp_watch_tidy() {
    ! hp_timers_any "armed armed.new armed.due firing rollback-failed" || return 0
    hp_snap_settle
    hp_pause_settle
    rm -f "$HP_CRON_FILE" "$HP_MOTD_FILE" "$HP_CRON_FILE.tmp" "$HP_MOTD_FILE.tmp" "$HP_UNIT_FILE.tmp"
    if [ -f "$HP_UNIT_FILE" ]; then
        systemctl -q disable "$HP_UNIT" >/dev/null 2>&1 8>&- 9>&-
        for hp_tidy_target in multi-user emergency rescue; do
            rm -f "/etc/systemd/system/$hp_tidy_target.target.wants/$HP_UNIT"
        done
        # Not reloaded after that: the watcher may still end, by a status that the unit calls a success.
        rm -f "$HP_UNIT_FILE"
    fi
    # After the unit that names them.
    rm -rf "$HP_STATE/feet" "$HP_STATE/feet.new"
    return 0
}

# --- stage: whether a timer could be armed here

hp_stage_timer() {
    hp_stage_watch=process
    if ! sh -n "$HP_PATH" 2>/dev/null; then
        hp_result "timer fails this host's sh cannot read the helper"
    elif hp_has_systemd; then
        if ! timeout 20 systemctl show -p Version >/dev/null 2>&1 8>&-; then
            hp_result "timer fails systemctl does not answer"
        elif ! hp_can_write /etc/systemd/system; then
            hp_result "timer fails /etc/systemd/system cannot be written"
        else
            hp_result "timer ok systemd"
        fi
    elif ! command -v setsid >/dev/null 2>&1; then
        hp_result "timer fails there is neither systemd nor setsid"
    else
        hp_has_cron && hp_can_write /etc/cron.d && hp_stage_watch=cron
        hp_result "timer ok $hp_stage_watch"
    fi
}

hp_can_write() { [ -d "$1" ] && (: >"$1/.holdpoint.$$") 2>/dev/null && rm -f "$1/.holdpoint.$$"; }

# --- the watcher

# One at a time. The lock is on descriptor 7, which nothing that it starts inherits.
hp_watch() {
    hp_feet_watch
    [ "$(hp_uid)" = 0 ] && [ "$0" = "$HP_DEADMAN" ] && cd "$HP_STATE" || exit 2
    # Before the first file is opened to be written: where that fails, this shell ends.
    hp_watch_writable
    exec 7>>"$HP_STATE/watch.lock" && flock -w 3 7 || exit 0
    # On a full disk it watches all the same, and is read back as not watching.
    hp_note "$HP_STATE/watch.pid" "$$ $(hp_started $$) $(hp_boot_word)"
    hp_watch_said=
    hp_watch_stuck_since=
    hp_watch_tried=
    while :; do
        hp_watch_wait=1000
        hp_watch_found=0
        for hp_watch_dir in "$HP_STATE"/batches/*/timer; do
            [ -d "$hp_watch_dir" ] || continue
            hp_watch_batch=${hp_watch_dir%/timer}
            hp_watch_one "$hp_watch_dir" "${hp_watch_batch##*/}"
        done
        if [ "$hp_watch_found" = 1 ]; then hp_pause_watch; else hp_watch_leave; fi
        sleep "$((hp_watch_wait / 1000)).$(printf %03d $((hp_watch_wait % 1000)))" 7>&- || hp_feet_watch
    done
}

# Nothing to watch. A verb that arms one holds the lock: either it is seen here, or it finds no name.
hp_watch_leave() {
    exec 9>>"$HP_STATE/lock" && flock -w 5 9 || return 0
    if hp_timers_any "armed armed.new armed.due firing"; then
        exec 9>&-
        return 0
    fi
    hp_watch_tidy
    rm -f "$HP_STATE/watch.pid"
    # Where systemd was reloaded since the unit's file went, it knows no more that this status is a success.
    if hp_has_systemd && [ "$(systemctl show -p LoadState "$HP_UNIT" 2>/dev/null 7>&- 9>&-)" = LoadState=not-found ]; then
        exit 0
    fi
    exit "$HP_IDLE"
}

hp_watch_one() {
    case $(hp_timer_file "$1") in
        armed) hp_watch_unstuck "$2" ;;
        # Left by a watcher that was killed: there is no other one now.
        armed.due) mv -fT "$1/armed.due" "$1/armed" 2>/dev/null ;;
        armed.new) hp_watch_stuck "$1" "$2" || {
            hp_watch_found=1
            return
        } ;;
        firing)
            hp_watch_found=1
            hp_watch_firing "$1" "$2"
            return
            ;;
        rollback-failed)
            # Once in each boot, and by one watcher, should the disk not keep that it was.
            case " $hp_watch_tried " in *" $2 "*) return ;; esac
            [ "$(cat "$1/tried" 2>/dev/null)" != "$(hp_boot_word)" ] || return
            hp_watch_tried="$hp_watch_tried $2"
            hp_watch_writable
            rm -f "$1/operation"
            hp_timer_move "$1" firing rollback-failed && hp_note "$1/tried" "$(hp_boot_word)"
            hp_watch_found=1
            hp_watch_firing "$1" "$2"
            return
            ;;
        *) return ;;
    esac
    hp_watch_found=1
    hp_timer_left "$1"
    if [ "$HP_RULE" != same ]; then
        hp_watch_booted "$1" "$2"
    elif [ "$HP_T_ENDED" = "$HP_T_BOOT" ]; then
        hp_watch_announced "$1" "$2"
    fi
    if [ "$HP_LEFT" = 0 ]; then
        hp_feet_watch
        hp_watch_writable
        if hp_timer_expire "$1"; then
            hp_say "the time of batch $2 is over: rolling it back"
            hp_watch_firing "$1" "$2"
        else
            hp_watch_wait=200
        fi
    elif [ "$HP_LEFT" -lt "$hp_watch_wait" ]; then
        hp_watch_wait=$HP_LEFT
    fi
}

# armed.new is a verb at work, for the blink of an eye; the lock tells whether it still is. One that
# hangs with the lock in its hands keeps no timer from firing: after 5 s it is taken out of them.
hp_watch_stuck() {
    (exec 9>>"$HP_STATE/lock" && flock -n 9 && mv -fT "$1/armed.new" "$1/armed") 2>/dev/null && return
    hp_stuck_since=
    for hp_stuck_one in $hp_watch_stuck_since; do
        [ "${hp_stuck_one%=*}" != "$2" ] || hp_stuck_since=${hp_stuck_one#*=}
    done
    if [ -z "$hp_stuck_since" ]; then
        hp_watch_stuck_since="$hp_watch_stuck_since $2=$(hp_uptime_ms)"
        return 1
    fi
    [ $(($(hp_uptime_ms) - hp_stuck_since)) -ge 5000 ] || return 1
    hp_watch_unstuck "$2"
    mv -fT "$1/armed.new" "$1/armed" 2>/dev/null
}

# hp_watch_unstuck BATCH: its timer is in nobody's hands. Each batch has a clock of its own.
hp_watch_unstuck() {
    hp_unstuck_left=
    for hp_stuck_one in $hp_watch_stuck_since; do
        [ "${hp_stuck_one%=*}" = "$1" ] || hp_unstuck_left="$hp_unstuck_left $hp_stuck_one"
    done
    hp_watch_stuck_since=$hp_unstuck_left
}

# Expiry needs no lock, so that a call that hangs keeps nothing from being rolled back. The terms may have
# been written anew since they were read: so they are read once more with the timer out of others' hands,
# or in them: who renames armed.due first, has it. One watcher alone comes here (watch.lock): between two, the
# armed.due of one that looks could be fired by the other, by terms that an extension has replaced meanwhile.
hp_timer_expire() {
    mv -fT "$1/armed" "$1/armed.due" 2>/dev/null || return 1
    hp_timer_left "$1"
    if [ "$HP_LEFT" != 0 ]; then
        mv -fT "$1/armed.due" "$1/armed" 2>/dev/null
        return 1
    fi
    hp_timer_move "$1" firing armed.due
}

# The first sight of a boot that was announced: it is named, so that the next one is not taken for it.
hp_watch_booted() {
    if [ "$hp_watch_said" != "$1 $HP_RULE" ]; then
        hp_watch_said="$1 $HP_RULE"
        hp_say "this boot was $HP_RULE to the timer of batch $2: $((HP_LEFT / 1000)) s left"
    fi
    if [ "$HP_RULE" = declared ] && [ -z "$HP_T_SINCE" ]; then
        (exec 9>>"$HP_STATE/lock" && flock -n 9 && hp_timer_read "$1" && hp_timer_due &&
            [ "$HP_RULE" = declared ] && [ -z "$HP_T_SINCE" ] &&
            echo "$HP_T_ENDED $(hp_boot_word)" | hp_write "$1/declared") 2>/dev/null
    fi
}

# A reboot that was announced and does not happen, or a later one that nobody meant would be taken for it. By
# this boot's own clock: a shutdown stops the watcher before it is waited for anything, so as long as this
# runs none has begun.
HP_ANNOUNCED_MS=300000

hp_watch_announced() {
    hp_announced_at=$(hp_value "$1/declared" at)
    ! hp_is_number "$hp_announced_at" ||
        [ $(($(hp_since_boot_ms) - hp_announced_at)) -ge "$HP_ANNOUNCED_MS" ] || return 0
    (exec 9>>"$HP_STATE/lock" && flock -n 9 && rm -f "$1/declared" && sync "$1") 2>/dev/null &&
        hp_say "the reboot that was announced to the timer of batch $2 did not happen"
}

# In emergency mode the root file system may still be read-only.
hp_watch_writable() {
    hp_can_write "$HP_STATE" || mount -o remount,rw / 7>&- || :
}

# A boot that ended in emergency mode, perhaps for what was rolled back just now: nobody is there to let it go
# on. What generators made of /etc is made anew first.
hp_watch_boot_on() {
    [ "$HP_PATH" = "$HP_DEADMAN" ] && hp_has_systemd || return 0
    for hp_boot_on_target in emergency.target rescue.target; do
        if systemctl is-active -q "$hp_boot_on_target" 2>/dev/null; then
            hp_say "this boot ended in $hp_boot_on_target: it goes on from there"
            # What watched ends first: of a unit that is not there any more systemd takes its end for a failure.
            hp_boot_on_tries=0
            # It has ended for systemd a moment after it has for us.
            while [ ! -f "$HP_UNIT_FILE" ] && [ "$hp_boot_on_tries" -lt 50 ] &&
                { hp_watch_is_alive || systemctl -q is-active "$HP_UNIT" 2>/dev/null; }; do
                hp_boot_on_tries=$((hp_boot_on_tries + 1))
                sleep 0.1
            done
            systemctl daemon-reload
            # What failed to mount is tried again, or is not asked for any more.
            systemctl reset-failed '*.mount' 2>/dev/null
            systemctl --no-block default
            return 0
        fi
    done
}

# hp_watch_firing DIR BATCH: the rollback of a firing timer is at work, or over, or is started.
hp_watch_firing() {
    hp_feet_watch
    hp_firing_op=$(cat "$1/operation" 2>/dev/null)
    if [ -n "$hp_firing_op" ] && [ -f "$HP_STATE/ops/$hp_firing_op/intent" ]; then
        case $(hp_operation_status "$hp_firing_op") in
            running) return ;;
            "done")
                # It ended and was cut off before it said so here; or it goes on, by another one.
                case $(cat "$HP_STATE/ops/$hp_firing_op/exit") in
                    "$HP_GOES_ON") ! hp_bootback_comes "$HP_STATE/batches/$2" || return ;;
                    0)
                        hp_timer_move "$1" rolled-back firing
                        return
                        ;;
                    *)
                        hp_note "$1/tried" "$(hp_boot_word)"
                        hp_timer_move "$1" rollback-failed firing
                        return
                        ;;
                esac
                ;;
        esac
    fi
    # Between the two looks it may have ended, and moved the timer as its last step.
    [ -f "$1/firing" ] || return
    hp_watch_writable
    # Whether versions are pinned out is as it was for the one before.
    HP_PINS_WANTED=$(hp_value "$HP_STATE/ops/${hp_firing_op:--}/intent" pins)
    hp_firing_op=$2-deadman
    hp_firing_number=1
    while [ -e "$HP_STATE/ops/$hp_firing_op/intent" ]; do
        hp_firing_number=$((hp_firing_number + 1))
        hp_firing_op=$2-deadman.$hp_firing_number
    done
    hp_timer_read "$1"
    HP_EPOCH=$HP_T_EPOCH
    rm -f "$HP_STATE/batches/$2/reserve"
    if hp_operation_make "$hp_firing_op" rollback "$2" /dev/null &&
        hp_note "$1/operation" "$hp_firing_op" && hp_launch "$hp_firing_op"; then
        hp_say "operation $hp_firing_op rolls batch $2 back"
    else
        # A full or read-only disk: it is tried again at each look.
        hp_say "the rollback of batch $2 could not be started"
    fi
}
