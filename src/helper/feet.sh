# --- what the rollback itself stands on -----------------------------------------------------------------

# The tools that it begins with. Where a batch changes one of them, or a library or the loader that they
# run by, copies of all are kept in the batch's tools/ and proven at stage. They put the old files of that
# base back when the host's own tools don't run any more; from there on the way back is the usual one.
HP_FEET_TOOLS="sh awk cat chmod cmp comm cp cut date df dirname dpkg dpkg-deb dpkg-query env find flock grep head
    id ln ls mkdir mount mv readlink rm rmdir sed setsid sha256sum sleep sort stat sync tail tar touch tr uname wc xargs"
# Where the copies are that may be used now, and whether they are.
HP_FEET=
HP_FEET_ON=

# hp_feet TOOL [WORD...]: a copy, with the copied loader and libraries alone.
hp_feet() {
    hp_feet_tool=$1
    shift
    "$HP_FEET/lib/ld.so" --library-path "$HP_FEET/lib" "$HP_FEET/bin/$hp_feet_tool" "$@"
}

# From here on this shell uses the copies. Functions, since wrappers would need a shell that starts; so
# nothing that another program starts by name is meant. A name with a dash is no function's: those are called
# by hp_feet. The words are this file's own.
hp_feet_on() {
    for hp_feet_name in $HP_FEET_TOOLS; do
        case $hp_feet_name in
            sh | *-*) ;;
            *) eval "$hp_feet_name() { hp_feet $hp_feet_name \"\$@\"; }" ;;
        esac
    done
    eval 'timeout() { shift; "$@"; }'
    HP_FEET_ON=1
}

hp_feet_off() {
    for hp_feet_name in $HP_FEET_TOOLS timeout; do
        case $hp_feet_name in
            sh | *-*) ;;
            *) unset -f "$hp_feet_name" ;;
        esac
    done
    HP_FEET_ON=
}

# hp_feet_try TOOL COMMAND...: whether that command runs as the tool that it is.
hp_feet_try() {
    hp_feet_what=$1
    shift
    case $hp_feet_what in
        sh) "$@" -c : ;;
        awk) "$@" 'BEGIN { exit 0 }' ;;
        *) "$@" --version ;;
    esac </dev/null >/dev/null 2>&1
}

# Whether the host's own tools run: in short, and whole with a real package file.
hp_feet_quick() {
    hp_feet_try sh /bin/sh || return 1
    for hp_feet_name in mv cat id sed flock head cut; do
        hp_feet_try "$hp_feet_name" command "$hp_feet_name" || return 1
    done
}

hp_feet_sound() {
    hp_feet_try sh /bin/sh || return 1
    for hp_feet_name in $HP_FEET_TOOLS apt-get; do
        [ "$hp_feet_name" = sh ] || hp_feet_try "$hp_feet_name" command "$hp_feet_name" || {
            hp_say "$hp_feet_name does not run"
            return 1
        }
    done
    read -r hp_feet_deb <"$HP_FEET/debs"
    command dpkg-deb --fsys-tarfile "$hp_feet_deb" 2>/dev/null | command tar -t >/dev/null 2>&1 || {
        hp_say "dpkg-deb and tar cannot read a package"
        return 1
    }
}

# --- stage

hp_stage_feet() {
    HP_FEET=$HP_BATCH/tools
    HP_FEET_WHY=
    rm -rf "$HP_FEET"
    if ! mkdir -p "$HP_FEET/bin" "$HP_FEET/lib"; then
        HP_FEET_WHY="cannot make their folder"
    else
        hp_say "copying the tools that the rollback stands on"
        hp_feet_copy
    fi
    if [ ! -s "$HP_FEET/names" ] || ! hp_feet_stands_on >"$HP_FEET/base"; then
        rm -rf "$HP_FEET"
        hp_result "tools fails ${HP_FEET_WHY:-they cannot be written}"
        return
    fi
    if [ ! -s "$HP_FEET/base" ]; then
        rm -rf "$HP_FEET"
        hp_result "tools unneeded"
        return
    fi
    sed 's/^/stands-on /' "$HP_FEET/base" >>"$HP_OP/result.part"
    if [ -z "$HP_FEET_WHY" ] && hp_feet_prove; then
        hp_result "tools ok $(find "$HP_FEET/bin" -type f | wc -l)"
    else
        rm -rf "$HP_FEET"
        hp_result "tools fails ${HP_FEET_WHY:-they cannot be written}"
    fi
}

