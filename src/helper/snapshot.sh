# --- a snapshot of the root file system, for what nothing else brings back ---------------------------------

# Taken in an apply, just before its first change, where the plan asks for it, the host can, and no live data
# would go back with it. Nothing here ever puts one back: a root that runs can't be swapped under what runs on
# it. What a person does is said in commands. In the batch's folder:
#   snap        what the stage found, as lines of kind, of, at and need: its being there means one is taken
#   snap.back   the commands for a person, those that only look first
#   snap.taken  a copy of snap, written before one is taken and removed once it was dropped

hp_snap_is_word() {
    case $1 in
        '' | *[!A-Za-z0-9._:@/+-]*) return 1 ;;
    esac
}

# hp_snap_read FILE: into HP_S_KIND, HP_S_OF, HP_S_AT, HP_S_NEED. A file whose words are not ours is none.
hp_snap_read() {
    HP_S_KIND=$(hp_value "$1" kind)
    HP_S_OF=$(hp_value "$1" of)
    HP_S_AT=$(hp_value "$1" at)
    HP_S_NEED=$(hp_value "$1" need)
    hp_snap_is_word "$HP_S_OF" && hp_snap_is_word "$HP_S_AT" || return 1
    case $HP_S_KIND,$HP_S_AT in
        btrfs,"$HP_STATE"/snapshots/?* | lvm,?*/holdpoint-?* | lvm-thin,?*/holdpoint-?* | zfs,?*@holdpoint-?*) ;;
        *) return 1 ;;
    esac
}

# --- what the host has

# What the root is on and what a snapshot of it would be, into HP_S_*; or HP_S_WHY.
hp_snap_find() {
    HP_S_WHY=
    hp_s_id=${HP_BATCH##*/}
    hp_s_fs=$(findmnt -nr -o FSTYPE / 2>/dev/null | tail -n 1)
    hp_s_source=$(findmnt -nrv -o SOURCE / 2>/dev/null | tail -n 1)
    hp_s_dev=$(stat -c %d /)
    case $hp_s_fs in
        btrfs) hp_s_tools="btrfs" ;;
        zfs) hp_s_tools="zfs" ;;
        ext[234] | xfs) hp_s_tools="lvs lvcreate lvremove unshare" ;;
        *)
            HP_S_WHY="/ is on ${hp_s_fs:-something unknown}, and snapshots are taken of btrfs, LVM and ZFS alone"
            return 1
            ;;
    esac
    for hp_s_path in $hp_s_tools; do
        command -v "$hp_s_path" >/dev/null 2>&1 || {
            HP_S_WHY="/ is on $hp_s_fs, and there is no $hp_s_path here to take a snapshot with"
            return 1
        }
    done
    for hp_s_path in /usr /etc /var/lib/dpkg /var/lib/apt "$HP_STATE"; do
        [ "$(stat -L -c %d "$hp_s_path" 2>/dev/null)" = "$hp_s_dev" ] || {
            HP_S_WHY="$hp_s_path is not on the root's file system: one snapshot would not hold both"
            return 1
        }
    done
    hp_snap_is_word "$hp_s_source" || {
        HP_S_WHY="what / is on has a name that is not taken into a command"
        return 1
    }
    case $hp_s_fs in
        btrfs) hp_snap_find_btrfs ;;
        zfs)
            HP_S_KIND=zfs HP_S_OF=$hp_s_source HP_S_AT=$hp_s_source@holdpoint-$hp_s_id
            ;;
        *) hp_snap_find_lvm ;;
    esac
}

hp_snap_find_btrfs() {
    HP_S_KIND=btrfs
    HP_S_OF=$(findmnt -nr -o FSROOT / 2>/dev/null | tail -n 1)
    HP_S_AT=$HP_STATE/snapshots/$hp_s_id
    if ! hp_snap_is_word "$HP_S_OF" || [ "$(stat -c %i /)" != 256 ]; then
        HP_S_WHY="/ is not a subvolume of its own"
        return 1
    fi
    # By what name it is booted: what would be booted in its stead goes by that.
    HP_S_BOOT="default"
    for hp_s_option in $(tr ' ,' '[\n*]' </proc/cmdline); do
        case ${hp_s_option#rootflags=} in
            subvolid=*)
                HP_S_WHY="/ is booted by subvolid=, and no snapshot gets that number"
                return 1
                ;;
            "subvol=$HP_S_OF" | "subvol=${HP_S_OF#/}") HP_S_BOOT=name ;;
            subvol=*)
                HP_S_WHY="/ is $HP_S_OF, and the boot names another subvolume"
                return 1
                ;;
        esac
    done
    [ "$HP_S_OF" != / ] || HP_S_BOOT="default"
}

