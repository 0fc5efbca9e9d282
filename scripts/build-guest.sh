#!/bin/bash
# Builds what the PostgreSQL suite attaches its block devices to: a guest with a real Linux kernel, its NBD client,
# OpenZFS and PostgreSQL. The kernel is Debian's user-mode Linux, which runs as a process: it needs neither KVM nor a
# module on this machine. OpenZFS is compiled for it. Three minutes and 1.5 GB once; says nothing when all is there.
#   scripts/build-guest.sh        Environment: ZEROFLOW_GUEST, where it goes (default: ~/.cache/zeroflow-guest)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

guest=${ZEROFLOW_GUEST:-${HOME:-/root}/.cache/zeroflow-guest}
release=bookworm
log=$guest/build.log
# What a finished guest was made from: another recipe makes another guest.
recipe=$(cat scripts/build-guest.sh tests/guest/exported-symbols.pl | sha256sum | cut -c1-16)
[ "$(cat "$guest/recipe" 2>/dev/null)" = "$recipe" ] && exit 0

fail() {
  echo "build-guest: $*; see $log" >&2
  exit 1
}
step() { printf 'build-guest: %s (%d s)\n' "$*" "$SECONDS"; }

[ "$(id -u)" -eq 0 ] || { echo "build-guest: run as root" >&2; exit 1; }
mkdir -p "$guest"
: > "$log"

tools=(mmdebstrap slirp4netns gcc make flex bison bc libelf-dev xz-utils perl kmod qemu-utils qemu-system-common)
missing=()
for tool in "${tools[@]}"; do
  dpkg-query -W -f='${Status}' "$tool" 2>/dev/null | grep -q 'ok installed' || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  step "tools"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 update -qq >> "$log" 2>&1 || true
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >> "$log" 2>&1 ||
    fail "could not install ${missing[*]}"
fi

# A package index of its own: OpenZFS is in contrib and backports, which this machine's sources need not have.
apt=$guest/apt
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
  grep -oE '^(URIs:|deb) .*' | grep -oE 'https?://[^ ]+' | grep -v security | head -n 1) || true
mirror=${mirror%/}
[ -n "$mirror" ] || fail "no Debian mirror is configured"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$guest/debs"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
{
  for suite in $release $release-updates $release-backports; do
    echo "deb [signed-by=$keyring] $mirror $suite main contrib"
  done
  echo "deb [signed-by=$keyring] ${mirror%/debian}/debian-security $release-security main contrib"
} > "$apt/sources.list"
cat > "$apt/apt.conf" <<CONF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
apt_get() { APT_CONFIG=$apt/apt.conf apt-get -qq "$@" >> "$log" 2>&1; }
unpack() { # PACKAGE DIRECTORY
  (cd "$guest/debs" && rm -f "${1%%[/=]*}"_*.deb && apt_get download "$1") || return 1
  mkdir -p "$2"
  dpkg-deb -x "$guest/debs/${1%%[/=]*}"_*.deb "$2"
}
apt_get update || fail "could not read the index of $release-backports"

step "root file system"
root=$guest/root
rm -rf "$root"
packages=postgresql-15,nbd-client,kmod,iproute2,e2fsprogs,fdisk,procps,busybox-static,util-linux
mmdebstrap --quiet --variant=minbase --mode=root --aptopt='APT::Install-Recommends "false"' --include=$packages \
  --customize-hook="chroot \$1 apt-get -qq -t $release-backports install -y --no-install-recommends zfsutils-linux" \
  --customize-hook='rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/* $1/usr/share/doc $1/usr/share/locale' \
  $release "$root" "$apt/sources.list" >> "$log" 2>&1 || fail "could not make the root file system"

mkdir -p "$root/jobs" "$root/data"

step "kernel"
rm -rf "$guest/uml" "$guest/source" "$guest/zfs"
unpack user-mode-linux/$release "$guest/uml" || fail "could not get user-mode Linux"
version=$(ls "$guest/uml/usr/lib/uml/modules")
modules=$root/lib/modules/$version
mkdir -p "$root/lib/modules"
cp -a "$guest/uml/usr/lib/uml/modules/$version" "$modules"
cp "$guest/uml/usr/bin/linux.uml" "$guest/linux"

# The source that the package was built from, prepared for building modules.
built_using=$(APT_CONFIG=$apt/apt.conf apt-cache show user-mode-linux/$release |
  sed -n 's/^Built-Using:.*linux (= \([^)]*\)).*/\1/p' | head -n 1)
series=${version%.*}
unpack "linux-source-$series=$built_using" "$guest/source" || unpack "linux-source-$series" "$guest/source" ||
  fail "could not get the source of Linux $series"
tar -C "$guest/source" -xf "$guest/source/usr/src/linux-source-$series.tar.xz"
source=$guest/source/linux-source-$series
sed -i "s/^SUBLEVEL = .*/SUBLEVEL = ${version##*.}/" "$source/Makefile"
zcat "$guest/uml/usr/share/doc/user-mode-linux/config.gz" > "$source/.config"
{
  make -C "$source" ARCH=um olddefconfig &&
    make -C "$source" ARCH=um -j"$(nproc)" modules_prepare
} >> "$log" 2>&1 || fail "could not prepare the source of the kernel"

# The package has no Module.symvers. The kernel itself lists what it exports, in its __ksymtab sections.
perl tests/guest/exported-symbols.pl "$guest/linux" > "$source/Module.symvers" || fail "could not read the kernel's symbols"

step "OpenZFS"
unpack zfs-dkms/$release-backports "$guest/zfs" || fail "could not get the source of OpenZFS"
cd "$guest"/zfs/usr/src/zfs-*
# While a pool is suspended, the thread that writes transaction groups may ask again and again without a pause whether it still is
# (2.3.2, and the main branch of August 2026). Debian's kernels preempt a thread there (PREEMPT_VOLUNTARY), so that it costs a
# core; this one has one processor and preempts nothing (PREEMPT_NONE), and would stand still for ever. Now it yields, too.
perl -0pi -e 's/(if \(spa_suspended\(spa\)\))\s*continue;/$1 { kpreempt(KPREEMPT_SYNC); continue; }/ or die "no such loop\n"' module/zfs/txg.c \
  2>> "$log" || fail "could not find the loop of a suspended pool"
export ARCH=um KBUILD_MODPOST_WARN=1
./configure --with-config=kernel --with-linux="$source" --with-linux-obj="$source" >> "$log" 2>&1 ||
  fail "could not configure OpenZFS"
make -j"$(nproc)" >> "$log" 2>&1 || fail "could not build OpenZFS"
mkdir -p "$modules/extra"
for module in spl zfs; do strip -g -o "$modules/extra/$module.ko" "module/$module.ko"; done
depmod -b "$root" "$version"
cd "$guest"
rm -rf source zfs uml debs apt
echo "$recipe" > recipe
step "ready"