# The copies, and all paths that they were copied from, as dpkg's lists name them: /usr left out, since
# it may be merged with the root.
hp_feet_copy() {
    : >"$HP_FEET/paths"
    for hp_feet_name in $HP_FEET_TOOLS; do
        hp_feet_path=
        for hp_feet_dir in /usr/sbin /usr/bin /sbin /bin; do
            [ -z "$hp_feet_path" ] && [ -x "$hp_feet_dir/$hp_feet_name" ] && hp_feet_path=$hp_feet_dir/$hp_feet_name
        done
        hp_feet_real=$(readlink -f "${hp_feet_path:-/nowhere}")
        if [ "$(head -c 4 "$hp_feet_real" 2>/dev/null | tail -c 3)" != ELF ]; then
            HP_FEET_WHY="$hp_feet_name is no program of its own here"
            continue
        fi
        printf '%s\n' "$hp_feet_path" "$hp_feet_real" >>"$HP_FEET/paths"
        cp "$hp_feet_real" "$HP_FEET/bin/$hp_feet_name" || HP_FEET_WHY="no space for the copies"
    done
    ldd "$HP_FEET"/bin/* >"$HP_FEET/ldd" 2>&1 || HP_FEET_WHY=${HP_FEET_WHY:-a tool is not linked dynamically}
    if grep -q 'not found$' "$HP_FEET/ldd"; then
        HP_FEET_WHY="a library of the tools is not found"
    fi
    sed -n -e "s,^$HP_TAB.* => \\(/[^ ]*\\) (.*,\\1,p" -e "s,^$HP_TAB\\(/[^ ]*\\) (.*,\\1,p" "$HP_FEET/ldd" | sort -u >"$HP_FEET/libs"
    while IFS= read -r hp_feet_path; do
        printf '%s\n' "$hp_feet_path" "$(readlink -f "$hp_feet_path")" >>"$HP_FEET/paths"
        case ${hp_feet_path##*/} in
            ld-linux* | ld.so* | ld64.so*) hp_feet_name=ld.so ;;
            *) hp_feet_name=${hp_feet_path##*/} ;;
        esac
        cp -L "$hp_feet_path" "$HP_FEET/lib/$hp_feet_name" || HP_FEET_WHY="no space for the copies"
    done <"$HP_FEET/libs"
    [ -f "$HP_FEET/lib/ld.so" ] || HP_FEET_WHY=${HP_FEET_WHY:-their loader is not known}
    # Whole or not there: what is not on the list would count as nothing that the tools stand on.
    sed 's,^/usr/,/,' "$HP_FEET/paths" | sort -u >"$HP_FEET/names.part" && sync "$HP_FEET/names.part" &&
        mv -f "$HP_FEET/names.part" "$HP_FEET/names"
}

# Packages of the batch that bring one of those files, or apt, which the way back asks last.
hp_feet_stands_on() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        [ "$hp_f" = - ] && continue
        case $hp_n in
            apt | libapt-pkg[0-9]*)
                echo "$hp_n:$hp_a"
                continue
                ;;
        esac
        for hp_feet_list in "/var/lib/dpkg/info/$hp_n.list" "/var/lib/dpkg/info/$hp_n:$hp_a.list"; do
            [ -f "$hp_feet_list" ] || continue
            if sed 's,^/usr/,/,' "$hp_feet_list" | grep -qxFf "$HP_FEET/names"; then
                echo "$hp_n:$hp_a"
                break
            fi
        done
    done <<LIST
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    return 0
}

