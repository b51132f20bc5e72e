# shellcheck shell=bash
# The recipe of the base tree: what Debian the hosts are. Sourced by `lab`.
# The cache key of the base is a hash of this file, so a change here rebuilds it (one to three minutes).

# shellcheck disable=SC2034  # used by lab
BASE_SUITE=bookworm

# Debian packages a small web server of 2025 has. libpam-systemd gives ssh sessions their own cgroup
# (that matters for what survives a logout); no unattended-upgrades, so that no test meets a lock by chance.
# shellcheck disable=SC2034
BASE_PACKAGES="apt ca-certificates curl dbus ifupdown init-system-helpers iproute2 iputils-ping
  libpam-systemd nftables nginx-light openssh-server openssl postgresql procps sudo systemd systemd-sysv tcpdump"

# base_finish ROOT: runs on the machine, on a finished mmdebstrap tree.
base_finish() {
	local root=$1
	# No trace of the machine: its archive, its name, its resolver, its apt options.
	rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* \
		"$root"/etc/apt/apt.conf.d/*mmdebstrap* "$root"/etc/apt/auth.conf* \
		"$root"/etc/hostname "$root"/etc/resolv.conf \
		"$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
		"$root"/var/log/apt/* "$root"/var/log/dpkg.log "$root"/var/log/bootstrap.log "$root"/var/log/alternatives.log
	mkdir -p "$root"/var/lib/apt/lists/partial "$root"/var/cache/apt/archives/partial
	rm -f "$root"/etc/ssh/ssh_host_* # each host of each run gets its own
	: >"$root"/etc/machine-id
	: >"$root"/etc/resolv.conf
	mkdir -p "$root"/etc/default
	echo 'LANG=C.UTF-8' >"$root"/etc/default/locale

	chroot "$root" useradd -m -s /bin/bash -G sudo ops
	echo 'ops:ops' | chroot "$root" chpasswd
	rm -f "$root"/etc/nginx/sites-enabled/default # hp-nginx-site answers instead

	# A database server as small as it goes: the compiler for its queries alone is 110 MB. The hosts' user logs in
	# from everywhere with a password, and on the host by being who they are.
	rm -f "$root"/usr/lib/*/libLLVM*.so*
	# The linker's cache as any later run of its tool would make it, so that it stays as it was before a window.
	chroot "$root" ldconfig
	printf "%s\n" "listen_addresses = '*'" 'jit = off' 'shared_buffers = 16MB' 'max_connections = 20' \
		>"$root"/etc/postgresql/15/main/conf.d/lab.conf
	echo 'host all ops 0.0.0.0/0 scram-sha-256' >>"$root"/etc/postgresql/15/main/pg_hba.conf
	single_user "$root" "CREATE ROLE ops LOGIN PASSWORD 'ops'"

	# Timers that would take apt's lock or write at a moment of their own: a test must not meet them by chance.
	# console-getty only writes noise into the console log.
	chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		fstrim.timer e2scrub_all.timer console-getty.service >/dev/null 2>&1
	mkdir -p "$root"/etc/systemd/journald.conf.d "$root"/var/log/journal
	printf '[Journal]\nStorage=persistent\nSystemMaxUse=32M\n' >"$root"/etc/systemd/journald.conf.d/lab.conf
}

# single_user ROOT STATEMENT...: the database server of a tree runs nowhere, so it is asked without one (and
# without the shared memory that a tree has no place for).
single_user() {
	local root=$1
	shift
	printf '%s\n' "$@" | chroot --userspec=postgres:postgres "$root" /usr/lib/postgresql/15/bin/postgres --single \
		-D /var/lib/postgresql/15/main -c dynamic_shared_memory_type=mmap -c config_file=/etc/postgresql/15/main/postgresql.conf postgres >/dev/null
}