hp_snap_find_lvm() {
    hp_s_line=$(hp_snap_lvs vg_name,lv_name,segtype,vg_free,pool_lv,lv_size "$hp_s_source" | head -n 1)
    hp_s_vg=$(echo "$hp_s_line" | cut -d '|' -f 1)
    hp_s_lv=$(echo "$hp_s_line" | cut -d '|' -f 2)
    hp_s_free=$(echo "$hp_s_line" | cut -d '|' -f 4)
    hp_s_pool=$(echo "$hp_s_line" | cut -d '|' -f 5)
    hp_s_size=$(echo "$hp_s_line" | cut -d '|' -f 6)
    if ! hp_snap_is_word "$hp_s_vg" || ! hp_snap_is_word "$hp_s_lv"; then
        HP_S_WHY="/ is on $hp_s_fs on $hp_s_source, which is no logical volume"
        return 1
    fi
    HP_S_KIND=lvm HP_S_OF=$hp_s_vg/$hp_s_lv HP_S_AT=$hp_s_vg/holdpoint-$hp_s_id
    case $(echo "$hp_s_line" | cut -d '|' -f 3) in
        thin) HP_S_KIND=lvm-thin ;;
    esac
}

# LVM looks at what it inherits and says so; it may leave a daemon behind, which gets none of our locks.
hp_snap_lvs() {
    timeout -k 10 60 lvs --noheadings --nosuffix --units b --separator '|' -o "$1" "$2" \
        </dev/null 2>/dev/null 7>&- 8>&- 9>&- | tr -d ' '
}

