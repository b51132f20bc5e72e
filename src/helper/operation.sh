# --- operations: detached work with an id, a log and a result -------------------------------------

# The state of an operation, as lines. Unknown is never drawn as good: no exit status and its
# process gone, or the host booted since.
hp_operation_status() {
    hp_op_dir=$HP_STATE/ops/$1
    if [ -f "$hp_op_dir/exit" ]; then
        echo "done"
        return
    fi
    if [ "$(hp_value "$hp_op_dir/intent" boot)" != "$(hp_boot_id)" ] ||
        [ "$(hp_value "$hp_op_dir/intent" init)" != "$(hp_started 1)" ]; then
        echo unknown
        return
    fi
    if [ -f "$hp_op_dir/pid" ]; then
        read -r hp_op_pid hp_op_since <"$hp_op_dir/pid"
        if [ -n "$hp_op_since" ] && [ "$(hp_started "$hp_op_pid")" = "$hp_op_since" ]; then
            echo running
        elif [ -f "$hp_op_dir/exit" ]; then
            # It ended between the first look and this one.
            echo "done"
        else
            echo unknown
        fi
        return
    fi
    # Asked to start a moment ago, its process has not said its name yet.
    hp_op_asked=$(hp_value "$hp_op_dir/intent" uptime-ms)
    if hp_is_number "$hp_op_asked" && [ $(($(hp_uptime_ms) - hp_op_asked)) -lt 15000 ]; then
        echo running
    else
        echo unknown
    fi
}

hp_operation_state() {
    hp_state_status=$(hp_operation_status "$1")
    echo "kind $(hp_value "$HP_STATE/ops/$1/intent" kind)"
    echo "batch $(hp_value "$HP_STATE/ops/$1/intent" batch)"
    echo "status $hp_state_status"
    if [ "$hp_state_status" = "done" ]; then
        echo "exit $(cat "$HP_STATE/ops/$1/exit")"
    fi
    echo "next $2"
    echo "boot $(hp_value "$HP_STATE/ops/$1/intent" boot)"
    echo "boot-now $(hp_boot_id)"
}

# Whether an operation other than $1 is at work.
hp_any_running() {
    for hp_any in "$HP_STATE"/ops/*/intent; do
        [ -f "$hp_any" ] || continue
        hp_any=${hp_any%/intent}
        hp_any=${hp_any##*/}
        [ "$hp_any" = "$1" ] && continue
        if [ "$(hp_operation_status "$hp_any")" = running ]; then
            return 0
        fi
    done
    return 1
}

# hp_input FILE: standard input, bounded, into FILE. Its last line must be `end`: an input that a
# lost connection cut off is refused instead of being half of what was meant. 2: it can't be stored.
hp_input() {
    timeout 30 head -c 1048576 >"$1"
    case $? in
        0) ;;
        124) return 1 ;;
        *) return 2 ;;
    esac
    [ "$(tail -n 1 "$1")" = end ] && [ "$(tail -c 1 "$1" | wc -l)" = 1 ] || return 1
    sed -i '$d' "$1" || return 2
}

hp_verb_start() {
    # A rehearsal's rollback pins nothing out.
    HP_PINS_WANTED=yes
    if [ "$#" = 4 ] && [ "$2 $4" = "rollback rehearsed" ]; then
        HP_PINS_WANTED=no
    else
        [ "$#" = 3 ] || hp_refuse usage "start OP KIND BATCH"
    fi
    hp_need_id "an operation id" "$1"
    hp_need_id "a batch id" "$3"
    case $2 in
        stage | apply | rollback) ;;
        *) hp_refuse usage "not a kind of operation" ;;
    esac
    hp_need_root
    hp_spec=$HP_STATE/spec.$$
    trap 'rm -f "$hp_spec"' EXIT
    if [ "$2" = stage ]; then
        hp_input "$hp_spec" || case $? in
            2) hp_refuse no-space "no space to store the spec" ;;
            *) hp_refuse usage "the spec is cut off, or does not end with the line: end" ;;
        esac
        hp_spec_is_sound "$hp_spec" || hp_refuse usage "the spec breaks its pattern: $(hp_spec_fault "$hp_spec")"
    else
        : >"$hp_spec"
    fi
    hp_lock
    if [ "$2" = rollback ]; then hp_admit_epoch "$3"; else hp_admit_epoch; fi
    hp_op_dir=$HP_STATE/ops/$1
    if [ -f "$hp_op_dir/intent" ]; then
        if [ "$(hp_value "$hp_op_dir/intent" kind)" != "$2" ] ||
            [ "$(hp_value "$hp_op_dir/intent" batch)" != "$3" ] ||
            ! cmp -s "$hp_spec" "$hp_op_dir/spec"; then
            hp_refuse exists-differently "$1"
        fi
    else
        # A rollback is never kept waiting at the door: it waits its turn in the operation itself.
        if [ "$2" != rollback ] && hp_any_running "$1"; then
            hp_refuse busy "an operation is running"
        fi
        # Nor for want of space: what its batch kept for it is let go before the first write.
        if [ "$2" = rollback ]; then
            rm -f "$HP_STATE/batches/$3/reserve"
        fi
        if [ "$2" = apply ]; then
            hp_need_armed "$3"
        fi
        hp_operation_make "$1" "$2" "$3" "$hp_spec" || hp_refuse no-space "cannot write the operation's intent"
        # From here on the batch can't be confirmed any more.
        if [ "$2" = rollback ]; then
            hp_timer_rollback "$3" "$1" || hp_refuse no-space "cannot write the timer's operation"
        fi
        hp_launch "$1" || hp_refuse internal "cannot start the operation"
        hp_waited=0
        while [ ! -f "$hp_op_dir/pid" ] && [ ! -f "$hp_op_dir/exit" ] && [ "$hp_waited" -lt 50 ]; do
            sleep 0.1
            hp_waited=$((hp_waited + 1))
        done
        # Should it be cut off, somebody has to be there who sees that.
        if [ "$2" = rollback ] && [ -f "$HP_STATE/batches/$3/timer/firing" ]; then
            hp_watch_start
        fi
    fi
    hp_section state hp_operation_state "$1" 0
    hp_done 0
}

