#!/bin/bash
# Takes pictures of the live page in a headless Chromium: idle, under load, during an outage of the bucket, after fencing; light
# and dark, and on a phone.
#   scripts/screenshots.sh DIR          all of them, as PNG files, into DIR; about four minutes
#   scripts/screenshots.sh --docs       the few that the documents show, made small, into docs/images
# It is the test of the page (tests/System.Tests/Live) that takes them on its way, so what is seen has been checked, too.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
to=${1:?usage: screenshots.sh DIR | --docs}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/scripts/install-test-tools.sh"
cd "$root"
dotnet build tests/System.Tests -c Release -v quiet
ZEROFLOW_SCREENSHOTS=$work CI=true tests/System.Tests/bin/Release/net10.0/ZeroFlow.System.Tests -noColor \
  -class ZeroFlow.SystemTests.Live.LivePageTests

if [ "$to" != --docs ]; then
  mkdir -p "$to"
  cp "$work"/*.png "$to"
  ls "$to"
  exit
fi

if ! command -v pngquant >/dev/null; then
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends pngquant >/dev/null
fi
mkdir -p docs/images
for picture in idle-light load-dark load-phone outage-light fenced-dark; do
  pngquant --force --speed 1 64 --output "docs/images/live-$picture.png" "$work/$picture.png"
done
ls -l docs/images