# What it may grow by: an apply writes all new files beside the old ones, a rollback those once more.
hp_snap_growth() {
    for hp_s_deb in "$HP_BATCH"/new/*.deb "$HP_BATCH"/old/*.deb; do
        [ ! -f "$hp_s_deb" ] || dpkg-deb -f "$hp_s_deb" Installed-Size
    done | awk '{ sum += $1 } END { printf "%.0f\n", sum * 1024 + 67108864 }'
}

# Whether there is room for it. Into HP_S_NEED and HP_S_FREE, in bytes.
hp_snap_room() {
    HP_S_NEED=$(hp_snap_growth)
    case $HP_S_KIND in
        btrfs) HP_S_FREE=$(df -PB1 / | awk 'NR == 2 { print $4 }') ;;
        zfs) HP_S_FREE=$(timeout -k 10 60 zfs get -Hpo value available "$HP_S_OF" 2>/dev/null </dev/null 7>&- 8>&- 9>&-) ;;
        lvm)
            # One of fixed size: what does not fit in makes it worthless. Others write there too.
            HP_S_NEED=$((HP_S_NEED * 2 + 536870912))
            ! hp_is_number "$hp_s_size" || [ "$HP_S_NEED" -lt "$hp_s_size" ] || HP_S_NEED=$hp_s_size
            HP_S_FREE=$hp_s_free
            ;;
        lvm-thin)
            HP_S_FREE=$(hp_snap_lvs lv_size,data_percent "$hp_s_vg/$hp_s_pool" |
                awk -F '|' '{ printf "%.0f\n", $1 * (100 - $2) / 100 }')
            ;;
    esac
    hp_is_number "${HP_S_FREE:--}" || HP_S_FREE=0
    if [ "$HP_S_FREE" -lt "$HP_S_NEED" ]; then
        HP_S_WHY="it may grow by $((HP_S_NEED / 1048576)) MiB, and $((HP_S_FREE / 1048576)) MiB are free for it"
        return 1
    fi
}

# --- stage: whether one could be taken; none is

hp_stage_snap() {
    rm -f "$HP_BATCH/snap" "$HP_BATCH/snap.back"
    grep -qx snapshot "$HP_OP/spec" || return 0
    hp_say "looking whether a snapshot can be taken"
    if ! { hp_snap_find && hp_snap_alone && hp_snap_room && hp_snap_commands >"$HP_BATCH/snap.back"; }; then
        rm -f "$HP_BATCH/snap.back"
        hp_result "snapshot fails ${HP_S_WHY:-its commands cannot be written}"
        return 0
    fi
    sync "$HP_BATCH/snap.back" && hp_write "$HP_BATCH/snap" <<SNAP || return 1
kind $HP_S_KIND
of $HP_S_OF
at $HP_S_AT
need $HP_S_NEED
SNAP
    hp_result "space need $HP_S_NEED free $HP_S_FREE mount $HP_S_OF"
    hp_result "snapshot ok $HP_S_KIND $HP_S_OF"
    hp_result "snapshot at $HP_S_AT"
    hp_snap_apart | sed 's/^/snapshot apart /' >>"$HP_OP/result.part"
    sed 's/^/snapshot back /' "$HP_BATCH/snap.back" >>"$HP_OP/result.part"
}

# What a person does by hand. It is looked at first; nothing is taken away that could not be gone back to,
# but by LVM and ZFS, which take the snapshot's place in one go. A line with # in front is for reading.
hp_snap_commands() {
    case $HP_S_KIND in
        btrfs) hp_snap_commands_btrfs ;;
        zfs)
            echo "zfs list -t snapshot -s creation $HP_S_OF"
            echo "zfs diff $HP_S_AT"
            echo "# from a rescue boot with ZFS, not from the running system:"
            echo "zpool import -N -R /mnt ${HP_S_OF%%/*}"
            echo "# it takes back all that was written there since; snapshots newer than it are in its way"
            echo "zfs rollback $HP_S_AT"
            echo "zpool export ${HP_S_OF%%/*}"
            echo "reboot"
            ;;
        *)
            echo "lvs -o lv_name,origin,lv_attr,data_percent $HP_S_AT"
            echo "mkdir -p /mnt && mount -o $(hp_snap_mount_words) /dev/$HP_S_AT /mnt"
            echo "diff /mnt/var/lib/dpkg/status /var/lib/dpkg/status"
            echo "umount /mnt"
            echo "# it takes back all that was written there since, at the next boot, and is used up by that:"
            echo "lvconvert --merge $HP_S_AT"
            echo "reboot"
            ;;
    esac
}

# Subvolumes below the root are not in it: they are moved over, or the new root would have empty folders there.
hp_snap_commands_btrfs() {
    hp_s_back=/mnt/holdpoint-back-$hp_s_id
    hp_s_was=/mnt${HP_S_OF%/}
    echo "btrfs subvolume show $HP_S_AT"
    echo "diff $HP_S_AT/var/lib/dpkg/status /var/lib/dpkg/status"
    echo "mkdir -p /mnt && mount -o subvolid=5 $hp_s_source /mnt"
    if [ "$HP_S_BOOT" = name ]; then
        hp_s_back=/mnt$HP_S_OF
        hp_s_was=/mnt$HP_S_OF.$hp_s_id
        echo "mv $hp_s_back $hp_s_was"
    fi
    echo "btrfs subvolume snapshot $hp_s_was$HP_S_AT $hp_s_back"
    hp_s_below=$(btrfs subvolume list -o / 2>/dev/null | sed -n 's/^ID .* path //p')
    if printf '%s' "$hp_s_below" | grep -q '[^A-Za-z0-9._:@/+-]'; then
        HP_S_WHY="a subvolume below / has a name that is not taken into a command"
        return 1
    fi
    for hp_s_path in $hp_s_below; do
        hp_s_path=/${hp_s_path#/}
        hp_s_path=${hp_s_path#"${HP_S_OF%/}"}
        case $hp_s_path in
            "$HP_STATE"/snapshots/* | /holdpoint-back-*) continue ;;
        esac
        echo "# it is a subvolume of its own, and moves over as it is; stop what uses it first:"
        echo "rmdir $hp_s_back$hp_s_path && mv $hp_s_was$hp_s_path $hp_s_back$hp_s_path"
    done
    if [ "$HP_S_BOOT" = "default" ]; then
        echo "btrfs subvolume get-default /mnt"
        echo "btrfs subvolume set-default $hp_s_back"
    fi
    echo "reboot"
}

hp_snap_mount_words() {
    case $hp_s_fs in
        xfs) echo ro,norecovery,nouuid ;;
        ext[34]) echo ro,noload ;;
        *) echo ro ;;
    esac
}

# --- apply

# Before the first change, and whole, or HP_S_WHY: what was staged with one is not applied without it.
hp_snap_take() {
    [ -f "$HP_BATCH/snap" ] || return 0
    hp_say "taking a snapshot of the root file system"
    if ! hp_snap_drop "$HP_BATCH"; then
        HP_S_WHY="one from before is in its way: $HP_S_AT"
        return 1
    fi
    hp_snap_find && hp_snap_alone && hp_snap_room || return 1
    if [ "$HP_S_KIND $HP_S_OF $HP_S_AT" != "$(hp_value "$HP_BATCH/snap" kind) $(hp_value "$HP_BATCH/snap" of) $(hp_value "$HP_BATCH/snap" at)" ]; then
        HP_S_WHY="the root file system is not what it was when this was staged"
        return 1
    fi
    if hp_snap_is_there; then
        HP_S_WHY="something else has its name: $HP_S_AT"
        return 1
    fi
    sync -f / && hp_write "$HP_BATCH/snap.taken" <"$HP_BATCH/snap" || {
        HP_S_WHY="cannot write down that one is taken"
        return 1
    }
    # It would hold their blocks as well, and to remove them would free nothing any more.
    hp_s_reserves=$(for hp_s_path in "$HP_STATE"/batches/*/reserve; do
        [ ! -f "$hp_s_path" ] || stat -c '%s %n' "$hp_s_path"
    done)
    rm -f "$HP_STATE"/batches/*/reserve "$HP_STATE/spare" && sync -f "$HP_STATE"
    if hp_snap_make && hp_snap_verify && hp_snap_reserves; then
        hp_say "it is there and holds what dpkg knows now: $HP_S_AT"
        return 0
    fi
    hp_s_why=${HP_S_WHY:-it could not be taken; the words of its tool are in the log}
    hp_snap_reserves || hp_say "what was reserved for rollbacks could not be reserved again"
    hp_snap_drop "$HP_BATCH" || hp_s_why="$hp_s_why, and what is there of it could not be removed: $HP_S_AT"
    HP_S_WHY=$hp_s_why
    return 1
}

# What is reserved for rollbacks, on blocks that no snapshot holds.
hp_snap_reserves() {
    HP_S_WHY="no room to reserve what a rollback needs beside it"
    echo "$hp_s_reserves" | while read -r hp_s_size hp_s_path; do
        [ -n "$hp_s_path" ] || continue
        fallocate -l "$hp_s_size" "$hp_s_path" 2>/dev/null || head -c "$hp_s_size" /dev/zero >"$hp_s_path" || exit 1
    done || return 1
    hp_spare
    sync -f "$HP_STATE"
}

hp_snap_make() {
    case $HP_S_KIND in
        btrfs)
            mkdir -p "${HP_S_AT%/*}" &&
                timeout -k 10 120 btrfs subvolume snapshot -r / "$HP_S_AT" </dev/null 8>&- 9>&- && sync -f "${HP_S_AT%/*}"
            ;;
        zfs) timeout -k 10 120 zfs snapshot "$HP_S_AT" </dev/null 8>&- 9>&- ;;
        lvm) timeout -k 10 120 lvcreate -y -s -L "${HP_S_NEED}b" -n "${HP_S_AT#*/}" "$HP_S_OF" </dev/null 8>&- 9>&- ;;
        # A thin one is not activated by itself unless told to be.
        *) timeout -k 10 120 lvcreate -y -s -kn -n "${HP_S_AT#*/}" "$HP_S_OF" </dev/null 8>&- 9>&- ;;
    esac
}

