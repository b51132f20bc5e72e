# --- what installs packages by itself is paused while a batch is open ------------------------------------

# One file of apt's configuration, and its being there is all the state there is. apt.systemd.daily looks at
# APT::Periodic::Enable before it does anything, whoever starts it: apt's two timers, or cron where there is
# no systemd. unattended-upgrade looks at its days, so that one which is started otherwise (by hand, by a
# crontab, at a shutdown) installs and removes nothing either. No unit and no file of the host's own is
# touched, it holds over a reboot, and to restore is to remove it. Its name makes apt read it last.
HP_PAUSE_FILE=/etc/apt/apt.conf.d/zzzz-holdpoint-paused

hp_pause_text() {
    cat <<'CONF'
// holdpoint: a batch is open on this host, and until it is over nothing is installed unattended.
// Made and removed by holdpoint-helper: at the confirmation, or once the batch is rolled back.
APT::Periodic::Enable "0";
#clear Unattended-Upgrade::Update-Days;
Unattended-Upgrade::Update-Days { "none-while-holdpoint-has-a-batch-open"; };
CONF
}

# Somebody else's file of that name is not touched.
hp_pause_is_ours() { [ ! -L "$HP_PAUSE_FILE" ] && head -n 1 "$HP_PAUSE_FILE" 2>/dev/null | grep -q '^// holdpoint: '; }

hp_pause_keep() {
    hp_offline_keep
    [ -e "$HP_PAUSE_FILE" ] || [ -L "$HP_PAUSE_FILE" ] ||
        { hp_pause_text | hp_place "$HP_PAUSE_FILE" 0644; } 2>/dev/null
}

# The watcher's look at it. Under the lock, or it would come back in the moment in which it is taken away.
hp_pause_watch() {
    hp_offline_watch
    [ ! -e "$HP_PAUSE_FILE" ] && [ ! -L "$HP_PAUSE_FILE" ] || return 0
    (exec 9>>"$HP_STATE/lock" && flock -n 9 && hp_timers_any "armed armed.new armed.due firing" &&
        hp_pause_keep) 2>/dev/null || :
}

# Whether it is there and apt goes by it.
hp_is_paused() {
    hp_pause_is_ours && [ "$(apt-config dump --format '%v%n' APT::Periodic::Enable 2>/dev/null)" = 0 ]
}

# Ended when the last open batch is over. A rollback that failed leaves a host of which nobody knows what
# it is: there it stays.
hp_pause_settle() {
    ! hp_timers_any "armed armed.new armed.due firing rollback-failed" || return 0
    rm -f "$HP_PAUSE_FILE.tmp"
    hp_offline_settle
    if hp_pause_is_ours; then
        rm -f "$HP_PAUSE_FILE" && sync "${HP_PAUSE_FILE%/*}"
    fi
}

# Whether one is at work that began before the pause. The service that waits for a shutdown always runs.
hp_unattended_runs() {
    [ -n "$(grep -asxE 'unattended-upgr|apt\.systemd\.dai' /proc/[0-9]*/comm | cut -d / -f 3 |
        while read -r hp_pid; do
            hp_facts_of_host "$hp_pid" || continue
            grep -qs unattended-upgrade-shutdown "/proc/$hp_pid/cmdline" || echo "$hp_pid"
        done)" ]
}

# hp_paused_within SECONDS: paused, and what began before has ended; or into hp_paused_why, why not.
hp_paused_within() {
    hp_pause_keep
    hp_paused_why="unpaused $HP_PAUSE_FILE does not pause unattended upgrades here"
    hp_is_paused || return 1
    hp_paused_why="locked unattended upgrades are at work"
    hp_paused_until=$(($(hp_uptime_ms) + $1 * 1000))
    while hp_unattended_runs; do
        [ "$(hp_uptime_ms)" -lt "$hp_paused_until" ] || return 1
        sleep 0.5
    done
}

# paused, on or off, as anybody may read it.
hp_facts_print_unattended() {
    if hp_is_paused; then
        echo paused
        return
    fi
    hp_f_line=$(apt-config dump --format '%f %v%n' APT::Periodic) || return
    if command -v unattended-upgrade >/dev/null 2>&1; then hp_f_more=1; else hp_f_more=0; fi
    printf '%s\n' "$hp_f_line" | awk -v there="$hp_f_more" '
        $1 == "APT::Periodic::Enable" && $2 == "0" { stopped = 1 }
        $1 == "APT::Periodic::Unattended-Upgrade" && $2 != "" && $2 != "0" { wanted = 1 }
        END { print (there && wanted && !stopped) ? "on" : "off" }'
}