# Each copy runs, with copied libraries alone; the old packages of the base read the same by them as by
# the host's own tools, and one of them is unpacked and compared.
hp_feet_prove() {
    for hp_feet_name in $HP_FEET_TOOLS; do
        if ! hp_feet_try "$hp_feet_name" hp_feet "$hp_feet_name"; then
            HP_FEET_WHY="the copy of $hp_feet_name does not run"
            return 1
        fi
        if "$HP_FEET/lib/ld.so" --library-path "$HP_FEET/lib" --list "$HP_FEET/bin/$hp_feet_name" |
            grep -F ' => /' | grep -vF " => $HP_FEET/lib/" | grep -vqE '/ld(64|-linux[^ ]*)?\.so'; then
            HP_FEET_WHY="the copy of $hp_feet_name uses libraries that are not copied"
            return 1
        fi
    done
    hp_feet_debs >"$HP_FEET/debs" || return 1
    [ -s "$HP_FEET/debs" ] || HP_FEET_WHY="no old package file of the base is stored"
    while IFS= read -r hp_feet_deb; do
        hp_feet_sum=$(dpkg-deb --fsys-tarfile "$hp_feet_deb" | sha256sum)
        if [ "$(hp_feet dpkg-deb --fsys-tarfile "$hp_feet_deb" | hp_feet sha256sum)" != "$hp_feet_sum" ]; then
            HP_FEET_WHY="the copies read ${hp_feet_deb##*/} differently"
        fi
    done <"$HP_FEET/debs"
    [ -z "$HP_FEET_WHY" ] || return 1
    # The first one is what is unpacked first when it counts.
    read -r hp_feet_deb <"$HP_FEET/debs"
    mkdir "$HP_FEET/scratch" || return 1
    hp_feet dpkg-deb --fsys-tarfile "$hp_feet_deb" |
        hp_feet tar -C "$HP_FEET/scratch" --numeric-owner --same-owner -xpf - &&
        dpkg-deb --fsys-tarfile "$hp_feet_deb" | tar -C "$HP_FEET/scratch" --compare -f - ||
        HP_FEET_WHY="the copies unpack ${hp_feet_deb##*/} differently"
    rm -rf "$HP_FEET/scratch" "$HP_FEET/ldd" "$HP_FEET/libs" "$HP_FEET/paths" "$HP_FEET/names"
    [ -z "$HP_FEET_WHY" ] || return 1
    readlink /bin/sh >"$HP_FEET/sh.link"
    (cd "$HP_FEET" && sha256sum bin/* lib/* debs >sums && find . -type f -exec sync {} + && sync bin lib .) &&
        hp_mark "$HP_FEET/ok" && sync "$HP_BATCH"
}

# The stored old files of the base, the C library first.
hp_feet_debs() {
    while IFS=$HP_TAB read -r _ hp_n hp_a hp_f _; do
        grep -qxF "$hp_n:$hp_a" "$HP_FEET/base" || continue
        hp_stored old "$hp_n" "$hp_a" "$hp_f" || {
            HP_FEET_WHY="the old file of $hp_n is not stored"
            return 1
        }
    done <<LIST >"$HP_FEET/debs.part"
$(hp_spec_packages "$HP_BATCH/spec")
LIST
    grep '/libc6_' "$HP_FEET/debs.part"
    grep -v '/libc6_' "$HP_FEET/debs.part"
    rm -f "$HP_FEET/debs.part"
}

# Before an apply: the copies are those that were proven.
hp_feet_intact() {
    [ -f "$HP_BATCH/tools/ok" ] || return 0
    (cd "$HP_BATCH/tools" && sha256sum -c --status sums)
}

# --- rollback

# At the start of an operation's own process: nothing but builtins until it is clear what runs.
hp_feet_begin() {
    hp_feet_batch=
    while read -r hp_feet_key hp_feet_value; do
        [ "$hp_feet_key" != batch ] || hp_feet_batch=$hp_feet_value
    done <"$HP_STATE/ops/$1/intent"
    [ -f "$HP_STATE/batches/$hp_feet_batch/tools/ok" ] || return 0
    HP_FEET=$HP_STATE/batches/$hp_feet_batch/tools
    hp_feet_quick || hp_feet_on
}

# Before the first package is put back: a base that does not run is put back by the copies. An apply that
# still runs is waited for: in the middle of unpacking a C library nothing else runs either.
hp_feet_stand() {
    [ -f "$HP_BATCH/tools/ok" ] || return 0
    HP_FEET=$HP_BATCH/tools
    # Once in each operation.
    rm -f "$HP_FEET/restored"
    if ! hp_feet_sound; then
        hp_feet_on
        hp_wait_for_dpkg 1800 || hp_say "the package locks are still held after 30 minutes"
        hp_feet_sound || hp_feet_restore || return 1
    fi
    [ -z "$HP_FEET_ON" ] || hp_feet_off
}

# When dpkg could not do it although its tools seemed to run: once, the old files of the base by the copies.
hp_feet_again() {
    [ -f "$HP_BATCH/tools/ok" ] && [ ! -f "$HP_BATCH/tools/restored" ] || return 1
    HP_FEET=$HP_BATCH/tools
    hp_feet_on
    hp_feet_restore || {
        hp_feet_off
        return 1
    }
    hp_feet_off
}

# The old packages' files, over what is there; dpkg is told nothing, so that it puts the packages back
# afterwards as if nothing had been. What an admin diverted stays; /etc is put back by itself; manuals are nobody's feet.
hp_feet_restore() {
    hp_say "the base does not run: putting its old files back by the copies"
    awk 'NR % 3 == 1 { path = $0 } NR % 3 == 0 && $0 != "dash" { print "." path }' /var/lib/dpkg/diversions \
        >"$HP_FEET/diverted" 2>/dev/null
    while IFS= read -r hp_feet_deb; do
        hp_say "unpacking ${hp_feet_deb##*/}"
        rm -rf "$HP_FEET/out"
        mkdir "$HP_FEET/out"
        hp_feet dpkg-deb --fsys-tarfile "$hp_feet_deb" | tar -C "$HP_FEET/out" --numeric-owner --same-owner \
            --anchored --no-wildcards -X "$HP_FEET/diverted" --exclude=./etc --exclude=./usr/share/doc \
            --exclude=./usr/share/man --exclude=./usr/share/locale --exclude=./usr/share/info \
            --exclude=./usr/share/lintian --exclude=./usr/share/bug -xpf - || {
            # The last file may be half a file: none of it is put anywhere.
            hp_say "it could not be unpacked: ${hp_feet_deb##*/}"
            rm -rf "$HP_FEET/out"
            continue
        }
        find "$HP_FEET/out" ! -type d -printf '%P\n' | while IFS= read -r hp_feet_path; do
            hp_feet_put "$hp_feet_path" || hp_say "could not be put back: $hp_feet_path"
        done
        rm -rf "$HP_FEET/out"
    done <"$HP_FEET/debs"
    if ! hp_feet_try sh /bin/sh && [ -s "$HP_FEET/sh.link" ]; then
        read -r hp_feet_link <"$HP_FEET/sh.link"
        ln -sfn "$hp_feet_link" /bin/sh
    fi
    command ldconfig 2>/dev/null || :
    sync
    if ! hp_feet_sound; then
        hp_result "failed base its old files were put back by the copies, and it still does not run"
        return 1
    fi
    hp_mark "$HP_FEET/restored"
    hp_result "caution the base did not run any more: its old files were put back by the kept copies first"
}