# hp_operation_make OP KIND BATCH SPEC: its folder and its intent, on disk before anything is launched. A
# folder without an intent is one whose start was cut off before that.
hp_operation_make() {
    hp_op_dir=$HP_STATE/ops/$1
    if ! mkdir "$hp_op_dir" 2>/dev/null && [ ! -d "$hp_op_dir" ]; then
        return 1
    fi
    hp_write "$hp_op_dir/spec" <"$4" && : >>"$hp_op_dir/out.log" &&
        {
            echo "kind $2"
            echo "batch $3"
            echo "epoch $HP_EPOCH"
            echo "by $(hp_by)"
            echo "pins ${HP_PINS_WANTED:-yes}"
            echo "boot $(hp_boot_id)"
            echo "init $(hp_started 1)"
            echo "uptime-ms $(hp_uptime_ms)"
        } | hp_write "$hp_op_dir/intent" && sync "$HP_STATE/ops"
}

# On whose account: the timer's, or that of whoever came in through sudo.
hp_by() {
    case $HP_PATH,${SUDO_USER:-} in
        "$HP_DEADMAN",*) echo timer ;;
        *, | *,*[!A-Za-z0-9._-]*) echo root ;;
        *) echo "$SUDO_USER" ;;
    esac
}

# Never on the caller's channel or pipes. As a unit of its own where systemd is there: it then
# outlives the session, and a shutdown waits for it. KillMode=process: should the helper die, what
# dpkg is doing is left to finish. What the dead-man timer starts waits for nothing else of a boot, which
# may have ended in emergency mode, and stays when the boot goes on from there.
hp_launch() {
    if [ -n "$HP_FEET_ON" ]; then
        hp_feet_launch "$1"
        return
    fi
    if hp_has_systemd && command -v systemd-run >/dev/null 2>&1; then
        hp_launch_alone=
        if [ "$HP_PATH" = "$HP_DEADMAN" ]; then
            hp_launch_alone="--property=DefaultDependencies=no --property=IgnoreOnIsolate=yes
                --property=Conflicts=shutdown.target --property=Before=shutdown.target"
        fi
        # shellcheck disable=SC2086
        if timeout 60 systemd-run --quiet --collect --unit="holdpoint-op-$1.service" \
            --description="holdpoint operation $1" $hp_launch_alone \
            --property=Type=exec --property=KillMode=process --property=TimeoutStopSec=900 \
            /bin/sh "$HP_PATH" "$HP_NONCE" 0 run "$1" </dev/null >>"$HP_STATE/ops/$1/out.log" 2>&1 7>&- 9>&-; then
            return 0
        fi
        echo "holdpoint: systemd-run failed, going on without it" >>"$HP_STATE/ops/$1/out.log"
    fi
    setsid env -i PATH="$PATH" HOME=/root /bin/sh "$HP_PATH" "$HP_NONCE" 0 run "$1" \
        </dev/null >/dev/null 2>&1 7>&- 9>&- &
}

