# --- an update that somebody prepared for the next boot -----------------------------------------------

# systemd.offline-updates(7): where one of these links is there, systemd's generator sends the boot to
# system-update.target, and PackageKit's service there (or another tool's) installs what was prepared. In a boot
# of a batch that would be what nobody rehearsed. Whoever prepared it owns it: it is named, and no such boot is
# ordered. While a batch is open the generator is masked, as systemd.generator(7) has it, by a link of our own:
# so a boot that nobody ordered installs nothing either. To restore is to remove it; what was prepared stays.
HP_OFFLINE_LINKS="/system-update /etc/system-update"
HP_OFFLINE_GENERATOR=systemd-system-update-generator
HP_OFFLINE_MASK=/etc/systemd/system-generators/$HP_OFFLINE_GENERATOR

# What is prepared, as a line; nothing where nothing is.
hp_offline_prepared() {
    for hp_offline_link in $HP_OFFLINE_LINKS; do
        if [ -L "$hp_offline_link" ]; then
            echo "$hp_offline_link -> $(readlink "$hp_offline_link" | tr -cd ' -~' | cut -c 1-200)"
        elif [ -e "$hp_offline_link" ]; then
            echo "$hp_offline_link"
        fi
    done | head -n 1
}

# hp_offline_against: why a boot now would install it; nothing where none would.
hp_offline_against() {
    hp_offline_what=$(hp_offline_prepared)
    [ -n "$hp_offline_what" ] && ! hp_offline_is_masked || return 0
    echo "an offline update is prepared ($hp_offline_what): the boot would install what was not rehearsed"
}

# By whomever. A generator of that name in /run would come first.
hp_offline_is_masked() {
    [ ! -e "/run/systemd/system-generators/$HP_OFFLINE_GENERATOR" ] && [ "$(readlink "$HP_OFFLINE_MASK")" = /dev/null ]
}

hp_offline_is_here() {
    [ -e "/usr/lib/systemd/system-generators/$HP_OFFLINE_GENERATOR" ] ||
        [ -e "/lib/systemd/system-generators/$HP_OFFLINE_GENERATOR" ]
}

# Under the helper's lock. Somebody else's file of that name is left as it is. A link has no room to say whose it
# is: a note does, and it comes first, so that a mask that was made has one, whatever was cut off.
hp_offline_keep() {
    hp_offline_is_here || return 0
    [ ! -e "$HP_OFFLINE_MASK" ] && [ ! -L "$HP_OFFLINE_MASK" ] || return 0
    hp_offline_made=$(hp_value "$HP_STATE/offline.masked" made)
    [ -n "$hp_offline_made" ] || hp_offline_made=no
    [ -d "${HP_OFFLINE_MASK%/*}" ] || hp_offline_made=yes
    hp_note "$HP_STATE/offline.masked" "made $hp_offline_made" || return 1
    (umask 022 && mkdir -p "${HP_OFFLINE_MASK%/*}" && ln -s /dev/null "$HP_OFFLINE_MASK") 2>/dev/null &&
        sync "${HP_OFFLINE_MASK%/*}"
}

# The watcher's look: as for the pause, under the lock alone.
hp_offline_watch() {
    hp_offline_is_here && [ ! -e "$HP_OFFLINE_MASK" ] && [ ! -L "$HP_OFFLINE_MASK" ] || return 0
    (exec 9>>"$HP_STATE/lock" && flock -n 9 && hp_timers_any "armed armed.new armed.due firing" &&
        hp_offline_keep) 2>/dev/null || :
}

hp_offline_settle() {
    [ -f "$HP_STATE/offline.masked" ] || return 0
    if [ "$(readlink "$HP_OFFLINE_MASK")" = /dev/null ]; then
        rm -f "$HP_OFFLINE_MASK" && sync "${HP_OFFLINE_MASK%/*}" || return 1
    fi
    if [ "$(hp_value "$HP_STATE/offline.masked" made)" = yes ]; then
        rmdir "${HP_OFFLINE_MASK%/*}" 2>/dev/null
    fi
    rm -f "$HP_STATE/offline.masked"
}

# At stage, where it can still be taken back in peace.
hp_stage_offline() {
    hp_offline_what=$(hp_offline_prepared)
    [ -z "$hp_offline_what" ] || hp_result "offline-update $hp_offline_what"
}
