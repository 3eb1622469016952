# Clones the repository `source` by git's own protocol, and commits a change to the copy.
set -e
git clone --quiet --no-local source copy
cd copy
echo changed >> first.txt
echo new > third.txt
git add third.txt
git commit --quiet --all --message 'a change'
git log --oneline --stat | cat
