#!/bin/sh
# Installs the holdpoint helper and the one sudo rule that lets @USER@ call it. Run it as root.
# Running it again brings both to this version. Nothing else on the host is touched.
#
# shellcheck disable=SC2015,SC2317
# (A && B || C is meant as "unless both".)
set -u
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 077

fail() {
    echo "holdpoint: $*" >&2
    exit 1
}

user=@USER@
[ "$(id -u)" = 0 ] || fail "this has to run as root"
id -u "$user" >/dev/null 2>&1 || fail "there is no user $user on this host"

# Beside the target, so that the rename into place is one step; a dot in the name of the second
# keeps sudo from reading it before it is whole.
helper=/usr/local/sbin/holdpoint-helper
rule=/etc/sudoers.d/holdpoint
[ ! -L "$helper" ] || fail "$helper is a link"
mkdir -p /usr/local/sbin || fail "cannot make /usr/local/sbin"
trap 'rm -f "$helper.new" "$rule.new"' EXIT
rm -f "$helper.new" "$rule.new"

cat >"$helper.new" <<'HOLDPOINT-HELPER-ENDS-HERE'
@HELPER@HOLDPOINT-HELPER-ENDS-HERE
[ "$(sha256sum "$helper.new" | cut -c 1-64)" = @SHA256@ ] || fail "the helper arrived damaged"
sh -n "$helper.new" || fail "this host's sh cannot read the helper"
chown root:root "$helper.new" && chmod 0755 "$helper.new" && sync "$helper.new" || fail "cannot prepare the helper"

if [ "$user" != root ]; then
    command -v visudo >/dev/null 2>&1 || fail "sudo is not installed"
    [ -d /etc/sudoers.d ] || mkdir -m 0750 /etc/sudoers.d || fail "cannot make /etc/sudoers.d"
    echo '@RULE@' >"$rule.new" || fail "cannot write the sudo rule"
    chown root:root "$rule.new" && chmod 0440 "$rule.new" && sync "$rule.new" || fail "cannot prepare the sudo rule"
    visudo -cqf "$rule.new" || fail "visudo refuses the sudo rule"
fi

[ -d /var/lib/holdpoint ] || mkdir -m 0700 /var/lib/holdpoint || fail "cannot make /var/lib/holdpoint"
mv -fT "$helper.new" "$helper" || fail "cannot put the helper in place"
if [ "$user" != root ]; then
    mv -fT "$rule.new" "$rule" || fail "cannot put the sudo rule in place"
    sync /etc/sudoers.d
fi
sync /usr/local/sbin
echo "holdpoint: installed $helper @SHA256@"
