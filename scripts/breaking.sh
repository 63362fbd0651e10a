#!/bin/sh
# Refuse a change of proto/ that breaks what a client of the main branch has on the wire or in JSON.
# usage: scripts/breaking.sh BUF [REF]; REF defaults to the main branch, the remote's first.
set -eu
buf=$1
for ref in ${2:-origin/main main}; do
    if git cat-file -e "$ref:proto" 2>/dev/null; then
        old=$(mktemp -d)
        trap 'rm -rf "$old"' EXIT
        git archive "$ref" proto buf.yaml | tar -x -C "$old"
        status=0
        "$buf" breaking --against "$old" || status=$?
        exit "$status"
    fi
done
echo "no proto on ${2:-main} to compare with"
