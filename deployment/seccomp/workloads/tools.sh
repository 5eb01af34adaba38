#!/bin/bash
# What the shell and its tools do.
set -euo pipefail
cd "$(mktemp -d)"

seq 1 100000 >numbers
sort --numeric-sort --reverse --parallel=2 --output sorted numbers
head -n 1 sorted
mkdir -p tree/deep
cp --archive numbers tree/deep/
cp --reflink=auto numbers tree/
cp --sparse=always numbers tree/sparse
mv tree/numbers tree/moved
ln tree/moved tree/hard
ln --symbolic moved tree/soft
install -m 0640 numbers tree/installed
touch --date=2001-01-01 tree/moved
chmod -R u+w tree
chgrp -h "$(id -g)" tree/soft
truncate --size=1M tree/sparse
fallocate --length 4096 allocated
dd if=/dev/zero of=zeros bs=4k count=10 conv=fsync status=none
dd if=numbers of=/dev/null bs=4k iflag=nocache status=none
mkfifo pipe
cat pipe >/dev/null &
echo x >pipe
wait
tar --create --gzip --file tree.tar.gz tree
tar --extract --gzip --file tree.tar.gz --directory "$(mktemp -d)"
xz --keep --threads=2 numbers
python3 -m zipfile --create tree.zip tree
unzip -q tree.zip -d unzipped
find . -type f -newermt 2000-01-01 -exec grep -l 99999 {} + >/dev/null
rg --threads 2 --files-with-matches 99999 . >/dev/null
echo '{"a": [1, 2]}' | jq --exit-status '.a[1] == 2'
file numbers tree.tar.gz
diff -u numbers <(sed s/77777/x/ numbers) >change.patch || true
patch --quiet --dry-run numbers change.patch
less numbers </dev/null | tail -n 1
awk '{ sum += $1 } END { print sum }' numbers
sed --in-place s/1/2/ tree/installed
tail --lines=1 numbers
timeout 1 sleep 0.01
nice -n 5 true
nohup true >/dev/null 2>&1
setsid --wait true
xargs --max-procs=2 -n 1 true < <(seq 1 4)
ps -ef >/dev/null
ps aux >/dev/null
top -b -n 1 >/dev/null
pgrep --full bash >/dev/null
free >/dev/null
uptime
df . >/dev/null
du --summarize . >/dev/null
# an old gVisor answers EINVAL to what stat asks of statx
stat numbers >/dev/null || true
id
hostname
uname -a
nproc
date
env >/dev/null
tee copied <numbers >/dev/null
cmp numbers copied
split --lines=50000 numbers part-
shuf --head-count=1 numbers
mktemp >/dev/null
realpath tree/soft
sha256sum numbers
flock numbers true
sync
ulimit -n
script --quiet --command true /dev/null </dev/null >/dev/null 2>&1 || true
bash -ic 'sleep 5 & kill %1; jobs; exit 0' </dev/null 2>/dev/null
python3 -m http.server --bind 127.0.0.1 8731 >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do
  curl --silent --noproxy '*' --output /dev/null http://127.0.0.1:8731/numbers && break
  sleep 0.1
done
curl --silent --fail --noproxy '*' --output fetched http://localhost:8731/numbers
kill "$server"
cmp numbers fetched
echo "tools: all done"