hp_snap_is_there() {
    case $HP_S_KIND in
        btrfs) [ -d "$HP_S_AT" ] && [ "$(stat -c %i "$HP_S_AT")" = 256 ] ;;
        zfs)
            timeout -k 10 60 zfs list -H -t snapshot -o name -d 1 "$HP_S_OF" </dev/null 2>/dev/null 7>&- 8>&- 9>&- |
                grep -qxF "$HP_S_AT"
            ;;
        *) hp_snap_lvs vg_name,lv_name "${HP_S_AT%%/*}" | tr '|' / | grep -qxF "$HP_S_AT" ;;
    esac
}

# Whether its tool answers at all: what is not listed then is gone.
hp_snap_answers() {
    case $HP_S_KIND in
        btrfs) command -v btrfs >/dev/null 2>&1 ;;
        zfs) timeout -k 10 60 zfs list -H -o name "$HP_S_OF" </dev/null >/dev/null 2>&1 7>&- 8>&- 9>&- ;;
        *) hp_snap_lvs lv_name "${HP_S_AT%%/*}" | grep -q . ;;
    esac
}

# It is there, it is whole, and what dpkg knew when it was taken is what dpkg knows now.
hp_snap_verify() {
    HP_S_WHY="it was taken, and it is not there"
    hp_snap_is_there || return 1
    HP_S_WHY="it was taken, and it does not hold what dpkg knows now"
    case $HP_S_KIND in
        btrfs)
            [ "$(btrfs property get -ts "$HP_S_AT" ro)" = ro=true ] &&
                cmp -s /var/lib/dpkg/status "$HP_S_AT/var/lib/dpkg/status"
            ;;
        zfs) cmp -s /var/lib/dpkg/status "/.zfs/snapshot/${HP_S_AT#*@}/var/lib/dpkg/status" ;;
        *)
            ! hp_snap_is_full && mkdir -p "$HP_BATCH/snap.mnt" || return 1
            # In mounts of its own, so that nothing of it is left whatever ends this.
            # shellcheck disable=SC2016
            timeout -k 10 60 unshare -m sh -c 'mount -o "$1" "/dev/$2" "$3" && cmp -s /var/lib/dpkg/status "$3/var/lib/dpkg/status"' \
                sh "$(hp_snap_mount_words)" "$HP_S_AT" "$HP_BATCH/snap.mnt" </dev/null 8>&- 9>&-
            hp_s_status=$?
            rmdir "$HP_BATCH/snap.mnt"
            return "$hp_s_status"
            ;;
    esac
}

