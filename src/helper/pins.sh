# --- pins: after a rollback the bad versions alone are kept out ------------------------------------------

# One file for each batch that was rolled back. Of the records that name a package apt takes the first one
# it reads, so the name sorts early; /etc/apt/preferences itself is read before it all the same.
HP_PINS=/etc/apt/preferences.d

hp_pin_file() { echo "$HP_PINS/00-holdpoint-$1.pref"; }

# What is pinned: NAME:ARCH VERSION SECONDS BATCH BY. With a file, what that one pins.
hp_pins() {
    [ "$#" != 0 ] || set -- "$HP_PINS"/00-holdpoint-*.pref
    for hp_pins_file in "$@"; do
        [ -f "$hp_pins_file" ] || continue
        sed -n 's/^Explanation: holdpoint-pin //p' "$hp_pins_file" || return
    done
}

# A rehearsal rolls back by design, and says so when it starts that: what it proves is not bad.
hp_pins_wanted() { [ "$(hp_value "$HP_OP/intent" pins)" != no ]; }

# Before the old versions are put back, so that whatever dies on the way the bad ones stay out. A pin that
# is there keeps its date, and what was released stays so.
hp_pin_batch() {
    hp_pins_wanted || return 0
    hp_pin_to=$(hp_pin_file "${HP_BATCH##*/}")
    [ ! -f "$hp_pin_to" ] && hp_pin_lacks || return 0
    # shellcheck disable=SC2174
    mkdir -p -m 0755 "$HP_PINS" && hp_pin_text | hp_place "$hp_pin_to" 0644
}

# Whether there is something to pin out.
hp_pin_lacks() { [ -n "$(hp_pin_text)" ]; }

# What was released of a batch's pins stands in its folder: NAME:ARCH VERSION SECONDS. Another rollback of the
# batch does not pin that again, unless the version is here once more by then.

# hp_pin_is_released NAME:ARCH VERSION
hp_pin_is_released() {
    [ -f "$HP_BATCH/released" ] &&
        awk -v n="$1" -v v="$2" '$1 "" == n "" && $2 "" == v "" { found = 1 } END { exit !found }' "$HP_BATCH/released"
}

# At the start of a rollback: what was installed again since it was released is as if it never had been.
hp_pin_releases_settle() {
    [ -f "$HP_BATCH/released" ] || return 0
    while read -r hp_released hp_released_v hp_released_at; do
        hp_is_at "${hp_released%:*}" "${hp_released##*:}" "$hp_released_v" ||
            echo "$hp_released $hp_released_v $hp_released_at"
    done <"$HP_BATCH/released" >"$HP_BATCH/released.now" && mv -f "$HP_BATCH/released.now" "$HP_BATCH/released"
}

hp_pin_text() {
    hp_pin_at=$(hp_now)
    hp_pin_by=$(hp_value "$HP_OP/intent" by)
    hp_pin_by=${hp_pin_by:-root}
    hp_pin_why="asked for by $hp_pin_by"
    [ "$hp_pin_by" != timer ] || hp_pin_why="nobody had confirmed it in time"
    hp_pin_when=$(date -u -d "@$hp_pin_at" '+%Y-%m-%d %H:%MZ')
    while IFS=$HP_TAB read -r _ hp_n hp_a _ hp_t _; do
        [ "$hp_t" = - ] && continue
        hp_pin_is_released "$hp_n:$hp_a" "$hp_t" && continue
        # apt knows a package of architecture `all` by the native one.
        hp_pin_arch=$hp_a
        [ "$hp_a" != all ] || hp_pin_arch=$(dpkg --print-architecture)
        cat <<PIN
Explanation: holdpoint rolled batch ${HP_BATCH##*/} back on $hp_pin_when: $hp_pin_why
Explanation: this version alone is kept out, a newer one may come; to release it: holdpoint unpin PLAN
Explanation: holdpoint-pin $hp_n:$hp_a $hp_t $hp_pin_at ${HP_BATCH##*/} $hp_pin_by
Package: $hp_n:$hp_pin_arch
Pin: version $hp_t
Pin-Priority: -1

PIN
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
}

# The batch goes on again: what was pinned by its own rollback is not bad any more.
hp_unpin_batch() { rm -f "$(hp_pin_file "${HP_BATCH##*/}")" "$HP_BATCH/released"; }

hp_pin_report() {
    hp_pins_wanted || return 0
    hp_pin_to=$(hp_pin_file "${HP_BATCH##*/}")
    if ! hp_pin_batch || { [ ! -f "$hp_pin_to" ] && hp_pin_lacks; }; then
        hp_result "caution the versions of the batch could not be pinned out"
        return
    fi
    if [ -f "$HP_BATCH/released" ]; then
        while read -r hp_released hp_released_v hp_released_at; do
            hp_result "caution $hp_released $hp_released_v is not pinned out: it was released on $(date -u -d "@$hp_released_at" '+%Y-%m-%d %H:%MZ')"
        done <"$HP_BATCH/released"
    fi
    [ -f "$hp_pin_to" ] || return 0
    hp_pins "$hp_pin_to" | awk '{ print "pinned " $1 " " $2 }' >>"$HP_OP/result.part"
    hp_pins_outdone "$hp_pin_to" | while IFS= read -r hp_pin_line; do
        hp_result "caution $hp_pin_line is not kept out: another pin of this host comes before holdpoint's"
    done
}

# NAME:ARCH VERSION of a file's pins that apt does not go by.
hp_pins_outdone() {
    # Names and architectures: checked when the spec came in.
    # shellcheck disable=SC2046
    apt-cache policy $(sed -n 's/^Package: //p' "$1") 2>/dev/null | awk \
        -v native="$(dpkg --print-architecture)" -v file="$1" '
        BEGIN {
            while ((getline line < file) > 0) {
                if (sub(/^Package: /, "", line)) name = line
                else if (sub(/^Pin: version /, "", line)) bad[name] = line
            }
        }
        /^[^ ]/ { name = $1; sub(/:$/, "", name); if (!index(name, ":")) name = name ":" native; next }
        { if ($1 == "***") { $1 = ""; $0 = $0 } }
        NF == 2 && $1 == bad[name] && $2 ~ /^[0-9]+$/ { print name " " $1 }'
}

# --- the verb unpin

hp_unpin_all() {
    for hp_unpin_file in "$HP_PINS"/00-holdpoint-*.pref; do
        [ -n "$(hp_pins "$hp_unpin_file")" ] || continue
        # Written down first: cut off in between, it is asked for again.
        hp_unpin_dir=${hp_unpin_file##*/00-holdpoint-}
        hp_unpin_dir=$HP_STATE/batches/${hp_unpin_dir%.pref}
        if [ -d "$hp_unpin_dir" ]; then
            {
                cat "$hp_unpin_dir/released" 2>/dev/null
                hp_pins "$hp_unpin_file" | awk -v at="$(hp_now)" '{ print $1, $2, at }'
            } | hp_write "$hp_unpin_dir/released" || return 1
        fi
        hp_pins "$hp_unpin_file" | sed 's/^/released /'
        rm -f "$hp_unpin_file" && sync "$HP_PINS" || return 1
    done
}

hp_verb_unpin() {
    [ "$#" = 0 ] || hp_refuse usage "unpin takes no words"
    hp_need_root
    hp_lock
    hp_admit_epoch
    if hp_any_running ''; then
        hp_refuse busy "an operation is running"
    fi
    hp_section pins hp_unpin_all
    hp_done 0
}
