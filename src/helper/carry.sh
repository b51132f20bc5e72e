# --- package files: how they are checked, and how they go from host to host --------------------------

# hp_take_check SIDE NAME ARCH VERSION SHA|-: whether hp_take_file, whose hash is hp_take_sha, is the one.
# Sets HP_CHECK: hash (the one that the batch names), index (the one that apt's index names), installed
# (it holds what is installed now), unverified (nothing here can tell). 1: it is not. 2: there is nothing to
# hold a new file to, so it is not used.
hp_take_check() {
    if [ "${#5}" = 64 ]; then
        HP_CHECK='hash'
        [ "$hp_take_sha" = "$5" ]
        return
    fi
    HP_CHECK=index
    hp_check_want=$(hp_index_entry "$2" "$3" "$4" | cut -d ' ' -f 2)
    hp_check_want=${hp_check_want:--}
    if [ "$1" = new ]; then
        # apt itself checked what it fetched; what was stored before was checked then.
        case $hp_check_want,$hp_take_dir in
            "$hp_take_sha",* | *,"$HP_BATCH/fetch" | -,"$HP_BATCH/new") return 0 ;;
            -,*) return 2 ;;
            *) return 1 ;;
        esac
    fi
    if [ "$hp_take_dir" = "$HP_BATCH/repack" ]; then
        HP_CHECK=unverified
        return
    fi
    # A build of the same version that somebody made here is not the archive's.
    if hp_deb_sums_differ "$hp_take_file" "$2" "$3" "$4"; then
        return 1
    fi
    if [ "$hp_take_sha" = "$hp_check_want" ] || [ "$hp_take_dir" = "$HP_BATCH/fetch" ]; then
        return 0
    fi
    HP_CHECK=installed
    hp_deb_is_installed "$hp_take_file" "$2" "$3" "$4"
    case $? in
        0) return 0 ;;
        1) return 1 ;;
    esac
    # It can't be told; but the index can, and names another one.
    [ "$hp_check_want" = - ] || return 1
    HP_CHECK=unverified
    dpkg-deb --fsys-tarfile "$hp_take_file" >/dev/null 2>&1
}

# Where hp_take_file came from, and how it was checked: SOURCE CHECK [HOST].
hp_take_source() {
    HP_FROM_HOST=
    case ${hp_take_dir##*/} in
        fetch) HP_FROM=archive ;;
        archives) HP_FROM=cache ;;
        snapshot) HP_FROM=snapshot ;;
        repack) HP_FROM=repacked ;;
        carried)
            HP_FROM=host
            read -r HP_FROM_HOST <"$hp_take_file.from" || :
            ;;
        *)
            # Stored before: what was written down then. Without a word of it, it is as good as a cache.
            HP_FROM=cache
            if [ -f "$hp_take_file.from" ]; then
                read -r HP_FROM _ HP_FROM_HOST <"$hp_take_file.from" || :
            fi
            ;;
    esac
    HP_FROM="$HP_FROM $HP_CHECK${HP_FROM_HOST:+ $HP_FROM_HOST}"
}

# What dpkg keeps of a package's control archive: its path without the last part.
hp_deb_info() {
    if [ -f "/var/lib/dpkg/info/$1:$2.list" ]; then
        echo "/var/lib/dpkg/info/$1:$2"
    else
        echo "/var/lib/dpkg/info/$1"
    fi
}

# hp_deb_sums_differ FILE NAME ARCH VERSION: the file's own list of sums is not the installed one.
hp_deb_sums_differ() {
    hp_is_at "$2" "$3" "$4" || return 1
    hp_sums=$(hp_deb_info "$2" "$3").md5sums
    [ -s "$hp_sums" ] && dpkg-deb --ctrl-tarfile "$1" 2>/dev/null | tar -xO ./md5sums >"$HP_BATCH/sums.own" 2>/dev/null &&
        [ -s "$HP_BATCH/sums.own" ] && ! cmp -s "$hp_sums" "$HP_BATCH/sums.own"
}

