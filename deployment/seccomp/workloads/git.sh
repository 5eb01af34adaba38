#!/bin/bash
# What git does with local repositories.
set -euo pipefail
cd "$(mktemp -d)"
export GIT_CONFIG_GLOBAL=$PWD/config
git config --global user.name Agent
git config --global user.email agent@example.test
git config --global init.defaultBranch main
git config --global protocol.file.allow always

git init --quiet work
cd work
for number in 1 2 3 4 5; do
  seq 1 "$((number * 1000))" >"file $number"
  git add --all
  git commit --quiet --message "step $number"
done
git switch --quiet --create side HEAD~2
echo side >side
git add side
git commit --quiet --message side
git rebase --quiet main
git switch --quiet main
git merge --quiet --no-ff --message merged side
echo more >>side
git stash --quiet
git stash pop --quiet
git diff --stat
git checkout --quiet -- .
git worktree add --quiet ../tree
git tag --annotate --message one v1
git log --oneline --graph | cat
git blame side >/dev/null
git grep -q side
git clone --quiet --no-hardlinks . ../copy
git clone --quiet --bare . ../bare.git
git push --quiet ../bare.git main:pushed
git -C ../copy pull --quiet
git -C ../copy submodule --quiet add "$PWD/../bare.git" module
git repack -a -d --quiet
git gc --quiet --prune=now
git fsck --no-progress
git archive HEAD | tar --list >/dev/null
git bundle create --quiet ../bundle --all
git status --short
git -c core.fsmonitor=false status
echo "git: all done"