# hp_feet_put PATH: one file or link of those, where it differs; by rename, since others start programs
# all the while.
hp_feet_put() {
    hp_put_from=$HP_FEET/out/$1
    if [ -L "$hp_put_from" ]; then
        [ ! -L "/$1" ] || [ "$(readlink "/$1")" != "$(readlink "$hp_put_from")" ] || return 0
    elif [ ! -L "/$1" ] && cmp -s "$hp_put_from" "/$1" &&
        [ "$(stat -c '%a %u %g' "$hp_put_from")" = "$(stat -c '%a %u %g' "/$1")" ]; then
        return 0
    fi
    [ -d "/${1%/*}" ] || (umask 022 && mkdir -p "/${1%/*}") || return 1
    # A name that ldconfig takes for no library, should it stay.
    hp_put_part=/${1%/*}/.holdpoint.$$
    cp -a "$hp_put_from" "$hp_put_part" && mv -fT "$hp_put_part" "/$1" && return
    rm -f "$hp_put_part"
    return 1
}

# --- what fires the timer

# The watcher's own tools, each time before it acts and when one of them failed it.
hp_feet_watch() {
    if hp_feet_quick; then
        [ -z "$HP_FEET_ON" ] || hp_feet_off
        return 0
    fi
    [ -z "$HP_FEET_ON" ] || return 0
    for hp_feet_ok in "$HP_STATE"/batches/*/tools/ok; do
        [ -f "$hp_feet_ok" ] || continue
        HP_FEET=${hp_feet_ok%/ok}
        hp_feet_on
        hp_say "the host's own tools do not run: going on with the copies"
        return 0
    done
}

# hp_feet_launch OP: an operation's process, all of it from copies.
hp_feet_launch() {
    hp_feet setsid "$HP_FEET/lib/ld.so" --library-path "$HP_FEET/lib" "$HP_FEET/bin/env" -i PATH="$PATH" HOME=/root \
        "$HP_FEET/lib/ld.so" --library-path "$HP_FEET/lib" "$HP_FEET/bin/sh" "$HP_PATH" "$HP_NONCE" 0 run "$1" \
        </dev/null >/dev/null 2>&1 7>&- 9>&- &
}

# A second name for the copies, for as long as anything is armed: what starts the watcher names them.
hp_feet_keep() {
    [ -f "$HP_BATCH/tools/ok" ] && [ ! -f "$HP_STATE/feet/ok" ] || return 0
    rm -rf "$HP_STATE/feet" "$HP_STATE/feet.new"
    cp -al "$HP_BATCH/tools" "$HP_STATE/feet.new" && mv -fT "$HP_STATE/feet.new" "$HP_STATE/feet" && sync "$HP_STATE" || {
        rm -rf "$HP_STATE/feet" "$HP_STATE/feet.new"
        hp_refuse no-space "cannot keep the copies of the tools"
    }
}

# The shell that reads the watcher, as words.
hp_feet_shell() {
    if [ -f "$HP_STATE/feet/ok" ]; then
        echo "$HP_STATE/feet/lib/ld.so --library-path $HP_STATE/feet/lib $HP_STATE/feet/bin/sh"
    else
        echo /bin/sh
    fi
}