# hp_deb_is_installed FILE NAME ARCH VERSION: whether it holds what is installed now. 0: it does. 1: it does
# not. 2: it can't be told. The list of sums and the maintainer scripts must be those that dpkg keeps, and
# every file must have the sum that is on record for it: a list alone could be copied into any file.
hp_deb_is_installed() {
    hp_is_at "$2" "$3" "$4" || return 2
    # Links, modes and owners have no sum. What another host gave must not differ in them from what is here; a
    # folder that is a link into a merged /usr is none of that.
    case $1 in
        "$HP_BATCH"/carried/*)
            ! dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -C / --compare -f - 2>&1 |
                grep -vE '^(tar: )?\./(lib|lib32|lib64|libx32|bin|sbin)/?: ' |
                grep -qE ': (File type|Mode|Uid|Gid|Symlink) differs|: Not linked to|: Cannot readlink' || return 1
            # Nor may it hold a link where the record has a sum, which is a file's.
            dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar --quoting-style=literal -tv 2>/dev/null | awk '
                /^l/ {
                    for (i = 0; i < 5; i++) sub(/^[^ ]+ +/, "")
                    sub(/ -> .*/, "")
                    sub(/^\.?\//, "")
                    print
                }' >"$HP_BATCH/sums.links"
            ! cut -c 35- "$(hp_deb_info "$2" "$3").md5sums" 2>/dev/null | grep -qxFf "$HP_BATCH/sums.links" || return 1
            # Nor may it hold a name that is not on record: what is not here can't be compared with anything.
            dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar --quoting-style=literal -t 2>/dev/null |
                sed -e 's,^\./,/,' -e 's,^\([^/]\),/\1,' -e 's,\(.\)/$,\1,' -e 's,^/$,/.,' >"$HP_BATCH/sums.held"
            [ -s "$HP_BATCH/sums.held" ] && [ -f "$(hp_deb_info "$2" "$3").list" ] &&
                ! grep -qvxFf "$(hp_deb_info "$2" "$3").list" "$HP_BATCH/sums.held" || return 1
            # Nor what runs as somebody else, where the host itself leaves that name out.
            dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar --quoting-style=literal -tv 2>/dev/null |
                awk '$1 ~ /^[bcp]|[sS]/ { exit 1 }' ||
                ! dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -C / --compare -f - 2>&1 | grep -q 'Cannot ' || return 1
            ;;
    esac
    hp_same_info=$(hp_deb_info "$2" "$3")
    [ -s "$hp_same_info.md5sums" ] || return 2
    rm -rf "$HP_BATCH/control"
    dpkg-deb -e "$1" "$HP_BATCH/control" 2>/dev/null || return 1
    hp_same=0
    for hp_same_part in preinst postinst prerm postrm config conffiles triggers md5sums; do
        if [ -f "$HP_BATCH/control/$hp_same_part" ]; then
            cmp -s "$HP_BATCH/control/$hp_same_part" "$hp_same_info.$hp_same_part" || hp_same=1
        elif [ "$hp_same_part" != md5sums ] && [ -f "$hp_same_info.$hp_same_part" ]; then
            hp_same=1
        fi
    done
    rm -rf "$HP_BATCH/control"
    [ "$hp_same" = 0 ] || return 1
    # Hard links and symbolic links have no sum of their own, but a name.
    # shellcheck disable=SC2016
    dpkg-deb --fsys-tarfile "$1" 2>/dev/null |
        tar -x --to-command='printf "%s  %s\n" "$(md5sum | cut -c 1-32)" "$TAR_FILENAME"' \
            >"$HP_BATCH/sums.file" 2>/dev/null || return 1
    dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -t >"$HP_BATCH/sums.names" 2>/dev/null || return 1
    dpkg-query -W -f '${Conffiles}\n' "$2" >"$HP_BATCH/sums.conffiles" 2>/dev/null
    cp -- "$hp_same_info.md5sums" "$HP_BATCH/sums.installed" || return 2
    (
        cd "$HP_BATCH" && awk '
            function plain(path) { sub(/^\.?\//, "", path); return path }
            FILENAME == "sums.conffiles" {
                if (match($0, / [0-9a-f]+( obsolete)?( remove-on-upgrade)?$/)) {
                    path = plain(substr($0, 2, RSTART - 2)); split(substr($0, RSTART + 1), word, " ")
                    conffile[path] = word[1]
                }
                next
            }
            FILENAME == "sums.installed" { sum[plain(substr($0, 35))] = substr($0, 1, 32); next }
            FILENAME == "sums.names" { named[plain($0)] = 1; next }
            {
                path = plain(substr($0, 35)); is = substr($0, 1, 32)
                if (path in sum ? sum[path] != is : conffile[path] != is) { differs = 1; exit }
            }
            END {
                for (path in sum) if (!(path in named)) differs = 1
                exit differs
            }' sums.conffiles sums.installed sums.names sums.file
    )
    hp_same=$?
    rm -f "$HP_BATCH"/sums.*
    return "$hp_same"
}

# hp_snapshot NAME ARCH VERSION: that file from the plan's snapshot archive, by apt's own downloader, which
# goes the ways that apt goes. hp_take judges what comes.
hp_snapshot() {
    # Text, not numbers: to awk 1.0 and 1.00 would be the same version.
    hp_snapshot_url=$(awk -F '\t' -v n="$1" -v a="$2" -v v="$3" '
        $1 == "url" && $2 "" == n "" && $3 "" == a "" && $4 "" == v "" { print $5; exit }' "$HP_OP/spec")
    [ -n "$hp_snapshot_url" ] && mkdir -p "$HP_BATCH/snapshot" || return 1
    hp_say "fetching $1 $3 from the snapshot archive"
    timeout 1800 /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root -o Acquire::Retries=2 \
        -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 download-file "$hp_snapshot_url" \
        "$HP_BATCH/snapshot/$(hp_deb_name "$1" "$3" "$2")" </dev/null 8>&- 9>&-
}

# --- from host to host, through the cockpit

# The most of a file that goes in one piece, in bytes; as base64 it fits hp_input and a section.
HP_PIECE_BYTES=524288

# hp_file_read FILE: the first line of an input, NAME ARCH VERSION, as hp_n, hp_a and hp_v. A version may
# have a character that a shell acts on, so it is no word of a command line.
hp_file_read() {
    head -n 1 "$1" | grep -qE '^[a-z0-9][a-z0-9+.-]{1,127} [a-z0-9][a-z0-9-]{0,31} [0-9A-Za-z][0-9A-Za-z.+:~-]{0,255}$' ||
        hp_refuse usage "the first line is not NAME ARCH VERSION"
    read -r hp_n hp_a hp_v <"$1"
}

# hp_give_find NAME ARCH VERSION: a file of it that this host can give: one that it stored for a batch, or
# one of apt's cache. What was repacked here holds this host's own configuration and stays. Sets HP_GIVE.
hp_give_find() {
    for hp_give_dir in "$HP_STATE"/batches/*/old "$HP_STATE"/batches/*/new /var/cache/apt/archives; do
        for hp_give_arch in "$2" all "$(dpkg --print-architecture)"; do
            HP_GIVE=$hp_give_dir/$(hp_deb_name "$1" "$3" "$hp_give_arch")
            hp_deb_is "$HP_GIVE" "$1" "$2" "$3" || continue
            case $hp_give_dir in
                "$HP_STATE"/*) [ -f "$HP_GIVE.from" ] && ! grep -q '^repacked ' "$HP_GIVE.from" || continue ;;
            esac
            return 0
        done
    done
    return 1
}

hp_have() {
    while read -r hp_n hp_a hp_v; do
        hp_give_find "$hp_n" "$hp_a" "$hp_v" || continue
        echo "$hp_n $hp_a $hp_v $(stat -c %s "$HP_GIVE") $(hp_sha256 "$HP_GIVE")"
    done <"$1"
}

hp_verb_have() {
    [ "$#" = 0 ] || hp_refuse usage "have takes its packages on standard input"
    hp_need_root
    hp_wanted=$HP_STATE/have.$$
    trap 'rm -f "$hp_wanted"' EXIT
    hp_input "$hp_wanted" || hp_refuse usage "the input is cut off, or does not end with the line: end"
    if grep -qvE '^[a-z0-9][a-z0-9+.-]+ [a-z0-9][a-z0-9-]* [0-9A-Za-z][0-9A-Za-z.+:~-]*$' "$hp_wanted"; then
        hp_refuse usage "a line is not NAME ARCH VERSION"
    fi
    hp_have_lines=$(wc -l <"$hp_wanted")
    [ "$hp_have_lines" -gt 0 ] && [ "$hp_have_lines" -le 4000 ] || hp_refuse usage "1 to 4000 packages"
    hp_section files hp_have "$hp_wanted"
    hp_done 0
}

hp_give_piece() { tail -c "+$(($2 + 1))" "$1" | head -c "$HP_PIECE_BYTES" | base64 -w 4096; }

hp_verb_give() {
    [ "$#" = 1 ] && hp_is_number "$1" || hp_refuse usage "give OFFSET"
    hp_need_root
    hp_wanted=$HP_STATE/have.$$
    trap 'rm -f "$hp_wanted"' EXIT
    hp_input "$hp_wanted" && [ "$(wc -l <"$hp_wanted")" = 1 ] || hp_refuse usage "the input is not one line and the line: end"
    hp_file_read "$hp_wanted"
    hp_give_find "$hp_n" "$hp_a" "$hp_v" || hp_refuse no-file "$hp_n:$hp_a $hp_v"
    [ "$1" -lt "$(stat -c %s "$HP_GIVE")" ] || hp_refuse usage "the file is shorter than that"
    hp_section piece hp_give_piece "$HP_GIVE" "$1"
    hp_done 0
}

hp_taken() {
    echo "next $1"
    echo "whole $2"
}

hp_take_answer() {
    hp_section taken hp_taken "$1" "$2"
    hp_done 0
}

# A piece of a package file that another host has, for the next stage of the batch. Pieces come in order;
# the same one again is as once. Nothing is used before the whole of it has the hash that was announced.
hp_verb_take() {
    [ "$#" = 5 ] && hp_is_id "$1" && hp_is_number "$2" && hp_is_number "$5" ||
        hp_refuse usage "take BATCH SIZE SHA256 HOST OFFSET"
    [ "${#3}" = 64 ] && [ "$2" -gt 0 ] && [ "$2" -le 2147483648 ] || hp_refuse usage "not a size and a hash"
    case $3,$4 in
        *[!0-9a-f]*,* | *,[!A-Za-z0-9]* | *,*[!A-Za-z0-9._-]*) hp_refuse usage "not a hash and a host" ;;
    esac
    hp_need_root
    hp_piece=$HP_STATE/piece.$$
    trap 'rm -f "$hp_piece" "$hp_piece.bytes"' EXIT
    hp_input "$hp_piece" || case $? in
        2) hp_refuse no-space "no space to store the piece" ;;
        *) hp_refuse usage "the piece is cut off, or does not end with the line: end" ;;
    esac
    hp_file_read "$hp_piece"
    tail -n +2 "$hp_piece" | base64 -d >"$hp_piece.bytes" 2>/dev/null || hp_refuse usage "the piece is not base64, or there is no space"
    hp_piece_bytes=$(stat -c %s "$hp_piece.bytes")
    [ "$hp_piece_bytes" -gt 0 ] && [ "$hp_piece_bytes" -le "$HP_PIECE_BYTES" ] || hp_refuse usage "not the size of a piece"
    hp_lock
    hp_admit_epoch
    HP_BATCH=$HP_STATE/batches/$1
    hp_take_is_wanted "$hp_n" "$hp_a" "$hp_v" || hp_refuse usage "no batch of that name here waits for that package"
    mkdir -p "$HP_BATCH/carried" || hp_refuse no-space "no space for the file"
    for hp_take_arch in "$hp_a" all "$(dpkg --print-architecture)"; do
        hp_take_file=$HP_BATCH/carried/$(hp_deb_name "$hp_n" "$hp_v" "$hp_take_arch")
        if [ -f "$hp_take_file.from" ] && [ "$(hp_sha256 "$hp_take_file")" = "$3" ]; then
            hp_take_answer "$2" yes
        fi
    done
    hp_take_part "$2" "$3" "$4" "$5"
}

# Still to be applied, and with that package from or to that version.
hp_take_is_wanted() {
    [ -f "$HP_BATCH/spec" ] && { [ ! -f "$HP_BATCH/begun" ] || [ -f "$HP_BATCH/rolled-back" ]; } || return 1
    hp_spec_packages "$HP_BATCH/spec" | cut -f 2-4 | grep -qxF "$1$HP_TAB$2$HP_TAB$3" ||
        hp_spec_packages "$HP_BATCH/spec" | cut -f 2,3,5 | grep -qxF "$1$HP_TAB$2$HP_TAB$3"
}

# hp_take_part SIZE SHA256 HOST OFFSET
hp_take_part() {
    hp_part=$HP_BATCH/carried/$2.part
    if [ "$4" = 0 ]; then
        # Once here, and once more where it is kept; and a margin.
        hp_part_free=$(df -PB1 "$HP_STATE" 2>/dev/null | awk 'NR == 2 { print $4 }')
        [ "${hp_part_free:-0}" -ge "$(($1 * 2 + 67108864))" ] || hp_refuse no-space "no space for $1 bytes"
        : >"$hp_part" || hp_refuse no-space "no space for the file"
    fi
    hp_part_bytes=$(stat -c %s "$hp_part" 2>/dev/null) || hp_part_bytes=-1
    [ "$4" -le "$hp_part_bytes" ] || hp_refuse usage "the piece before this one is not here"
    if ! truncate -s "$4" "$hp_part" || ! cat "$hp_piece.bytes" >>"$hp_part"; then
        rm -f "$hp_part"
        hp_refuse no-space "no space for the file"
    fi
    hp_part_bytes=$(($4 + hp_piece_bytes))
    if [ "$hp_part_bytes" -lt "$1" ]; then
        hp_take_answer "$hp_part_bytes" no
    fi
    if [ "$hp_part_bytes" != "$1" ] || [ "$(hp_sha256 "$hp_part")" != "$2" ] || ! hp_deb_is "$hp_part" "$hp_n" "$hp_a" "$hp_v"; then
        rm -f "$hp_part"
        hp_refuse mismatch "$hp_n:$hp_a $hp_v is not what was announced; it is not kept"
    fi
    hp_take_file=$HP_BATCH/carried/$(hp_deb_name "$hp_n" "$hp_v" "$(dpkg-deb -f "$hp_part" Architecture)")
    sync "$hp_part" && mv -f "$hp_part" "$hp_take_file" && echo "$3" | hp_write "$hp_take_file.from" ||
        hp_refuse no-space "the file could not be kept"
    hp_take_answer "$1" yes
}
