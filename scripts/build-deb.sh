#!/bin/bash
# Builds the Debian package: the self-contained program, its systemd units, man page, shell completions, and an empty
# configuration.
#   scripts/build-deb.sh [--version VERSION] [--arch amd64|arm64] [--output DIRECTORY] [--fast]
# --fast compresses less. The native libraries that the program loads, libzstd1 and libargon2-1, are dependencies, so that
# their security updates come from Debian. The manual and the completions come from the program itself, which is run for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
architecture=amd64 output=dist compression=(-Zxz)
while [ $# -gt 0 ]; do
  case $1 in
    --version) version=$2; shift 2 ;;
    --arch) architecture=$2; shift 2 ;;
    --output) output=$2; shift 2 ;;
    --fast) compression=(-Zgzip -z1); shift ;;
    *) echo "build-deb: unknown argument $1" >&2; exit 2 ;;
  esac
done
case $architecture in
  amd64) runtime=linux-x64 ;;
  arm64) runtime=linux-arm64 ;;
  *) echo "build-deb: there is no runtime for $architecture; amd64 and arm64 are known" >&2; exit 2 ;;
esac
case $(uname -m) in x86_64) own=linux-x64 ;; aarch64) own=linux-arm64 ;; *) own=$runtime ;; esac
command -v dpkg-deb > /dev/null || { echo "build-deb: dpkg-deb is not installed (package dpkg)" >&2; exit 1; }

mkdir -p "$output"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
needed=("$runtime")
[ "$own" = "$runtime" ] || needed+=("$own")
scripts/publish.sh --version "$version" --output "$work/published" "${needed[@]}"
program=$work/published/$own/zeroflow

# The date of the source, so that the same source gives the same package.
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
epoch=@$SOURCE_DATE_EPOCH

manual() { # prints the page
  local command text=$work/commands
  : > "$text"
  for command in $("$program" "[suggest:9]" "zeroflow " | grep -E '^[a-z]+$' | sort); do
    {
      echo ".SS $command"
      echo ".nf"
      # Backslashes, leading dots and hyphens mean something to troff.
      "$program" "$command" --help | fold -s -w 96 | sed -e 's/\\/\\\\/g' -e "s/^\\([.']\\)/\\\\\\&\\1/" -e 's/-/\\-/g' -e 's/ *$//'
      echo ".fi"
    } >> "$text"
  done
  sed -e "s/@DATE@/$(date -u -d "$epoch" +%Y-%m-%d)/" -e "s/@VERSION@/$version/" \
    -e "/@COMMANDS@/{r $text" -e 'd}' packaging/man/zeroflow.1.in
}

root=$work/root
put() { install -D -m "$1" "$2" "$root/$3"; }
put 755 "$work/published/$runtime/zeroflow" usr/bin/zeroflow
for unit in zeroflow.service zeroflow.socket zeroflow-admin.socket; do
  put 644 "packaging/debian/$unit" "lib/systemd/system/$unit"
done
put 644 packaging/debian/zeroflow.json etc/zeroflow/zeroflow.json
put 644 packaging/debian/copyright usr/share/doc/zeroflow/copyright
put 644 packaging/debian/lintian-overrides usr/share/lintian/overrides/zeroflow
put 644 docs/guides/install.md usr/share/doc/zeroflow/install.md
manual > "$work/zeroflow.1"
put 644 "$work/zeroflow.1" usr/share/man/man1/zeroflow.1
gzip -9n "$root/usr/share/man/man1/zeroflow.1"
for shell in bash:usr/share/bash-completion/completions/zeroflow zsh:usr/share/zsh/vendor-completions/_zeroflow \
  fish:usr/share/fish/vendor_completions.d/zeroflow.fish; do
  "$program" completion "${shell%%:*}" > "$work/completion"
  put 644 "$work/completion" "${shell#*:}"
done
{
  printf 'zeroflow (%s) unstable; urgency=medium\n\n  * Built from the source of that version.\n\n' "$version"
  printf ' -- ZeroFlow maintainers <maintainers@zeroflow.invalid>  %s\n' "$(date -uR -d "$epoch")"
} | gzip -9n > "$work/changelog"
put 644 "$work/changelog" usr/share/doc/zeroflow/changelog.gz

mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script" "$root/DEBIAN/$script"; done
echo /etc/zeroflow/zeroflow.json > "$root/DEBIAN/conffiles"
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
  -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" packaging/debian/control.in > "$root/DEBIAN/control"
# What a restrictive umask did to the directories.
find "$root" -type d -exec chmod 755 {} +
find "$root" -newermt "$epoch" -exec touch --no-dereference --date="$epoch" {} +
package=$output/zeroflow_${version}_$architecture.deb
dpkg-deb --root-owner-group "${compression[@]}" --build "$root" "$package" > /dev/null
echo "$package ($(du -m "$package" | cut -f1) MiB)"
