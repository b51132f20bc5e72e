# Makes a host look as if its root were on LVM or ZFS: tools that write into /calls what they are asked, and
# pretend. Which it is stands in /kind: lvm, lvm-thin or zfs. What fails: /fail, a tool and its first word.
rm -rf /srv/* /home/* /data /var/www /var/mail/* /var/vmail /var/opt/* /var/lib/containerd /var/lib/docker /var/lib/mysql \
    /var/lib/machines /var/lib/libvirt /var/lib/postgresql /var/lib/redis
: >/calls
: >/there

tool() {
    { printf '#!/bin/sh\necho "%s $*" >>/calls\nread -r kind </kind\n[ "$(cat /fail 2>/dev/null)" != "%s $1" ] || exit 5\n' "$1" "$1" && cat; } >"/usr/sbin/$1"
    chmod 755 "/usr/sbin/$1"
}

# As it was at that moment.
cat >/usr/sbin/take-it <<'SCRIPT'
#!/bin/sh
rm -rf /held && mkdir -p /held/var/lib/dpkg && cp /var/lib/dpkg/status /held/var/lib/dpkg/ && echo "$1" >>/there
SCRIPT
chmod 755 /usr/sbin/take-it

tool findmnt <<'SCRIPT'
case $kind,$* in
    zfs,*FSTYPE*) echo zfs ;;
    zfs,*SOURCE*) echo rpool/ROOT/debian ;;
    *,*FSTYPE*) echo ext4 ;;
    *,*SOURCE*) echo /dev/mapper/vg0-root ;;
esac
SCRIPT

tool lvs <<'SCRIPT'
for last; do :; done
case $*,$kind in
    *pool_lv*,lvm) echo "  vg0|root|linear|$(cat /free)||21474836480" ;;
    *pool_lv*) echo "  vg0|root|thin|0|pool|21474836480" ;;
    *lv_size,data_percent*) echo "  $(cat /free)|50.00" ;;
    *lv_attr*) if [ -f /full ]; then echo "  swi-I-s---"; else echo "  swi-a-s---"; fi ;;
    *vg_name,lv_name*) sed 's,^vg0/,  vg0|,' /there; echo "  vg0|root" ;;
    *lv_name*) echo "  root" ;;
esac
SCRIPT

tool lvcreate <<'SCRIPT'
while [ "$1" != -n ]; do shift; done
take-it "vg0/$2"
SCRIPT

tool lvremove <<'SCRIPT'
for last; do :; done
grep -vxF "$last" /there >/there.new || :
mv /there.new /there
SCRIPT

tool zfs <<'SCRIPT'
for last; do :; done
case $1,$* in
    get,*) cat /free ;;
    list,*snapshot*) cat /there ;;
    list,*) echo rpool/ROOT/debian ;;
    snapshot,*) take-it "$2" && mkdir -p /.zfs/snapshot && rm -rf "/.zfs/snapshot/${2#*@}" && mv /held "/.zfs/snapshot/${2#*@}" ;;
    destroy,*)
        grep -vxF "$2" /there >/there.new || :
        mv /there.new /there
        ;;
esac
SCRIPT

cat >/usr/sbin/mount <<'SCRIPT'
#!/bin/sh
case $* in
    *' /dev/vg0/'*)
        echo "mount $*" >>/calls
        exec /bin/mount --bind /held "$4"
        ;;
esac
exec /bin/mount "$@"
SCRIPT
chmod 755 /usr/sbin/mount
