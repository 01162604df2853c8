use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click_with answer metric);
use SeckillEdge qw(second_edge end_edge);

# Buyers who were admitted at one edge and come again at another: they are not told that
# they lost, until the round is over. Who they are the edges tell each other by a list in
# Redis; what they are told the back end decides, which here names the request and the
# permit that it got.
our $gate    = gate_location() . ' location = /metrics { seckill_status; }';
our $winners = 'seckill::{1::153}::winners';

# The status and code of a click of $buyer on product 153 at the edge of this port.
sub told {
    my ($port, $buyer, @headers) = @_;
    local $ENV{TEST_NGINX_SERVER_PORT} = $port;
    my ($status, $body) = answer(click_with($buyer, @headers)) =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)}s or return 'nothing';
    return "$status " . ($body =~ /"code":"(\w+)"/ ? $1 : $body =~ /permit=\S/ ? 'with a permit' : 'without a permit');
}

sub click_of { my ($buyer, $key) = @_; return ($buyer, cookie($buyer), $key ? "Idempotency-Key: $key" : ()) }

# Sells product 153 out to buyers first1, first2 … at this edge, each with a key of its own.
sub sell_out {
    my ($port, $n) = @_;
    for my $buyer (1 .. $n) {
        eventually { told($port, click_of("first$buyer", "k$buyer")) =~ /^202/ } or die "first$buyer did not buy\n";
    }
}

# Waits until a click of somebody else is told so at this edge.
sub crowd {
    my ($port, $code) = @_;
    return scalar eventually { told($port, click_of('crowd' . int rand 1e9)) eq ($code // '410 sold_out') };
}

sub here {$ENV{TEST_NGINX_SERVER_PORT}}
sub other { second_edge(http_config(), $main::gate) }

run_tests();

__DATA__

=== TEST 1: a winner's retry and their other clicks reach the back end at another edge, and nobody else's do
--- only: module
--- sale
1 153 limit=3
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::other();
    main::sell_out(main::here(), 3);
    my @told = main::crowd($$other{port}) ? 'sold out there' : 'not sold out there';
    push @told, map { main::told($$other{port}, main::click_of("first$_", "k$_")) } 1 .. 3;
    push @told, main::told($$other{port}, main::click_of('first1', 'another'));
    push @told, main::told($$other{port}, main::click_of('late', 'k1'));
    SeckillEdge::end_edge($other);
    return CORE::join("\n", @told, '');
}
--- response_body
sold out there
202 without a permit
202 without a permit
202 without a permit
202 without a permit
410 sold_out



=== TEST 2: whoever is told "sold out" at an edge, every winner is known there
--- only: module
--- sale
1 153 limit=40
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::other();
    my @wrong;
    for my $n (1 .. 40) {
        my $edge = $n % 2 ? main::here() : $$other{port};
        SeckillTest::eventually(sub { main::told($edge, main::click_of("first$n", "k$n")) =~ /^202/ });
    }
    # At once: the last winners' fingerprints may still be on their way.
    for my $port (main::here(), $$other{port}) {
        main::crowd($port) or push @wrong, "$port is not sold out";
        push @wrong, grep { !/ 202 / } map { "first$_: " . main::told($port, main::click_of("first$_", "k$_")) . ' ' } 1 .. 40;
    }
    SeckillEdge::end_edge($other);
    return CORE::join("\n", @wrong, 'done', '');
}
--- response_body
done



=== TEST 3: an edge that starts after the last item was sold knows the winners
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(main::here(), 2);
    main::crowd(main::here());
    my $other = main::other();
    my @told = (main::crowd($$other{port}), main::told($$other{port}, main::click_of('first2', 'k2')));
    SeckillEdge::end_edge($other);
    return "@told\n";
}
--- response_body
1 202 without a permit



=== TEST 4: what is no winner's is verified before it is passed on
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::other();
    main::sell_out(main::here(), 2);
    main::crowd($$other{port});
    my @told = (
        main::told($$other{port}, 'first1', cookie('first1', secret => 'guessed' x 6), 'Idempotency-Key: k1'),
        main::told($$other{port}, 'mallory', cookie('first1'), 'Idempotency-Key: k1'),
        main::told($$other{port}, 'first1', 'Idempotency-Key: k1'),
    );
    SeckillEdge::end_edge($other);
    return CORE::join(', ', @told) . "\n";
}
--- response_body
401 login_required, 403 bad_signature, 410 sold_out



=== TEST 5: retries at another edge take a token of the rate
--- only: module
--- sale
1 153 limit=1
--- config eval: gate_location() . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge(http_config(), gate_location('seckill_rate rate=1r/s burst=2;'));
    main::sell_out(main::here(), 1);
    main::crowd($$other{port});
    my %told;
    # The crowd that had to wait took tokens, too.
    SeckillTest::eventually(sub { $told{ main::told($$other{port}, main::click_of('first1', 'k1')) }++; keys %told == 2 });
    SeckillEdge::end_edge($other);
    return CORE::join(', ', sort keys %told) . "\n";
}
--- response_body
202 without a permit, 429 busy



=== TEST 6: a list that is lost with its Redis, or is something else, stops no sale
--- only: module
--- sale
1 153 limit=4
--- config eval: $::gate
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::other();
    main::told(main::here(), main::click_of("first$_", "k$_")) for 1 .. 2;
    SeckillTest::eventually(sub { redis('STRLEN', $main::winners) == 16 });
    redis('DEL', $main::winners);
    main::told($$other{port}, main::click_of('first3', 'k3'));
    SeckillTest::eventually(sub { redis('STRLEN', $main::winners) == 8 });
    redis('SET', $main::winners, 'x');
    redis('DEL', $main::winners);
    redis('HSET', $main::winners, 'a', 'b');
    main::told($$other{port}, main::click_of('first4', 'k4'));
    my @told = map { main::crowd($_) ? 'sold out' : 'not sold out' } main::here(), $$other{port};
    push @told, main::told(main::here(), main::click_of('first1', 'k1'));
    # Whom no list has, only this edge knows.
    push @told, main::told($$other{port}, main::click_of('first4', 'k4'));
    SeckillEdge::end_edge($other);
    return CORE::join(', ', @told) . "\n";
}
--- response_body
sold out, sold out, 202 without a permit, 202 without a permit



=== TEST 7: the list is kept for a week after the round
--- only: module
--- sale
1 153 limit=2 ends=+1h
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(main::here(), 2);
    SeckillTest::eventually(sub { redis('STRLEN', $main::winners) == 16 });
    my $left = redis('PTTL', $main::winners) / 3_600_000;
    return $left > 7 * 24 && $left <= 7 * 24 + 1 ? "a week\n" : "$left hours\n";
}
--- response_body
a week



=== TEST 8: after the end of the round, too
--- only: module
--- sale
1 153 limit=5 ends=+8s
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::other();
    main::told(main::here(), main::click_of('first1', 'k1'));
    SeckillTest::eventually(sub { main::told($$other{port}, 'late') eq '410 ended' }, 20);
    my @told = map { main::told($$other{port}, main::click_of(@$_)) } ['first1', 'k1'], ['late', 'k1'];
    SeckillEdge::end_edge($other);
    return CORE::join(', ', @told) . "\n";
}
--- response_body
202 without a permit, 410 ended
