#!/bin/sh
# Seals a fresh Debian root filesystem before it becomes an image layer, so that no layer ever
# holds a set-id bit, a cache, or a trace of the machine that built it.
set -eu
root=${1:?the root directory}

# Nobody changes user inside the box, so nothing needs a set-id bit.
find "$root" -xdev \( -type f -o -type d \) -perm /6000 -exec chmod ug-s {} +
find "$root" -xdev \( -type f -o -type d \) -perm -0002 ! -path "${root%/}/tmp" -exec chmod o-w {} +

# What only a package manager needs again, and where its packages came from.
find "$root/var/cache" "$root/var/log" "$root/var/lib/apt/lists" -xdev -type f -delete
rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/auth.conf" "$root/root/.cache" "$root/root/.npm"
find "$root/etc/apt/sources.list.d" "$root/etc/apt/auth.conf.d" -xdev -type f -delete
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/pip.conf" "$root/etc/npmrc"

# Names of the building machine, and backups of files with passwords in them.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/machine-id"
rm -f "$root/etc/passwd-" "$root/etc/group-" "$root/etc/shadow-" "$root/etc/gshadow-"

rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/info" "$root/usr/share/locale"

# Debian forbids `pip install` next to its own packages (PEP 668). The root is read-only here, so
# pip can only install into the user's home, which harms no package.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
