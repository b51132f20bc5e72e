# --- a new kernel: booted once on trial, the old one by default until the batch is confirmed ----------------

# GRUB does the trial: its default is the entry of the kernel that runs now, the new one is named for one
# boot, and a panic reboots. A boot that fails so ends in the old kernel with nobody there. It wants an
# environment block that GRUB itself can clear, or the one boot would be every boot.
HP_GRUB_CFG=/boot/grub/grub.cfg
HP_GRUB_ENV=/boot/grub/grubenv
HP_GRUB_SNIPPET=/etc/default/grub.d/holdpoint.cfg

hp_kernel_snippet() {
    echo '# holdpoint: until a batch with a new kernel is confirmed or rolled back.'
    echo 'GRUB_DEFAULT=saved'
    echo 'GRUB_SAVEDEFAULT=false'
    # shellcheck disable=SC2016
    echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX panic=30"'
}

# Images of the batch: HP_K_ADDED, releases that come beside the others, and HP_K_NEW, the newest of them;
# HP_K_SAME, releases whose own image is overwritten.
hp_kernel_find() {
    HP_K_NEW=
    HP_K_ADDED=' '
    HP_K_SAME=
    HP_K_GONE=' '
    while IFS=$HP_TAB read -r _ hp_n _ hp_f hp_t _; do
        case $hp_n in
            *-dbg | *-dbgsym) continue ;;
            linux-image-unsigned-[0-9]*) hp_k_release=${hp_n#linux-image-unsigned-} ;;
            linux-image-[0-9]*) hp_k_release=${hp_n#linux-image-} ;;
            *) continue ;;
        esac
        if [ "$hp_t" = - ]; then
            HP_K_GONE="$HP_K_GONE$hp_k_release "
        elif [ "$hp_f" = - ]; then
            HP_K_ADDED="$HP_K_ADDED$hp_k_release "
            HP_K_NEW=$(printf '%s\n' "$HP_K_NEW" "$hp_k_release" | sort -V | tail -n 1)
        else
            HP_K_SAME="$HP_K_SAME$hp_k_release "
        fi
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# --- stage

hp_stage_kernel() {
    rm -f "$HP_BATCH/kernel"
    hp_kernel_find
    [ -n "$HP_K_NEW$HP_K_SAME" ] || return 0
    hp_k_running=$(uname -r)
    HP_K_WHY=
    case "$HP_K_GONE" in
        *" $hp_k_running "*) HP_K_WHY="the batch removes the kernel that runs, $hp_k_running" ;;
    esac
    case " $HP_K_SAME" in
        *" $hp_k_running "*) HP_K_WHY="the update overwrites the kernel that runs, $hp_k_running; its image is kept beside the batch" ;;
        *) [ -n "$HP_K_WHY" ] || hp_result "kernel keeps $hp_k_running" ;;
    esac
    if [ -z "$HP_K_WHY" ] && [ -z "$HP_K_NEW" ]; then
        HP_K_WHY="the update overwrites the image of ${HP_K_SAME% }; it is kept beside the batch"
    fi
    [ -n "$HP_K_WHY" ] || hp_kernel_can "$hp_k_running"
    if [ -z "$HP_K_WHY" ]; then
        printf 'old %s\nnew %s\n' "$hp_k_running" "$HP_K_NEW" | hp_write "$HP_BATCH/kernel" || return 1
        hp_result "kernel trial"
    else
        hp_result "kernel manual $HP_K_WHY"
    fi
    hp_kernel_space "$hp_k_running"
}