# One of LVM with a fixed size that took more than that holds nothing any more.
hp_snap_is_full() {
    [ "$HP_S_KIND" = lvm ] || return 1
    case $(hp_snap_lvs lv_attr "$HP_S_AT") in
        ????[IS]*) return 0 ;;
    esac
    return 1
}

# --- its end

# hp_snap_drop BATCH-FOLDER: the one that the batch took, or began to take, is gone after this. Nothing else
# ever is: what has another name, or is not written down as taken, is not touched.
hp_snap_drop() {
    [ -f "$1/snap.taken" ] || return 0
    hp_snap_read "$1/snap.taken" && hp_snap_answers || return 1
    if hp_snap_is_there; then
        case $HP_S_KIND in
            btrfs) timeout -k 10 120 btrfs subvolume delete -c "$HP_S_AT" ;;
            zfs) timeout -k 10 120 zfs destroy "$HP_S_AT" ;;
            *) timeout -k 10 120 lvremove -f -y "$HP_S_AT" ;;
        esac </dev/null >/dev/null 2>&1 7>&- 8>&- 9>&-
        ! hp_snap_is_there || return 1
    elif [ "$HP_S_KIND" = btrfs ] && [ -d "$HP_S_AT" ]; then
        # In a root that was made from the snapshot there is an empty folder where it lay.
        rmdir "$HP_S_AT" 2>/dev/null || return 1
    fi
    rmdir "$HP_STATE/snapshots" 2>/dev/null
    rm -f "$1/snap.taken" && sync "$1"
}

# Those of batches that are over. A call that was killed right after its end may have left one.
hp_snap_settle() {
    for hp_s_taken in "$HP_STATE"/batches/*/snap.taken; do
        [ -f "$hp_s_taken" ] || continue
        case $(hp_timer_state "${hp_s_taken%/snap.taken}/timer") in
            confirmed | rolled-back) hp_snap_drop "${hp_s_taken%/snap.taken}" || : ;;
        esac
    done
}

# hp_snap_after EXIT: at the end of a rollback. After one that came off it has done its part; after one that
# failed it may be what is needed.
hp_snap_after() {
    [ -f "$HP_BATCH/snap.taken" ] || return 0
    if [ "$1" = 0 ]; then
        hp_snap_drop "$HP_BATCH" || hp_result "caution the snapshot of before could not be removed: $HP_S_KIND $HP_S_AT"
        return 0
    fi
    hp_snap_read "$HP_BATCH/snap.taken" || return 0
    if hp_snap_is_full; then
        hp_result "snapshot invalid $HP_S_KIND $HP_S_AT"
    elif hp_snap_is_there; then
        hp_result "snapshot kept $HP_S_KIND $HP_S_AT"
    fi
}

# The line of an apply's result.
hp_snap_report() {
    [ -f "$HP_BATCH/snap.taken" ] && hp_snap_read "$HP_BATCH/snap.taken" || return 0
    if hp_snap_is_full; then
        hp_result "snapshot invalid $HP_S_KIND $HP_S_AT"
    else
        hp_result "snapshot taken $HP_S_KIND $HP_S_AT"
    fi
}

# hp_snap_console BATCH-FOLDER: at the console, after a rollback that failed.
hp_snap_console() {
    [ -f "$1/snap.taken" ] && hp_snap_read "$1/snap.taken" || return 0
    if hp_snap_is_full; then
        echo "  The snapshot of before is full, and holds nothing any more: $HP_S_KIND $HP_S_AT"
        return 0
    fi
    echo "  A snapshot of before is kept: $HP_S_KIND $HP_S_AT. Nothing puts it back by itself. By hand:"
    sed 's/^/    /' "$1/snap.back" 2>/dev/null
}
