# The archive's index, made anew, and read by apt.
index() {
    cd /archive
    for deb in *.deb; do
        dpkg-deb -f "$deb"
        echo "Filename: ./$deb"
        echo "Size: $(stat -c %s "$deb")"
        echo "SHA256: $(sha256sum "$deb" | cut -c 1-64)"
        echo
    done >Packages
    apt-get -q update >/tmp/update 2>&1 || {
        cat /tmp/update >&2
        exit 1
    }
}
