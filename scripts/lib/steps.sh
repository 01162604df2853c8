# shellcheck shell=bash
export PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, outside a plain user's PATH
# How every script here speaks: one line a step, and on failure one sentence
# that says what to do. Sourced, never run.

# Says what is being done.
step() { printf '== %s\n' "$*"; }

# Ends the script with a sentence that says what to do.
fail() {
    printf 'seckill: %s\n' "$*" >&2
    exit 1
}

# Where a program is that scripts/build.sh built: trial_program seckill
trial_program() { printf '%s/trial/%s\n' "${CARGO_TARGET_DIR:-$PWD/target}" "$1"; }

# Builds the programs as benchmarks measure them and packages ship them. Both at
# once: built apart, what they share would be compiled twice.
build_release() {
    cargo build --release --locked --quiet -p seckill -p seckill-load ||
        fail "the back end did not build; the compiler's message above says where"
}

# Goes on in a path without spaces, which Test::Nginx and some configurations of
# the drills do not take: through a link, which leave_link removes.
enter_link() {
    [[ $PWD == *[[:space:]]* ]] || return 0
    SECKILL_TEST_LINK=$(mktemp -d /tmp/seckill-XXXXXX)
    export SECKILL_TEST_LINK
    ln -s "$PWD" "$SECKILL_TEST_LINK/seckill"
    cd "$SECKILL_TEST_LINK/seckill" || fail "$SECKILL_TEST_LINK cannot be entered"
}
leave_link() {
    [ -z "${SECKILL_TEST_LINK:-}" ] || rm -rf "$SECKILL_TEST_LINK"
}

# Repeats a command until it succeeds: poll_until SECONDS COMMAND...
# Waiting for a condition instead of for a time keeps a fast machine fast and a
# slow one right.
poll_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# has_ended PID: it does not run any more, whether or not anybody waited for it.
has_ended() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }

# The CPU cores that this process may use, one a line.
cores() { taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r a b; do seq "$a" "${b:-$a}"; done; }

# free_ports COUNT: that many TCP ports that nobody listens on at the moment, one
# a line, below those that the system gives to clients: a crowd of them would take
# a port again before its server listens.
free_ports() {
    perl -MIO::Socket::INET -e '
        my ($count, @s) = shift;
        for (1 .. 1000) {
            last if @s == $count;
            my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 12000 + int rand 20000);
            push @s, $s if $s;
        }
        print $_->sockport, "\n" for @s' "$1"
}

# free_ports_in_a_row COUNT: the first of that many neighbours that nobody listens
# on, below those that the system gives to clients.
free_ports_in_a_row() {
    perl -MIO::Socket::INET -e '
        my $count = shift;
        for (1 .. 1000) {
            my $first = 12000 + int rand 19000;
            my @s = grep { $_ } map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => $first + $_) } 0 .. $count - 1;
            if (@s == $count) { print "$first\n"; exit }
        }
        exit 1' "$1"
}
