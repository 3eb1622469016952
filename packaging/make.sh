#!/bin/bash
# Makes the packages in a folder that holds the static program already (`make static`): make.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1

tools=$(packaging/tools.sh)
PATH=$tools:$PATH
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=agentsight-$version-linux-x86_64
rm -rf "$folder"/{man,completions} "$folder"/*.{tar.gz,deb,rpm} "$folder/SHA256SUMS"
"$folder/agentsight" reference "$folder"
# The unit as it stands is for a program that somebody installed by hand.
mkdir -p "$folder/systemd"
sed -e 's|^# /etc/systemd/system/|# |; s|^ExecStart=/usr/local/bin/|ExecStart=/usr/bin/|' \
    exporter/systemd/agentsight.service >"$folder/systemd/agentsight.service"

tree=$(mktemp -d "$folder/tree.XXXXXX")
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/$name"
cp -r "$folder"/{agentsight,man,completions} exporter/systemd/agentsight.service packaging/agentsight.yaml README.md LICENSE "$tree/$name/"
tar --create --gzip --owner=0 --group=0 --sort=name --directory "$tree" --file "$folder/$name.tar.gz" "$name"

# A debug build is large, and for tests alone: no time is spent on making it small.
fast=()
[[ ${PROFILE:-release} != dev ]] || fast=(--fast)
cargo-deb deb --quiet "${fast[@]}" --package agentsight --no-build --no-strip --output "$folder/agentsight_${version}_amd64.deb" >/dev/null
cargo-generate-rpm generate-rpm ${fast:+--payload-compress gzip} --package exporter --target-dir target --arch x86_64 --output "$folder/agentsight-$version.x86_64.rpm" >&2

(cd "$folder" && sha256sum -- *.tar.gz *.deb *.rpm >SHA256SUMS)
ls -1 "$folder"/*.{tar.gz,deb,rpm} "$folder/SHA256SUMS"