# What the detached process itself does. Called by hp_launch alone; a second call finds the claim.
hp_verb_run() {
    [ "$#" = 1 ] && hp_is_id "$1" || exit 2
    HP_OP=$HP_STATE/ops/$1
    [ -f "$HP_OP/intent" ] || exit 2
    hp_feet_begin "$1"
    [ "$(hp_uid)" = 0 ] && hp_is_enrolled || exit 2
    mkdir "$HP_OP/claimed" 2>/dev/null || exit 0
    exec </dev/null >>"$HP_OP/out.log" 2>&1
    cd / || exit 1
    # Handlers, not `ignore`: that would be inherited by every daemon a package starts.
    trap : HUP INT TERM
    echo "$$ $(hp_started $$)" | hp_write "$HP_OP/pid" || exit 1
    hp_run_kind=$(hp_value "$HP_OP/intent" kind)
    HP_BATCH=$HP_STATE/batches/$(hp_value "$HP_OP/intent" batch)
    HP_BEGAN=$(hp_uptime_ms)
    : >"$HP_OP/result.part" || exit 1
    # One change at a time; a rollback waits here for the apply that it undoes. A stage changes nothing
    # but its own folder, and may wait long for an archive: it keeps no rollback waiting.
    exec 8>>"$HP_STATE/work.lock"
    hp_say "$hp_run_kind of batch ${HP_BATCH##*/}"
    if [ "$hp_run_kind" = stage ] || hp_run_turn; then
        case $hp_run_kind in
            stage) hp_stage ;;
            apply) hp_apply ;;
            rollback) hp_rollback ;;
            *) false ;;
        esac
        hp_run_exit=$?
    else
        hp_result "failed busy another operation did not end within an hour"
        hp_run_exit=1
    fi
    # Before there is a result all of it is on the disk: apt does not flush its marks, and a maintainer
    # script not its files, so that a power cut later on would leave what neither before nor after was.
    timeout 300 sync || hp_say "not everything could be flushed to the disk"
    hp_result "duration-ms $(($(hp_uptime_ms) - HP_BEGAN))"
    hp_say "$hp_run_kind ended with $hp_run_exit"
    if [ "$hp_run_kind" = rollback ]; then
        hp_snap_after "$hp_run_exit"
        hp_timer_ended "$hp_run_exit"
    fi
    [ "$hp_run_exit" != "$HP_GOES_ON" ] || hp_bootback_stamp
    # The disk may be full: what frees space is tried once before the result is given up.
    hp_finish || { rm -f "$HP_BATCH/reserve" && hp_finish; } || exit 1
    if [ "$hp_run_exit" = "$HP_GOES_ON" ]; then
        hp_bootback_reboot
    fi
    # Where a kernel alone stays all else is back, and a boot that ended in emergency mode has no reason to stay there.
    if [ "$hp_run_kind$hp_run_exit" = rollback0 ] || { [ -n "$HP_STAYS" ] && hp_audit_is_clean; }; then
        hp_watch_boot_on
    fi
    exit "$hp_run_exit"
}

# An apply that hangs is never killed, so its rollback waits as long as it takes, and says so.
hp_run_turn() {
    until flock -w 3600 8; do
        [ "$hp_run_kind" = rollback ] || return 1
        hp_say "still waiting for the operation that is at work"
        # Where flock itself does not run it is not waited for, but asked again and again.
        sleep 1
    done
}

hp_finish() {
    hp_write "$HP_OP/result" <"$HP_OP/result.part" &&
        printf '%s\n' "$hp_run_exit" | hp_write "$HP_OP/exit" && rm -f "$HP_OP/result.part"
}

hp_say() { echo "holdpoint: $*"; }

hp_result() { printf '%s\n' "$*" >>"$HP_OP/result.part"; }

# How many bytes of the log from OFFSET on make whole lines. What is left at the end of a finished
# operation, and a line longer than a section, count as lines too.
hp_log_take() {
    hp_take_all=$(tail -c "+$(($2 + 1))" "$1" | head -c 262144 | wc -c)
    if [ "$hp_take_all" = 0 ]; then
        echo 0
        return
    fi
    hp_take_rest=$(tail -c "+$(($2 + 1))" "$1" | head -c "$hp_take_all" | tail -n 1 | wc -c)
    hp_take_last=$(tail -c "+$(($2 + hp_take_all))" "$1" | head -c 1 | wc -l)
    if [ "$hp_take_last" = 1 ]; then
        echo "$hp_take_all"
    elif [ "$hp_take_rest" -lt "$hp_take_all" ]; then
        echo $((hp_take_all - hp_take_rest))
    elif [ "$hp_take_all" = 262144 ] || [ "$3" != running ]; then
        echo "$hp_take_all"
    else
        echo 0
    fi
}

hp_log_piece() { tail -c "+$(($2 + 1))" "$1" | head -c "$3"; }

