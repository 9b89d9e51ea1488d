#!/usr/bin/env bash
# Runs every fuzz test for a time each, or for so many inputs:
#
#	hack/fuzz.sh 30s -fuzz=.    guided by coverage, from the corpus of all such runs
#	hack/fuzz.sh 100x -race     from the seeds alone, with what tests are built of anyway
#
# The flags are those of go test -c. One binary is built for each package. Fails
# if any test does, after all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
flags=("${@:2}")
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

count=0
failed=()
while read -r package dir; do
	grep -qE '^func Fuzz' "$dir"/*_test.go 2>/dev/null || continue
	corpus=$temp/corpus
	[[ " ${flags[*]-} " != *" -fuzz"* ]] || corpus=$(go env GOCACHE)/fuzz/$package
	go test -c -vet=off ${flags[@]+"${flags[@]}"} -o "$temp/test" "$package" >&2
	for name in $(cd "$dir" && "$temp/test" -test.list '^Fuzz'); do
		count=$((count + 1))
		status=0
		(cd "$dir" && "$temp/test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$time" \
			-test.fuzzminimizetime 10x -test.fuzzcachedir "$corpus" </dev/null) >"$temp/out" 2>&1 || status=$?
		printf '%-48s %s\n' "${dir#"$PWD"/} $name" "$(grep -E '^fuzz: elapsed' "$temp/out" | tail -n 1)" >&2
		[ "$status" = 0 ] && continue
		# The end of the time may come while an input is on its way to a worker,
		# which the runner reports as this failure and no input.
		if grep -q 'context deadline exceeded' "$temp/out" && ! grep -q 'Failing input' "$temp/out"; then
			continue
		fi
		cat "$temp/out" >&2
		failed+=("$name")
	done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
printf '%d fuzz tests, %d failed%s\n' "$count" "${#failed[@]}" "${failed[*]:+: ${failed[*]}}" >&2
[ "${#failed[@]}" = 0 ]