# hp_kernel_can RELEASE: whether a trial boot from that kernel can be set up here; else HP_K_WHY.
hp_kernel_can() {
    hp_kernel_can_be_default "$1" grub-reboot grub-probe
    [ -z "$HP_K_WHY" ] || return
    # As grub-reboot and 00_header have it: what GRUB reads and can't write.
    if ! hp_k_below=$(grub-probe --target=abstraction "$HP_GRUB_ENV" 2>/dev/null) ||
        ! hp_k_fs=$(grub-probe --target=fs "$HP_GRUB_ENV" 2>/dev/null); then
        HP_K_WHY="grub-probe cannot tell what /boot/grub is on"
        return
    fi
    hp_k_below=$(echo "$hp_k_below" | tr -cd 'a-z0-9 \n' | tr '\n' ' ')
    case ${hp_k_below%% *},$hp_k_fs in
        ,btrfs | ,zfs | ,cpiofs | ,newc | ,odc | ,romfs | ,squash4 | ,tarfs)
            HP_K_WHY="GRUB cannot write its environment on $hp_k_fs"
            ;;
        ,*) ;;
        *) HP_K_WHY="GRUB cannot write its environment on ${hp_k_below% }" ;;
    esac
}

# hp_kernel_can_be_default RELEASE TOOL...: whether that kernel can be made GRUB's default here, which it has to
# read alone, with those tools more; else HP_K_WHY.
hp_kernel_can_be_default() {
    hp_k_release=$1
    shift
    if systemd-detect-virt -cq 2>/dev/null; then
        HP_K_WHY="this is a container, its kernel is not its own"
        return
    fi
    for hp_k_tool in "$@" grub-set-default grub-editenv update-grub; do
        command -v "$hp_k_tool" >/dev/null 2>&1 || {
            HP_K_WHY="there is no $hp_k_tool"
            return
        }
    done
    if [ ! -f "$HP_GRUB_CFG" ] || ! grub-editenv "$HP_GRUB_ENV" list >/dev/null 2>&1; then
        HP_K_WHY="GRUB has no menu or no environment block in /boot/grub"
        return
    fi
    if [ -z "$(hp_kernel_entry "$hp_k_release")" ]; then
        if [ "$hp_k_release" = "$(uname -r)" ]; then
            HP_K_WHY="GRUB's menu has no entry for $hp_k_release, which runs"
        else
            HP_K_WHY="GRUB's menu has no entry for $hp_k_release"
        fi
    elif ! hp_can_write "${HP_GRUB_SNIPPET%/*}" && { [ -d "${HP_GRUB_SNIPPET%/*}" ] || ! hp_can_write /etc/default; }; then
        HP_K_WHY="${HP_GRUB_SNIPPET%/*} cannot be written"
    fi
}

# hp_kernel_entry RELEASE: its entry in GRUB's menu, in the words of grub-reboot.
hp_kernel_entry() {
    awk -v want="gnulinux-$1-advanced-" -v q="'" '
        /^}/ { menu = "" }
        {
            at = index($0, "$menuentry_id_option " q)
            if (!at) next
            id = substr($0, at + length("$menuentry_id_option " q))
            id = substr(id, 1, index(id, q) - 1)
        }
        /^submenu / { menu = id ">"; next }
        /^[ \t]*menuentry / && index(id, want) == 1 { print menu id; exit }' "$HP_GRUB_CFG" 2>/dev/null |
        grep -E '^[A-Za-z0-9_.:+~>-]+$'
}

# hp_kernel_space RELEASE: room in /boot for an image, its initrd and the copy that is made on the way.
hp_kernel_space() {
    hp_k_initrd=$(stat -c %s "/boot/initrd.img-$1" 2>/dev/null) || hp_k_initrd=104857600
    hp_size_need=$((hp_k_initrd * 2 + 33554432))
    hp_size_free=$(df -PB1 /boot 2>/dev/null | awk 'NR == 2 { print $4 }')
    hp_size_mount=$(df -PB1 /boot 2>/dev/null | awk 'NR == 2 { print $6 }')
    hp_result "space need $hp_size_need free ${hp_size_free:-0} mount ${hp_size_mount:--}"
    if [ "${hp_size_free:-0}" -lt "$hp_size_need" ]; then
        hp_result "failed no-space /boot"
        return 1
    fi
}

# --- apply

