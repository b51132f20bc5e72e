# shellcheck shell=bash
# Faults between a customer and their service: put in and healed by `lab reach FAULT on|off RUN HOST [ADDRESS]`.
# Sourced by `lab`. Each is a function reach_NAME with two parts; what it does on the host runs on its console.

# fault | of an address or of the host | what is wrong
reach_table() {
	cat <<'END'
address-gone       | address | the address is not on the interface; the router remembers its MAC
address-forgotten  | address | the same, and the router asks for its MAC again
arp-ignore         | address | the address is on lo, and arp_ignore keeps eth0 from answering for it
rp-filter          | address | its answers would leave by eth1, so the kernel drops what comes by eth0
asymmetric         | address | its answers leave by eth1, and the router drops them
nft-drop           | address | a firewall on the host drops what comes for it
nft-drop-replies   | address | a firewall on the host drops what it answers
nft-reject         | address | a firewall on the host refuses what comes for it, with a reset
nft-reject-icmp    | address | the same, with an ICMP error, as nft does where nothing else is said
upstream           | address | a router before the host drops what comes for it
path-slow          | address | a link before the host takes 16 kbit/s of what its web server answers
other-address      | host    | nginx listens on the host's main address alone
nginx-down         | host    | nginx is stopped
nginx-hung         | host    | nginx takes connections and says nothing (SIGSTOP)
cert-other         | address | another customer's certificate
cert-expired       | address | its certificate has expired
page-other         | address | another customer's page
errors-500         | address | the service answers 500
slow               | address | the service takes 1.5 s to answer
postgres-down      | host    | PostgreSQL is stopped
database-gone      | address | the customer's database is not there
END
}

