# Makes a throwaway root on btrfs: a loop image in memory with one subvolume, @rootfs, and in it the part of
# this machine's own system that dpkg, apt and the helper need, as its own packages have it.
set -eu
cd "$1"
mount -t tmpfs -o size=1500m tmpfs .
cd "$1"
mkdir top root
truncate -s 1300M image
mkfs.btrfs -q image >/dev/null
mount -o loop image top
btrfs subvolume create top/@rootfs >/dev/null
mount -o loop,subvol=@rootfs image root

# What is essential, apt, and what the helper calls; with all that these depend on.
wanted=$(dpkg-query -W -f '${Essential} ${db:Status-Status} ${Package}\n' | sed -n 's/^yes installed //p')
for name in apt btrfs-progs iproute2 mount procps $wanted; do echo "$name"; done >names
while :; do
    sort -u names >names.before
    # Whatever provides it counts as it.
    xargs dpkg-query -W -f '${Pre-Depends}, ${Depends}\n' <names.before 2>/dev/null | tr ',|' '\n\n' |
        sed -e 's/(.*//' -e 's/:.*//' -e 's/ //g' | sed '/^$/d' | sort -u >needs
    dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Provides}\n' | awk -F '\t' '
        FILENAME == "needs" { need[$1] = 1; next }
        $1 != "installed" { next }
        {
            n = split($3, provides, ", "); hit = $2 in need
            for (i = 1; i <= n; i++) { sub(/ .*/, "", provides[i]); if (provides[i] in need) hit = 1 }
            if (hit) print $2
        }' needs - >>names
    sort -u names >names.after
    if cmp -s names.before names.after; then break; fi
    cp names.after names
done
for name in $(cat names.after); do dpkg -L "$name"; done 2>/dev/null |
    grep -vE '^/(\.|proc|sys|dev|run|tmp|usr/share/(doc|man|locale|i18n|info|lintian|perl|zoneinfo)|usr/lib/.*/(perl|gconv))(/|$)' |
    sed 's,^/,,' | sort -u >paths
# Of a merged /usr the folders first, then the links to them, then what is in them.
mkdir -p -m 755 root/usr root/var/lib/dpkg/updates root/var/lib/apt/lists root/var/log/apt root/var/cache/apt/archives/partial \
    root/proc root/dev root/run root/tmp
for dir in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$dir" ]; then
        mkdir -p -m 755 "root/usr/$dir"
        ln -s "usr/$dir" "root/$dir"
    fi
done
find /usr/bin /usr/sbin -lname '/etc/alternatives/*' | sed 's,^/,,' >>paths
for name in $(cat names.after); do
    for file in /var/lib/dpkg/info/"$name".* /var/lib/dpkg/info/"$name":*; do
        if [ -f "$file" ]; then echo "${file#/}"; fi
    done
done >>paths
for file in info/format arch diversions statoverride alternatives; do echo "var/lib/dpkg/$file"; done >>paths
tar -C / -cf - --no-recursion --ignore-failed-read -T paths 2>/dev/null | tar -C root --keep-directory-symlink -xpf -
tar -C / -cf - etc var/lib/dpkg/alternatives | tar -C root -xpf -
awk -v RS='' -v ORS='\n\n' '
    FILENAME == ARGV[1] { n = split($0, f, "\n"); for (i = 1; i <= n; i++) want[f[i]] = 1; next }
    { split($0, f, "\n"); if (substr(f[1], 10) in want) print }' names.after /var/lib/dpkg/status >root/var/lib/dpkg/status
rm -f names* needs paths links
read -r pid _ </proc/self/stat
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -p root/run/lock
mount --rbind /dev root/dev
ip link set lo up 2>/dev/null || :
echo "ready $pid"
cat >/dev/null
