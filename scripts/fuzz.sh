#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for FUZZ_SECONDS each (60 if not set), and ends with an error if one
# finds something. What it finds is left in fuzz/artifacts/TARGET.
#
#   scripts/fuzz.sh [TARGET]...             runs them; new inputs worth keeping are collected in target/fuzz/corpus
#   scripts/fuzz.sh --minimize [TARGET]...  takes these into fuzz/corpus, as few and small inputs as will do
#
# cargo-fuzz wants a nightly toolchain. The flags below are what it would pass for `--sanitizer none`, which any
# toolchain takes; an address sanitizer has little to find where there is no unsafe code. With a nightly toolchain,
# `cargo fuzz run TARGET` works too.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
target=${CARGO_TARGET_DIR:-target}/fuzz
most_inputs=60
host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
coverage=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    -Ccodegen-units=1
    --cfg fuzzing
)

main() {
    local action=run names=() failed=()
    if [ "${1-}" = --minimize ]; then
        action=minimize
        shift
    fi
    names=("$@")
    [ ${#names[@]} -gt 0 ] || names=(fuzz/fuzz_targets/*.rs)
    command -v c++ >/dev/null || die "libFuzzer needs a C++ compiler; Debian calls it g++"
    RUSTFLAGS="${coverage[*]}" "${CARGO:-cargo}" build --manifest-path fuzz/Cargo.toml --release --locked \
        --target "$host" --target-dir "$target" --bins
    for name in "${names[@]}"; do
        name=$(basename "$name" .rs)
        [ -f "fuzz/fuzz_targets/$name.rs" ] || die "there is no target $name"
        "$action" "$name" || failed+=("$name")
    done
    [ ${#failed[@]} = 0 ] || die "something is wrong in: ${failed[*]}"
}

run() {
    echo "fuzzing $1 for $seconds s"
    mkdir -p "$target/corpus/$1" "fuzz/artifacts/$1"
    fuzzer "$1" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$1/" \
        "$target/corpus/$1" "fuzz/corpus/$1" >"$target/$1.log" 2>&1 || {
        tail -n 60 "$target/$1.log"
        return 1
    }
    sed -n 's/^stat::number_of_executed_units: */  runs: /p; s/^stat::new_units_added: */  new inputs: /p' "$target/$1.log"
}

# The hand-written inputs stay as they are, since they tell what they are for. The others have hashes for names; of these
# at most most_inputs are kept, and none that is longer than 512 bytes.
minimize() {
    local few=$target/few/$1
    rm -rf "$few"
    mkdir -p "$few" "$target/corpus/$1"
    find "fuzz/corpus/$1" -regextype posix-extended -regex '.*/[0-9a-f]{40}' -exec mv -t "$target/corpus/$1" {} +
    cp "fuzz/corpus/$1"/* "$few"
    fuzzer "$1" -set_cover_merge=1 "$few" "$target/corpus/$1" >"$target/$1.log" 2>&1 || return 1
    find "$few" -type f -size -2 -regextype posix-extended -regex '.*/[0-9a-f]{40}' | sort | sed -n "1,${most_inputs}p" |
        xargs -r cp -t "fuzz/corpus/$1"
}

# The longest input exceeds every budget but that of an authentication response.
fuzzer() {
    local name=$1 dictionary=fuzz/dictionaries/$1.dict
    shift
    "$target/$host/release/$name" -dict="$dictionary" -max_len=6000 -timeout=10 -rss_limit_mb=1024 "$@"
}

die() {
    echo "fuzz.sh: $*" >&2
    exit 1
}

main "$@"