hp_need_operation() {
    hp_need_id "an operation id" "$1"
    hp_need_root
    [ -f "$HP_STATE/ops/$1/intent" ] || hp_refuse unknown-operation "$1"
}

hp_verb_read() {
    [ "$#" = 3 ] && hp_is_number "$2" && hp_is_number "$3" && [ "$3" -le 25 ] ||
        hp_refuse usage "read OP OFFSET WAIT"
    hp_need_operation "$1"
    hp_log=$HP_STATE/ops/$1/out.log
    [ "$2" -le "$(stat -c %s "$hp_log")" ] || hp_refuse usage "the log is shorter than that"
    hp_until=$(($(hp_uptime_ms) + $3 * 1000))
    while :; do
        # The status first: a log line written after it is only read later, never lost.
        hp_read_status=$(hp_operation_status "$1")
        hp_read_take=$(hp_log_take "$hp_log" "$2" "$hp_read_status")
        if [ "$hp_read_take" != 0 ] || [ "$hp_read_status" != running ] ||
            [ "$(hp_uptime_ms)" -ge "$hp_until" ]; then
            break
        fi
        sleep 0.2
    done
    hp_section log hp_log_piece "$hp_log" "$2" "$hp_read_take"
    hp_section state hp_operation_state "$1" $(($2 + hp_read_take))
    hp_done 0
}

hp_verb_result() {
    [ "$#" = 1 ] || hp_refuse usage "result OP"
    hp_need_operation "$1"
    if [ -f "$HP_STATE/ops/$1/exit" ]; then
        hp_section result cat "$HP_STATE/ops/$1/result"
    else
        hp_begin result
        hp_end result 1
    fi
    hp_section state hp_operation_state "$1" "$(stat -c %s "$HP_STATE/ops/$1/out.log")"
    hp_done 0
}

# Files in a batch or an operation are gone after this; the epoch stays, or a stale cockpit could
# come back.
# hp_verb_clean [BATCH...]: the batches named are known to be over by whoever asks: their window has ended, or
# it is given up. What is armed, fires or failed to come back is never that.
hp_verb_clean() {
    for hp_clean_id in "$@"; do
        hp_need_id "a batch id" "$hp_clean_id"
    done
    hp_need_root
    hp_lock
    hp_admit_epoch
    hp_clean_why=$(hp_clean_held)
    [ -n "$hp_clean_why" ] || hp_clean_why=$(hp_clean_open "$@")
    [ -z "$hp_clean_why" ] || hp_refuse busy "$hp_clean_why"
    for hp_clean_dir in "$HP_STATE"/batches/*/; do
        hp_snap_drop "${hp_clean_dir%/}" || hp_refuse internal "a snapshot could not be removed: $HP_S_AT"
    done
    rm -rf "${HP_STATE:?}/batches" "${HP_STATE:?}/ops" "$HP_STATE"/spec.* "$HP_STATE"/verify.* \
        "$HP_STATE"/simulate.* "$HP_STATE"/have.* "$HP_STATE"/piece.* || hp_refuse internal "cannot remove everything"
    # A watcher that runs finds nothing to watch and ends.
    hp_watch_tidy
    rm -f "$HP_DEADMAN" "$HP_STATE/spare"
    sync "$HP_STATE"
    hp_done 0
}

hp_reboot_words() {
    if hp_has_systemd; then
        hp_reboot_how="systemctl -i reboot"
    else
        hp_reboot_how=reboot
    fi
}

# The boot id that the caller saw makes asking twice harmless: once the host has rebooted, the
# same words find another id and do nothing.
hp_verb_reboot() {
    [ "$#" = 2 ] && hp_is_boot_id "$2" || hp_refuse usage "reboot BATCH BOOTID"
    hp_need_id "a batch id" "$1"
    hp_need_root
    hp_lock
    hp_admit_epoch
    if [ "$2" != "$(hp_boot_id)" ]; then
        hp_done 0
    fi
    if hp_any_running ''; then
        hp_refuse busy "an operation is running"
    fi
    if hp_dpkg_is_held; then
        hp_refuse busy "a package manager is at work"
    fi
    hp_offline_why=$(hp_offline_against)
    [ -z "$hp_offline_why" ] || hp_refuse internal "$hp_offline_why"
    hp_timers_declare || hp_refuse no-space "cannot tell the timers that the reboot is meant"
    sync
    hp_reboot_words
    # One that is refused was announced for nothing; one that never happens the watcher takes back.
    # shellcheck disable=SC2016
    setsid sh -c 'sleep 1; $1 || rm -f "$2"/*/timer/declared' sh "$hp_reboot_how" "$HP_STATE/batches" \
        </dev/null >/dev/null 2>&1 9>&- &
    hp_done 0
}