cmd_reach() { # fault on|off run host [address]
	[ $# -gt 0 ] || { reach_table && return 0; }
	local fault=$1 to=${2-} run=${3-} host=${4-} address=${5-} kind
	kind=$(reach_table | awk -F' *[|] *' -v fault="$fault" '$1 == fault { print $2 }')
	[ -n "$kind" ] || die "no fault '$fault': \`lab reach\` lists them"
	[ "$to" = on ] || [ "$to" = off ] || die "on or off: '$to'"
	want_host "$run" "$host"
	if [ "$kind" = address ]; then
		[[ " $(customers_of "$host") " == *"=$address "* ]] || die "$host has no customer with the address '$address'"
	fi
	"reach_${fault//-/_}" "$to" "$run" "$host" "$address"
}

reach_on() { # run host script words...: on the host's console
	local run=$1 host=$2 script=$3
	shift 3
	on_console "$run" "$host" sh -ec "$script" sh "$@"
}
customer_at() { # host address
	local c
	for c in $(customers_of "$1"); do [ "${c#*=}" != "$2" ] || echo "${c%%=*}"; done
}
forget_mac() { ip -n "$(netns "$1" router)" neigh flush to "$2"; } # run address

# shellcheck disable=SC2016
reach_address_gone() {
	local act=del
	[ "$1" = on ] || act=add
	reach_on "$2" "$3" 'ip addr "$2" "$1/24" dev eth0' "$4" "$act"
}
reach_address_forgotten() {
	reach_address_gone "$@"
	forget_mac "$2" "$4"
}
# shellcheck disable=SC2016
reach_arp_ignore() {
	case $1 in
	on) reach_on "$2" "$3" 'ip addr del "$1/24" dev eth0; ip addr add "$1/32" dev lo; sysctl -qw net.ipv4.conf.eth0.arp_ignore=1' "$4" ;;
	off) reach_on "$2" "$3" 'sysctl -qw net.ipv4.conf.eth0.arp_ignore=0; ip addr del "$1/32" dev lo; ip addr add "$1/24" dev eth0' "$4" ;;
	esac
	forget_mac "$2" "$4"
}
# shellcheck disable=SC2016
reach_asymmetric() {
	case $1 in
	on) reach_on "$2" "$3" 'ip route add default via 198.51.100.1 dev eth1 table 77; ip rule add from "$1" table 77
		sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.arp_announce=2' "$4" ;;
	off) reach_on "$2" "$3" 'ip rule del from "$1" table 77; ip route flush table 77' "$4" ;;
	esac
}
reach_rp_filter() {
	reach_asymmetric "$@"
	local strict=1
	[ "$1" = on ] || strict=0
	on_console "$2" "$3" sysctl -qw "net.ipv4.conf.eth0.rp_filter=$strict"
}
# shellcheck disable=SC2016
reach_nft() { # on|off run host hook match verdict
	case $1 in
	on) reach_on "$2" "$3" 'nft add table ip hpfault; nft add chain ip hpfault c "{ type filter hook $1 priority 0; }"; nft add rule ip hpfault c $2 $3' "$4" "$5" "$6" ;;
	off) on_console "$2" "$3" nft delete table ip hpfault ;;
	esac
}
# As firewalls do, these leave alone what a host says to itself.
reach_nft_drop() { reach_nft "$1" "$2" "$3" input "iifname != lo ip daddr $4" drop; }
reach_nft_drop_replies() { reach_nft "$1" "$2" "$3" output "oifname != lo ip saddr $4" drop; }
reach_nft_reject() { reach_nft "$1" "$2" "$3" input "iifname != lo ip daddr $4 meta l4proto tcp" "reject with tcp reset"; }
reach_nft_reject_icmp() { reach_nft "$1" "$2" "$3" input "iifname != lo ip daddr $4" reject; }
reach_upstream() {
	case $1 in
	on) cmd_unroute "$2" "$4" ;;
	off) cmd_route "$2" "$4" ;;
	esac
}
reach_path_slow() {
	case $1 in
	on) shape "$2" "$4" 443 16kbit ;;
	off) unshape "$2" ;;
	esac
}
# The listening sockets of before would be kept by a reload.
# shellcheck disable=SC2016
reach_other_address() {
	local site=/etc/nginx/conf.d/hp-site.conf tls=/etc/nginx/hp-tls.conf
	case $1 in
	on) reach_on "$2" "$3" 'cp $2 $2.before; cp $3 $3.before; sed -i "/\[::\]/d; s/listen 80 /listen $1:80 /" $2; sed -i "s/listen 443 /listen $1:443 /" $3
		systemctl restart nginx.service' "$(address_of "$3")" $site $tls ;;
	off) reach_on "$2" "$3" 'mv $1.before $1; mv $2.before $2; systemctl restart nginx.service' $site $tls ;;
	esac
}
reach_nginx_down() {
	case $1 in
	on) on_console "$2" "$3" systemctl stop nginx.service ;;
	off) on_console "$2" "$3" systemctl start nginx.service ;;
	esac
}
reach_nginx_hung() {
	local signal=STOP
	[ "$1" = on ] || signal=CONT
	on_console "$2" "$3" systemctl kill --signal="$signal" nginx.service
}
# nginx reads the file at each handshake.
put_certificate() { # run host address file without its ending
	local end
	for end in key pem; do on_console "$1" "$2" sh -c "cat >/etc/nginx/hp-tls/$3.$end" <"$4.$end"; done
}
reach_cert_other() {
	local dir
	dir=$(run_dir "$2")/$3
	case $1 in
	on) make_certificate "$dir/other" other.lab.test 192.0.2.99 30 && put_certificate "$2" "$3" "$4" "$dir/other" ;;
	off) put_certificate "$2" "$3" "$4" "$dir/$(customer_at "$3" "$4")" ;;
	esac
}
reach_cert_expired() {
	local dir name
	dir=$(run_dir "$2")/$3
	name=$(customer_at "$3" "$4")
	case $1 in
	on) make_certificate "$dir/expired" "$name.lab.test" "$4" -1 && put_certificate "$2" "$3" "$4" "$dir/expired" ;;
	off) put_certificate "$2" "$3" "$4" "$dir/$name" ;;
	esac
}
# shellcheck disable=SC2016
reach_nginx_says() { # on|off run host address what
	case $1 in
	on) reach_on "$2" "$3" 'echo "if (\$server_addr = $1) { $2 }" >/etc/nginx/hp-fault.conf; systemctl reload nginx.service; sleep 0.3' "$4" "$5" ;;
	off) reach_on "$2" "$3" 'rm -f /etc/nginx/hp-fault.conf; systemctl reload nginx.service; sleep 0.3' ;;
	esac
}
reach_page_other() { reach_nginx_says "$1" "$2" "$3" "$4" 'return 200 "this is somebody else\n";'; }
reach_errors_500() { reach_nginx_says "$1" "$2" "$3" "$4" 'return 500 "broken\n";'; }
reach_slow() {
	case $1 in
	on)
		on_console "$2" "$3" sh -c 'cat >/run/hp-slow.pl' <<-'END'
			use IO::Socket::INET;
			$SIG{CHLD} = 'IGNORE';
			my $door = IO::Socket::INET->new(LocalAddr => '127.0.0.1:8099', Listen => 9, ReuseAddr => 1) or die;
			while (my $caller = $door->accept) {
			    next if fork;
			    sysread $caller, $_, 4096;
			    select undef, undef, undef, 1.5;
			    print $caller "HTTP/1.0 200 OK\r\n\r\nthis is $ARGV[0], slowly\n";
			    exit;
			}
		END
		on_console "$2" "$3" systemd-run -q --collect --unit=hp-slow perl /run/hp-slow.pl "$(customer_at "$3" "$4")"
		on_console "$2" "$3" sh -c 'for n in 1 2 3 4 5 6 7 8 9; do ss -Hltn "sport = :8099" | grep -q . && exit; sleep 0.2; done; exit 1'
		;;
	off) on_console "$2" "$3" systemctl stop hp-slow.service ;;
	esac
	reach_nginx_says "$1" "$2" "$3" "$4" 'rewrite ^ /hp-slow last;'
}
reach_postgres_down() {
	case $1 in
	on) on_console "$2" "$3" systemctl stop postgresql@15-main.service ;;
	off) on_console "$2" "$3" systemctl start postgresql@15-main.service ;;
	esac
}
# shellcheck disable=SC2016
reach_database_gone() {
	local name
	name=$(customer_at "$3" "$4")
	case $1 in
	on) reach_on "$2" "$3" 'cd /; runuser -u postgres -- psql -qXc "ALTER DATABASE $1 RENAME TO ${1}_gone"' "$name" ;;
	off) reach_on "$2" "$3" 'cd /; runuser -u postgres -- psql -qXc "ALTER DATABASE ${1}_gone RENAME TO $1"' "$name" ;;
	esac
}