# Before the first package: images that are overwritten are copied, and the old kernel becomes the default.
# The words for the way back are written before anything is changed.
hp_kernel_before() {
    hp_kernel_find
    rm -rf "${HP_BATCH:?}/boot" "$HP_BATCH/boot.part"
    for hp_k_release in $HP_K_SAME; do
        mkdir -p "$HP_BATCH/boot.part" || return 1
        for hp_k_file in vmlinuz vmlinux initrd.img System.map config; do
            [ -f "/boot/$hp_k_file-$hp_k_release" ] || continue
            cp -a "/boot/$hp_k_file-$hp_k_release" "$HP_BATCH/boot.part/" || return 1
        done
    done
    # Whole or not at all: half an image must never be put back over a whole one.
    if [ -d "$HP_BATCH/boot.part" ]; then
        find "$HP_BATCH/boot.part" -exec sync {} + && mv -fT "$HP_BATCH/boot.part" "$HP_BATCH/boot" &&
            sync "$HP_BATCH" || return 1
    fi
    if [ -n "$HP_K_NEW" ]; then
        uname -r | hp_write "$HP_BATCH/kernel.was" || return 1
    fi
    [ -f "$HP_BATCH/kernel" ] || return 0
    hp_say "the running kernel becomes GRUB's default until this is confirmed"
    hp_kernel_hold "$(hp_value "$HP_BATCH/kernel" old)" "$(hp_value "$HP_BATCH/kernel" new)"
}

# hp_kernel_hold RELEASE NEW: that kernel is GRUB's default, whatever is newer, and none is named for one boot.
# How it was before is kept once: a second time it is as the first one left it.
hp_kernel_hold() {
    hp_k_old=$(hp_kernel_entry "$1")
    [ -n "$hp_k_old" ] || return 1
    # As its trial left it, it is so already: nothing is written then, on a /boot that may be full.
    if [ -f "$HP_BATCH/kernel.trial" ] && hp_kernel_on_trial && [ "$(hp_kernel_env saved_entry)" = "$hp_k_old" ] &&
        [ -z "$(hp_kernel_env next_entry)" ]; then
        return 0
    fi
    if [ ! -f "$HP_BATCH/kernel.trial" ]; then
        {
            printf 'old %s\nnew %s\n' "$1" "$2"
            echo "default $(hp_kernel_default)"
            echo "saved $(hp_kernel_env saved_entry)"
            [ -d "${HP_GRUB_SNIPPET%/*}" ] || echo "made yes"
        } | hp_write "$HP_BATCH/kernel.trial" || return 1
    fi
    [ -d "${HP_GRUB_SNIPPET%/*}" ] || (umask 022 && mkdir "${HP_GRUB_SNIPPET%/*}") || return 1
    hp_kernel_snippet | hp_place "$HP_GRUB_SNIPPET" 0644 && hp_kernel_menu && hp_kernel_on_trial && grub-set-default "$hp_k_old" &&
        grub-editenv "$HP_GRUB_ENV" unset next_entry && [ "$(hp_kernel_env saved_entry)" = "$hp_k_old" ] && sync -f /boot
}

