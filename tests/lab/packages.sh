# shellcheck shell=bash
# The lab's own packages: what they are, and how each is built. Sourced by `lab`.
#
# Suites of the archive:
#   lab           what the hosts were installed from: the OLD version of everything   (Label hp-lab)
#   lab-updates   the NEW versions of the ordinary ones                               (Label hp-lab)
#   lab-security  the NEW versions of the ones that are security fixes    (Label Debian-Security)
# and three that a host does not have in its sources until a test asks (`lab suite`):
#   lab-broken    a NEW version whose postinst fails
#   lab-next      what is newer still: the archive has moved on since the rehearsal
#   lab-noreturn  a NEW version after which the OLD one refuses its data

# shellcheck disable=SC2034  # used by lab
ARCHIVE_SUITES="lab lab-updates lab-security lab-broken lab-next lab-noreturn"

# source | package | section | old | new | suite of new | depends, or "of old => of new" | auto or manual
# {v} is the version of the package itself. A line with old "-" exists only as new, with new "-" only as old.
package_table() {
	cat <<'END'
# --- libc: a class that takes a batch of its own
hp-glibc      | hp-libc6              | libs     | 2.36-1    | 2.36-2    | lab-security | | manual
hp-glibc      | hp-libc-bin           | utils    | 2.36-1    | 2.36-2    | lab-security | hp-libc6 (= {v}) | manual
hp-glibc      | hp-locales            | localization | 2.36-1 | 2.36-2   | lab-security | hp-libc-bin (= {v}) | manual
# --- init
hp-systemd    | hp-init               | admin    | 252.1-1   | 252.2-1   | lab-updates  | hp-libc6 (>= 2.36-1) | manual
hp-systemd    | hp-udev               | admin    | 252.1-1   | 252.2-1   | lab-updates  | hp-init (= {v}) | manual
# --- kernel: the meta package needs a package that is not installed yet, as in life
hp-linux      | hp-linux-image-amd64  | kernel   | 6.1.1-1   | 6.1.2-1   | lab-security | hp-linux-image-6.1.0-1 => hp-linux-image-6.1.0-2 | manual
hp-linux      | hp-linux-image-6.1.0-1| kernel   | 6.1.1-1   | -         | -            | | auto
hp-linux      | hp-linux-image-6.1.0-2| kernel   | -         | 6.1.2-1   | lab-security | | auto
hp-linux      | hp-linux-libc-dev     | devel    | 6.1.1-1   | 6.1.2-1   | lab-security | | manual
# --- one source, several packages that insist on each other's exact version
hp-openssl    | hp-libssl3            | libs     | 3.0.1-1   | 3.0.2-1   | lab-security | hp-libc6 (>= 2.36-1) | auto
hp-openssl    | hp-openssl            | utils    | 3.0.1-1   | 3.0.2-1   | lab-security | hp-libssl3 (= {v}) | manual
hp-openssl    | hp-libssl-dev         | libdevel | 3.0.1-1   | 3.0.2-1   | lab-security | hp-libssl3 (= {v}) | manual
hp-bind9      | hp-bind9-libs         | libs     | 9.18.1-1  | 9.18.2-1  | lab-security | hp-libssl3 (>= 3.0.1-1) | auto
hp-bind9      | hp-bind9-host         | net      | 9.18.1-1  | 9.18.2-1  | lab-security | hp-bind9-libs (= {v}) | manual
hp-bind9      | hp-bind9-dnsutils     | net      | 9.18.1-1  | 9.18.2-1  | lab-security | hp-bind9-libs (= {v}), hp-bind9-host (= {v}) | manual
hp-postgres   | hp-libpq5             | libs     | 15.3-1    | 15.4-1    | lab-updates  | hp-libssl3 (>= 3.0.1-1) | auto
hp-postgres   | hp-postgresql-client-15 | database | 15.3-1  | 15.4-1    | lab-updates  | hp-libpq5 (>= 15.3) => hp-libpq5 (>= 15.4) | manual
hp-postgres   | hp-postgresql-15      | database | 15.3-1    | 15.4-1    | lab-updates  | hp-postgresql-client-15 (= {v}) | manual
# --- libraries and users whose new version needs the new library, across sources
hp-curl       | hp-libcurl4           | libs     | 7.88.1-1  | 7.88.2-1  | lab-updates  | hp-libssl3 (>= 3.0.1-1) => hp-libssl3 (>= 3.0.2-1) | auto
hp-curl       | hp-curl               | web      | 7.88.1-1  | 7.88.2-1  | lab-updates  | hp-libcurl4 (= {v}) | manual
hp-zlib       | hp-zlib1g             | libs     | 1:1.2.13-1 | 1:1.2.13-2 | lab-updates | hp-libc6 (>= 2.36-1) | auto
hp-libpng     | hp-libpng16           | libs     | 1.6.39-1  | 1.6.39-2  | lab-updates  | hp-zlib1g (>= 1:1.2.13-1) => hp-zlib1g (>= 1:1.2.13-2) | auto
hp-imgtools   | hp-imgtools           | graphics | 6.9-1     | 6.9-2     | lab-updates  | hp-libpng16 (>= 1.6.39-1) => hp-libpng16 (>= 1.6.39-2) | manual
hp-expat      | hp-libexpat1          | libs     | 2.5.0-1   | 2.5.0-1+hp1 | lab-security | hp-libc6 (>= 2.36-1) | auto
hp-libxml     | hp-libxml2            | libs     | 2.9.14-1  | 2.9.14-1+hp1 | lab-updates | hp-zlib1g (>= 1:1.2.13-1) | auto
hp-xmltools   | hp-xmltools           | text     | 1.3-1     | 1.4-1     | lab-updates  | hp-libxml2 (>= 2.9), hp-libexpat1 (>= 2.5) | manual
# --- new dependency: without --with-new-pkgs this one is kept back
hp-backup     | hp-backup             | admin    | 1.6-1     | 2.0-1     | lab-updates  | hp-rsync => hp-rsync, hp-backup-engine (>= 2.0) | manual
hp-backup     | hp-backup-engine      | admin    | -         | 2.0-1     | lab-updates  | | auto
# --- services; restarted by their postinst, but for hp-worker
hp-echo       | hp-echo               | net      | 1.0-1     | 1.1-1     | lab-security | hp-libssl3 (>= 3.0.1-1), hp-echo-data (= {v}) | manual
hp-echo       | hp-echo-data          | net      | 1.0-1     | 1.1-1     | lab-security | | auto
hp-worker     | hp-worker             | net      | 2.0-1     | 2.0-2     | lab-updates  | hp-libssl3 (>= 3.0.1-1) | manual
hp-nginx-site | hp-nginx-site         | httpd    | 1.4-1     | 1.5-1     | lab-updates  | nginx-light | manual
# --- configuration that changes
hp-net-config | hp-net-config         | net      | 1.0-1     | 2.0-1     | lab-updates  | iproute2, ifupdown | manual
hp-ifupdown-config | hp-ifupdown-config | admin  | 0.8.1     | 0.8.2     | lab-updates  | ifupdown | manual
hp-motd-config | hp-motd-config       | admin    | 12.1      | 12.2      | lab-updates  | | manual
hp-logrotate-config | hp-logrotate-config | admin | 3.21-1   | 3.21-2    | lab-updates  | | manual
hp-sysctl-config | hp-sysctl-config   | admin    | 1.1       | 1.2       | lab-updates  | procps | manual
# --- data and small tools
hp-tzdata     | hp-tzdata             | localization | 2025a-1 | 2025b-1 | lab-updates  | | manual
hp-ca-certificates | hp-ca-certificates | misc   | 20230311  | 20240203  | lab-security | | manual
hp-vim        | hp-vim-common         | editors  | 2:9.0.1-1 | 2:9.0.2-1 | lab-updates  | | auto
hp-vim        | hp-vim-tiny           | editors  | 2:9.0.1-1 | 2:9.0.2-1 | lab-updates  | hp-vim-common (= {v}) | manual
hp-less       | hp-less               | text     | 590-1     | 590-2     | lab-updates  | | manual
hp-rsync      | hp-rsync              | net      | 3.2.7-1   | 3.2.7-2   | lab-updates  | hp-zlib1g | manual
hp-wget       | hp-wget               | web      | 1.21-1    | 1.21-2    | lab-updates  | hp-libssl3 | manual
hp-tar        | hp-tar                | utils    | 1.34-1    | 1.35-1    | lab-updates  | hp-libc6 | manual
hp-gzip       | hp-gzip               | utils    | 1.12-1    | 1.12-2    | lab-updates  | hp-libc6 | manual
hp-python     | hp-python3-requests   | python   | 2.28.1-1  | 2.28.2-1  | lab-updates  | | manual
hp-big        | hp-big                | misc     | 1-1       | 1-2       | lab-updates  | | manual
hp-slow       | hp-slow               | misc     | 1-1       | 1-2       | lab-updates  | | manual
# --- only on web1 (see vary_host in lab): an update the baseline never saw
hp-vlan       | hp-vlan-tools         | net      | 2.0-1     | 2.0-2     | lab-updates  | iproute2 | only-web1
# --- kept back, each for another reason: on hold, pinned, phased, needs a removal, needs what isn't there
hp-held       | hp-held               | misc     | 1.0-1     | 1.1-1     | lab-updates  | | manual
hp-pinned     | hp-pinned             | misc     | 1.0-1     | 1.1-1     | lab-updates  | | manual
hp-phased     | hp-phased             | misc     | 1.0-1     | 1.1-1     | lab-updates  | | manual
hp-mailer     | hp-mailer             | mail     | 1.0-1     | 2.0-1     | lab-updates  | | manual
hp-mailer     | hp-mailer-legacy      | mail     | 1.0-1     | -         | -            | | manual
hp-stuck      | hp-stuck              | misc     | 1.0-1     | 1.1-1     | lab-updates  | => hp-not-there | manual
# --- suites that a test switches on
hp-broken     | hp-broken             | misc     | 1.0-1     | 1.1-1     | lab-broken   | | manual
hp-break      | hp-break              | misc     | 1.0-1     | 1.1-1     | lab-broken   | | manual
hp-dbserver   | hp-dbserver           | database | 8.0.1-1   | 8.0.2-1   | lab-noreturn | | manual
# --- newer than new: the old column is empty, as hosts never have these at first
hp-openssl    | hp-libssl3            | libs     | -         | 3.0.3-1   | lab-next     | hp-libc6 (>= 2.36-1) | auto
hp-openssl    | hp-openssl            | utils    | -         | 3.0.3-1   | lab-next     | hp-libssl3 (= {v}) | manual
hp-openssl    | hp-libssl-dev         | libdevel | -         | 3.0.3-1   | lab-next     | hp-libssl3 (= {v}) | manual
hp-less       | hp-less               | text     | -         | 590-3     | lab-next     | | manual
# --- an older old: web2 has this one, so that its update is the same `to` from another `from`
hp-rsync      | hp-rsync              | net      | 3.2.6-1   | -         | -            | hp-zlib1g | only-web2
END
}

