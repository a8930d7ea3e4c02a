#!/usr/bin/env bash
# The demo as an ordinary user, through the real fusermount3: ready, walked, read without passthrough,
# interrupted, gone.
#
#   ordinary_user.sh BINARY
#
# As root it becomes `nobody` in a mount namespace of its own, where the FUSE device may be opened
# by everyone, as it may on a desktop; the machine's own device node stays as it is.
set -euo pipefail
binary=$1

if [ "$(id -u)" = 0 ] && [ "${2:-}" != inside ]; then
  room=$(mktemp -d)
  trap 'rm -rf "$room"' EXIT
  chmod 755 "$room"
  install -m 755 "$binary" "$room/wandbfs"
  mkdir "$room/dev" "$room/home"
  chown nobody "$room/home"
  unshare --mount --propagation private bash -euc '
    mount -t tmpfs -o mode=755,dev none "$1/dev"
    mknod -m 666 "$1/dev/fuse" c 10 229
    mount --bind "$1/dev/fuse" /dev/fuse
    cd "$1/home"
    exec setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all \
      env -i PATH="$PATH" HOME="$1/home" XDG_RUNTIME_DIR="$1/home" bash "$2" "$1/wandbfs" inside
  ' _ "$room" "$(realpath "$0")"
  exit
fi

demo=$HOME/demo
"$binary" demo --json "$demo" >"$HOME/ready" 2>"$HOME/errors" &
pid=$!
trap 'kill -9 $pid 2>/dev/null || true; fusermount3 -uz "$demo" 2>/dev/null || true' EXIT

mounted() { grep -q '"mountpoint"' "$HOME/ready"; }
for _ in $(seq 1200); do
  mounted && break
  kill -0 $pid 2>/dev/null || { cat "$HOME/errors" >&2; exit 1; }
  sleep 0.05
done
mounted || { echo "not ready within a minute" >&2; exit 1; }

entity=$(sed -n 's/.*"entity":"\([^"]*\)".*/\1/p' "$HOME/ready")
ls "$demo" | grep -qx "$entity"
cat "$(find "$demo/$entity" -name artifact.json -print -quit)" | grep -q '"digest"'
stat -c %U "$demo/$entity" | grep -qx "$(id -un)"

# A large file: read by the program, since passthrough needs root, and kept in the page cache across
# opens once it is verified. What is read while the program is stopped comes from there.
large=$(find "$demo/vision-lab/images" -path "*/files/*" -type f -size +1023k -print -quit)
cat "$large" >"$HOME/first"
sum=$(md5sum <"$HOME/first" | cut -d' ' -f1)
kept() { find "$HOME" -path "*/obj/md5/${sum:0:2}/${sum:2}" 2>/dev/null | grep .; }
for _ in $(seq 1200); do
  kept >/dev/null && break
  sleep 0.05
done
cmp "$HOME/first" "$(kept)"
cmp "$HOME/first" "$large"
exec 3<"$large"
kill -STOP $pid
timeout 20 cmp "$HOME/first" - <&3 || {
  kill -CONT $pid
  echo "the pages of $large did not stay" >&2
  exit 1
}
kill -CONT $pid
exec 3<&-

kill -INT $pid
wait $pid
if grep -q " $demo " /proc/self/mounts || [ -e "$demo" ]; then
  echo "the demo left $demo behind" >&2
  exit 1
fi
