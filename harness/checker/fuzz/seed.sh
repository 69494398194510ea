#!/bin/sh
# Fills the corpora from the recorded histories: the beginnings of all of them, in lines that are whole.
set -eu
cd "$(dirname "$0")"
histories=../../../histories
for target in detect jsonl edn jepsen_log check; do
    mkdir -p "corpus/$target"
done
find "$histories" -name '*.jsonl' -o -name '*.edn' -o -name '*.log' | while read -r file; do
    case "$file" in
        *.jsonl) reader=jsonl ;;
        *.edn) reader=edn ;;
        *) reader=jepsen_log ;;
    esac
    name=$(echo "${file#"$histories"/}" | tr / _)
    for target in detect "$reader" check; do
        head -n 40 "$file" > "corpus/$target/$name"
    done
done