# --- what is in a package: functions named after it, called with old, new or next in $1, which fill the
# staging folder by `put` (file; path and content on stdin) and `script` (maintainer script), and may add
# control fields to $extra. `version` is set.

# A restart as maintainer scripts do it: not in a chroot, where nothing runs.
unit_scripts() { # unit, restart|start-once
	local unit=$1 how=$2 act='systemctl restart'
	# Restarting only what isn't running: the old code stays in memory after an upgrade, as with many daemons.
	[ "$how" = restart ] || act='systemctl start'
	script postinst <<END
set -e
if [ "\$1" = configure ]; then
	[ -n "\$2" ] || systemctl enable $unit >/dev/null 2>&1
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		$act $unit
	fi
fi
END
	script prerm <<END
set -e
if [ "\$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop $unit; fi
END
}

build_hp_libssl3() {
	# A true shared object, so that a process that maps it shows "(deleted)" in /proc after the upgrade.
	# The bytes behind the ELF data differ by version and are ignored by the loader.
	arch=$machine_arch
	mkdir -p "$stage/usr/lib/hp"
	cp "$any_library" "$stage/usr/lib/hp/libhpssl.so.3"
	echo "hp-libssl3 $version" >>"$stage/usr/lib/hp/libhpssl.so.3"
	chmod 644 "$stage/usr/lib/hp/libhpssl.so.3"
}

build_hp_echo() {
	put usr/lib/hp/hp-echo 755 <<END
#!/usr/bin/perl
# Answers "hp-echo VERSION: what was said" on port 7000; maps the library that it was started with.
use strict; use IO::Socket::INET; use DynaLoader;
\$| = 1; \$SIG{CHLD} = 'IGNORE';
DynaLoader::dl_load_file('/usr/lib/hp/libhpssl.so.3', 0) or warn DynaLoader::dl_error();
my \$l = IO::Socket::INET->new(LocalPort => 7000, Listen => 64, ReuseAddr => 1, Proto => 'tcp') or die "listen: \$!";
while (1) {
	my \$c = \$l->accept or next;
	my \$pid = fork; if (!defined \$pid || \$pid) { close \$c; next }
	close \$l; alarm 60;
	while (my \$line = <\$c>) { print \$c "hp-echo $version: \$line" }
	exit 0;
}
END
	put lib/systemd/system/hp-echo.service <<'END'
[Unit]
Description=hp-echo, a small TCP service of the lab
After=network.target

[Service]
ExecStart=/usr/lib/hp/hp-echo
Restart=on-failure

[Install]
WantedBy=multi-user.target
END
	put etc/hp-echo/echo.conf <<END
# hp-echo $version
listen = 7000
END
	conffile /etc/hp-echo/echo.conf
	unit_scripts hp-echo.service restart
}

build_hp_worker() {
	put usr/lib/hp/hp-worker 755 <<END
#!/usr/bin/perl
# Does nothing but map a library. Its upgrade does not restart it: what runs is then not what is installed.
use DynaLoader;
DynaLoader::dl_load_file('/usr/lib/hp/libhpssl.so.3', 0) or warn DynaLoader::dl_error();
my \$version = '$version';
sleep 3600 while 1;
END
	put lib/systemd/system/hp-worker.service <<'END'
[Unit]
Description=hp-worker, a service of the lab that upgrades do not restart

[Service]
ExecStart=/usr/lib/hp/hp-worker
Restart=on-failure

[Install]
WantedBy=multi-user.target
END
	unit_scripts hp-worker.service start-once
}

build_hp_nginx_site() {
	# The site itself: the same file on every host, as nginx knows the host's name.
	put etc/nginx/conf.d/hp-site.conf <<END
# hp-nginx-site $version
server {
	listen 80 default_server;
	listen [::]:80 default_server;
	include /etc/nginx/hp-tls[.]conf;
	server_name _;
	default_type text/plain;
	add_header X-Served-Address \$server_addr always;
	add_header X-Site-Version $version always;
	location = /health { access_log off; return 200 "healthy \$hostname\n"; }
	location / { return 200 "ok \$hostname\n"; }
}
END
	conffile /etc/nginx/conf.d/hp-site.conf
	script postinst <<'END'
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then systemctl reload-or-restart nginx.service; fi
END
}

# THE STORY'S PACKAGE.
#
# 1.0 keeps what people add by hand: `hp-net watch` runs all the time and notes every address that is on an
#     interface and not in /etc/network/interfaces in /var/lib/hp-net/runtime; at boot `hp-net reload` puts
#     them back. So for years nobody saw that web1's customer addresses were configured nowhere.
# 2.0 ships managed=yes in /etc/hp-net/net.conf: its postinst (and its unit at each boot) takes the interfaces
#     down, flushes them and brings back what /etc/network/interfaces says, and that alone. On test1 that is
#     everything. On web1 the main address comes back, so ssh and a curl on the host work, and the customers'
#     addresses are gone: nobody reaches them, with or without a reboot.
# Back to 1.0: its postinst runs `hp-net reload` with managed=no, which adds again what the file in
#     /var/lib/hp-net/runtime holds (2.0 leaves that file alone), and starts the watch. dpkg brings the conffile
#     back as nobody edited it; a rollback that restores /etc beforehand does too. The same happens at the next
#     boot, so a rollback that ends in a reboot is as good as one that doesn't.
# `runtime` only grows (a `hp-net forget` takes out), so that an interface that is down for a moment, or a
# half-done upgrade, never empties it.
build_hp_net_config() {
	local managed=no
	[ "$1" = old ] || managed=yes
	put etc/hp-net/net.conf <<END
# hp-net-config $version
# managed=no: addresses added by hand are kept over reboots and upgrades
# managed=yes: the interfaces carry what /etc/network/interfaces says, and nothing else
managed=$managed
END
	conffile /etc/hp-net/net.conf
	put usr/sbin/hp-net 755 <<'END'
#!/bin/sh
# hp-net reload|restore|save|watch|forget ADDRESS/LENGTH
set -u
conf=/etc/hp-net/net.conf
state=/var/lib/hp-net/runtime
managed=no
# shellcheck disable=SC1090
[ -r "$conf" ] && . "$conf"

# "address" lines of the stored configuration, without the prefix length
stored() {
	cat /etc/network/interfaces /etc/network/interfaces.d/* 2>/dev/null |
		awk '$1 == "address" { sub("/.*", "", $2); print $2 }'
}
# "eth0 192.0.2.21/24" for each address that no stored line names
by_hand() {
	ip -4 -o addr show scope global | while read -r _ dev _ addr _; do
		stored | grep -qxF "${addr%/*}" || echo "$dev $addr"
	done
}
save() {
	[ "$managed" = no ] || return 0
	mkdir -p "${state%/*}"
	{ cat "$state" 2>/dev/null; by_hand; } | sort -u >"$state.new" || return 1
	if cmp -s "$state.new" "$state"; then rm -f "$state.new"; return 0; fi
	sync "$state.new" && mv "$state.new" "$state"
}
restore() {
	[ -r "$state" ] || return 0
	while read -r dev addr; do
		[ -n "$addr" ] || continue
		ip addr add "$addr" dev "$dev" 2>/dev/null && echo "hp-net: put $addr on $dev back"
	done <"$state"
	return 0
}
only_stored() {
	for dev in $(awk '$1 == "iface" && $2 != "lo" { print $2 }' /etc/network/interfaces /etc/network/interfaces.d/* 2>/dev/null | sort -u); do
		ifdown --force "$dev" >/dev/null 2>&1
		ip addr flush dev "$dev" scope global
		ifup --force "$dev" >/dev/null 2>&1 || echo "hp-net: ifup $dev failed" >&2
	done
	echo 'hp-net: the interfaces carry what is configured'
}
case ${1-} in
reload) if [ "$managed" = yes ]; then only_stored; else restore; fi ;;
restore) restore ;;
save) save ;;
watch)
	save
	ip -4 monitor address | while read -r _; do save; done
	;;
forget)
	grep -vF " $2" "$state" >"$state.new"
	mv "$state.new" "$state"
	;;
*) echo "usage: hp-net reload|restore|save|watch|forget ADDRESS/LENGTH" >&2; exit 2 ;;
esac
END
	if [ "$managed" = no ]; then
		put lib/systemd/system/hp-net.service <<'END'
[Unit]
Description=keep addresses that were added by hand
After=networking.service
# Started after the network and so stopped before it: the watch never sees the interfaces go down.

[Service]
ExecStartPre=/usr/sbin/hp-net reload
ExecStart=/usr/sbin/hp-net watch
Restart=on-failure

[Install]
WantedBy=multi-user.target
END
	else
		put lib/systemd/system/hp-net.service <<'END'
[Unit]
Description=the interfaces carry what is configured
After=networking.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/hp-net reload

[Install]
WantedBy=multi-user.target
END
	fi
	script prerm <<'END'
set -e
[ -d /run/systemd/system ] || exit 0
# The last look before the other version takes over; then nothing may watch while the network is reloaded.
/usr/sbin/hp-net save || true
systemctl stop hp-net.service || true
END
	script postinst <<'END'
set -e
if [ "$1" = configure ]; then
	[ -n "$2" ] || systemctl enable hp-net.service >/dev/null 2>&1
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl restart hp-net.service # runs `hp-net reload`
	fi
fi
END
}

simple_conf() { # path, lines that both have, line that differs
	put "${1#/}" <<END
# $name $version
$2
$3
END
	conffile "$1"
}
build_hp_ifupdown_config() { simple_conf /etc/hp-ifupdown/policy.conf 'wait = 30' "retry = $([ "$1" = old ] && echo 3 || echo 5)"; }
build_hp_motd_config() { simple_conf /etc/hp-motd.conf 'greeting = This host is part of a lab.' "width = $([ "$1" = old ] && echo 72 || echo 80)"; }
build_hp_logrotate_config() { simple_conf /etc/logrotate.d/hp-app "/var/log/hp-app.log { missingok" "rotate $([ "$1" = old ] && echo 4 || echo 8) }"; }
build_hp_echo_data() { put usr/share/hp-echo/data 644 <<<"data of $version"; }
build_hp_postgresql_15() { simple_conf /etc/hp-postgresql/postgresql.conf 'max_connections = 100' "jit = $([ "$1" = old ] && echo on || echo off)"; }
build_hp_sysctl_config() {
	simple_conf /etc/sysctl.d/60-hp.conf 'net.ipv4.tcp_syncookies = 1' "net.ipv4.tcp_fin_timeout = $([ "$1" = old ] && echo 60 || echo 30)"
	script postinst <<'END'
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then sysctl -q -p /etc/sysctl.d/60-hp.conf || true; fi
END
}
build_hp_ca_certificates() {
	simple_conf /etc/hp-ca-certificates.conf 'mozilla/One.crt' "$([ "$1" = old ] && echo mozilla/Two.crt || echo '!mozilla/Two.crt')"
	script postinst <<'END'
set -e
# As the true one does: a file under /etc that no package lists, made by the maintainer script.
[ "$1" != configure ] || { mkdir -p /etc/hp-ssl/certs; grep -v '^#' /etc/hp-ca-certificates.conf >/etc/hp-ssl/certs/bundle; }
END
}

build_hp_init() {
	script postinst <<'END'
set -e
[ "$1" != configure ] || [ ! -d /run/systemd/system ] || systemctl daemon-reexec
END
}

kernel_image() { # ABI
	put "boot/vmlinuz-$1-hp" <<<"kernel $1 $version"
	put "boot/config-$1-hp" <<<"CONFIG_HP=$1"
	script postinst <<END
set -e
if [ "\$1" = configure ]; then
	# What an initramfs hook makes: a file in /boot that belongs to no package.
	echo "initrd $1 $version" >/boot/initrd.img-$1-hp
	if [ -d /run/systemd/system ]; then
		touch /run/reboot-required
		grep -qxs '$name' /run/reboot-required.pkgs || echo '$name' >>/run/reboot-required.pkgs
	fi
fi
END
	script postrm <<END
set -e
[ "\$1" != remove ] || rm -f /boot/initrd.img-$1-hp
END
}
build_hp_linux_image_6_1_0_1() { kernel_image 6.1.0-1; }
build_hp_linux_image_6_1_0_2() { kernel_image 6.1.0-2; }

# 1.1 breaks the host that asks for it in /etc/hp-break: its sshd, or its next boot (a mount that fails ends in
# emergency mode; no device, since containers leave those out, and no bind mount, whose source systemd
# makes). 1.0 mends nothing by itself.
build_hp_break() {
	[ "$1" != old ] || return 0
	script postinst <<'END'
set -e
[ "$1" = configure ] && [ -d /run/systemd/system ] || exit 0
case $(cat /etc/hp-break 2>/dev/null) in
sshd)
	mkdir -p /etc/ssh/sshd_config.d
	echo 'Port nowhere' >/etc/ssh/sshd_config.d/hp-break.conf
	systemctl restart ssh.service || echo 'hp-break: sshd is gone'
	;;
boot) echo 'hp-missing /srv nosuchfs defaults 0 0' >>/etc/fstab ;;
esac
END
}

# Slow in any phase, so that a kill can be aimed: /etc/hp-slow/PHASE holds seconds. By default the postinst
# takes five. Nothing is in the package's own /etc: what a test writes there stays.
build_hp_slow() {
	local phase
	for phase in preinst postinst prerm postrm; do
		script $phase <<END
phase=$phase
seconds=\$(cat /etc/hp-slow/\$phase 2>/dev/null || { [ \$phase = postinst ] && echo 5; } || echo 0)
[ -d /run/systemd/system ] || seconds=0
[ "\$seconds" = 0 ] || { echo "hp-slow: \$phase sleeps \$seconds s"; sleep "\$seconds"; }
exit 0
END
	done
}

build_hp_big() {
	# Incompressible, so that downloads and unpacking take a moment, and space. Made from a fixed passphrase,
	# so that building the archive twice gives the same bytes.
	mkdir -p "$stage/usr/share/hp-big"
	head -c 16777216 /dev/zero |
		openssl enc -aes-256-ctr -nosalt -pbkdf2 -pass "pass:hp-big $version" >"$stage/usr/share/hp-big/data"
}

build_hp_phased() { [ "$1" = old ] || extra+=$'Phased-Update-Percentage: 0\n'; }
build_hp_mailer() { [ "$1" = old ] || extra+=$'Conflicts: hp-mailer-legacy\n'; }

build_hp_broken() {
	[ "$1" != old ] || return 0
	script postinst <<'END'
if [ "$1" = configure ] && [ ! -e /etc/hp-broken-is-fine ]; then
	echo 'hp-broken: cannot migrate the configuration' >&2
	exit 1
fi
END
}

build_hp_dbserver() {
	local format=1
	[ "$1" = old ] || format=2
	script postinst <<END
set -e
[ "\$1" = configure ] || exit 0
mkdir -p /var/lib/hp-dbserver
have=\$(cat /var/lib/hp-dbserver/format 2>/dev/null || echo 0)
if [ "\$have" -gt $format ]; then
	echo "hp-dbserver: the data is of format \$have, this server reads up to $format" >&2
	exit 1
fi
echo $format >/var/lib/hp-dbserver/format
END
}