# What GRUB_DEFAULT is by the files that grub-mkconfig reads, in its order.
hp_kernel_default() {
    (
        GRUB_DEFAULT=0
        set +u
        for hp_k_file in /etc/default/grub /etc/default/grub.d/*.cfg; do
            # shellcheck disable=SC1090
            [ "$hp_k_file" = "$HP_GRUB_SNIPPET" ] || [ ! -f "$hp_k_file" ] || . "$hp_k_file"
        done
        echo "$GRUB_DEFAULT"
    ) </dev/null 2>/dev/null | head -n 1
}

hp_kernel_env() { grub-editenv "$HP_GRUB_ENV" list 2>/dev/null | sed -n "s/^$1=//p" | head -n 1; }

# It looks at every disk, and one that hangs must not keep a rollback or a confirm.
hp_kernel_menu() { hp_unattended timeout -k 10 60 update-grub >/dev/null 2>&1 && [ -s "$HP_GRUB_CFG" ]; }

# Whether the menu goes by the snippet: another file there may come after it.
hp_kernel_on_trial() {
    # shellcheck disable=SC2016
    grep -qF 'set default="${saved_entry}"' "$HP_GRUB_CFG" && grep -qF 'panic=30' "$HP_GRUB_CFG"
}

# After the packages: the new kernel for one boot.
hp_kernel_after() {
    [ -f "$HP_BATCH/kernel.trial" ] || return 0
    hp_k_new=$(hp_kernel_entry "$(hp_value "$HP_BATCH/kernel" new)")
    if [ -z "$hp_k_new" ] || ! grub-reboot "$hp_k_new" >/dev/null || [ "$(hp_kernel_env next_entry)" != "$hp_k_new" ]; then
        hp_result "failed kernel the new kernel could not be named for one boot"
        return 1
    fi
    sync -f /boot
}

# --- its end

# Before a confirm: the new kernel, which has to be the one that runs, becomes the default as the host's own
# configuration has it. HP_K_WHY where that can't be.
hp_kernel_keep() {
    [ -f "$1/kernel.trial" ] || return 0
    hp_k_new=$(hp_value "$1/kernel.trial" new)
    if [ "$(uname -r)" != "$hp_k_new" ]; then
        HP_K_WHY="kernel $hp_k_new does not run, $(uname -r) does: its trial boot has not come, or did not last"
        return 1
    fi
    hp_k_entry=
    [ "$(hp_value "$1/kernel.trial" default)" != saved ] || hp_k_entry=$(hp_kernel_entry "$hp_k_new")
    # The words for the way back stay until the confirm has won: a rollback may come first still.
    hp_kernel_settle "$1" "$hp_k_entry" || {
        HP_K_WHY="GRUB did not take the new kernel for its default"
        return 1
    }
}

# An apply that is refused undoes the same, and has no such lines in its result.
hp_kernel_caution() {
    hp_say "$1"
    [ "$hp_run_kind" != rollback ] || hp_result "caution $1"
}

# At the end of a rollback: images that were overwritten, and what GRUB boots, as before.
hp_kernel_back() {
    for hp_k_file in "$HP_BATCH"/boot/*; do
        [ -f "$hp_k_file" ] && ! cmp -s "$hp_k_file" "/boot/${hp_k_file##*/}" || continue
        hp_say "putting back /boot/${hp_k_file##*/}"
        # A name that no boot loader takes for an image, should it stay.
        hp_k_part=/boot/.holdpoint.${hp_k_file##*/}
        cp -a "$hp_k_file" "$hp_k_part" && sync "$hp_k_part" && mv -fT "$hp_k_part" "/boot/${hp_k_file##*/}" || {
            rm -f "$hp_k_part"
            hp_kernel_caution "/boot/${hp_k_file##*/} could not be put back; it is kept in $HP_BATCH/boot"
        }
    done
    # While the batch's own kernel stays, the one of before stays the default: the next boot ends in that.
    [ -z "$HP_STAYS" ] && [ -f "$HP_BATCH/kernel.trial" ] || return 0
    if hp_kernel_settle "$HP_BATCH" "$(hp_value "$HP_BATCH/kernel.trial" saved)"; then
        rm -f "$HP_BATCH/kernel.trial"
    else
        # It stays as it was on trial: the old kernel by default.
        hp_kernel_caution "GRUB's own default could not be put back; it boots $(hp_value "$HP_BATCH/kernel.trial" old)"
    fi
    sync -f /boot
}

# hp_kernel_settle BATCH-FOLDER ENTRY: the trial is over, and this is saved as the default; none: nothing is.
hp_kernel_settle() {
    rm -f "$HP_GRUB_SNIPPET"
    if [ -n "$(hp_value "$1/kernel.trial" made)" ]; then
        rmdir "${HP_GRUB_SNIPPET%/*}" 2>/dev/null
    fi
    grub-editenv "$HP_GRUB_ENV" unset next_entry || return 1
    if [ -n "$2" ]; then
        grub-editenv "$HP_GRUB_ENV" set "saved_entry=$2" || return 1
    else
        grub-editenv "$HP_GRUB_ENV" unset saved_entry || return 1
    fi
    hp_kernel_menu && sync -f /boot
}
