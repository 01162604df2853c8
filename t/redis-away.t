use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer status_of);
use Time::HiRes qw(time);

our $gate = gate_location();

# A click, then $away happens, a click, then $back happens: both statuses, and
# whether the gate worked again within a second.
sub away_and_back {
    my ($away, $back) = @_;
    my $before = status_of('before');
    $away->();
    my ($during) = answer(click('during')) =~ m{^HTTP/1\.1 (\d+).*"code":"(\w+)"}s ? "$1 $2" : 'nothing';
    $back->();
    my $begun = time;
    my $open = eventually { status_of('after' . int rand 1e9) == 202 };
    my $verdict = !$open ? 'never works again' : time - $begun < 1 ? 'works within a second' : 'works too late';
    return "$before, $during, $verdict\n";
}

run_tests();

__DATA__

=== TEST 1: Redis stopped: nobody passes; Redis back: the gate recovers by itself
--- sale
1 153 limit=1000
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { main::away_and_back(sub { redis_stop() }, sub { redis_start() }) }
--- response_body
202, 503 unavailable, works within a second



=== TEST 2: Redis killed
--- sale
1 153 limit=1000
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { main::away_and_back(sub { redis_stop('KILL') }, sub { redis_start() }) }
--- response_body
202, 503 unavailable, works within a second



=== TEST 3: Redis stalled: shoppers get a response in time, and the gate works again when Redis does
--- sale
1 153 limit=1000
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { main::away_and_back(sub { redis_freeze() }, sub { redis_thaw() }) }
--- response_body
202, 503 unavailable, works within a second



=== TEST 4: Redis stalled for so long that the edge closes the connection
--- only: module
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $stalled = sub {
        redis_freeze();
        SeckillTest::eventually(sub { SeckillClick::log_has('error.log', 'no reply for 1000 ms') });
    };
    main::away_and_back($stalled, sub { redis_thaw() });
}
--- response_body
202, 503 unavailable, works within a second
--- error_log: is away: no reply for 1000 ms



=== TEST 5: Redis stopped: what needs no permit still works
--- sale
1 153 limit=1000
--- config
location ~ /state$ { seckill_state; }
--- allow_errors
--- request: GET /api/rounds/1/products/153/state
--- response_body_filters eval
sub {
    redis_stop();
    my $state = SeckillClick::get('/api/rounds/1/products/153/state');
    redis_start();
    return $state =~ /"state":"open"/ ? "open\n" : $state;
}
--- response_body
open



=== TEST 6: the counter is no number: nobody passes, and the log says why
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { redis('SET', 'seckill::{1::153}::permits', 'many'); return main::status_of('a') . "\n" }
--- response_body
503
--- error_log: permits of 1::153 cannot be taken



=== TEST 7: the edge backs off from a Redis that accepts connections and closes them
--- only: module
--- sale
1 153 limit=1000
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $before = main::status_of('before');
    redis_stop();
    # A server that accepts every connection and closes it.
    unlink SeckillRedis::socket_path();
    my $server = IO::Socket::UNIX->new(Local => SeckillRedis::socket_path(), Listen => 64) or die "no socket: $!\n";
    chmod 0777, SeckillRedis::socket_path();
    my ($attempts, $end, $select) = (0, main::time() + 3, IO::Select->new($server));
    my (@pauses, $last);
    while ((my $left = $end - main::time()) > 0) {
        next unless $select->can_read($left);
        close $server->accept;
        push @pauses, main::time() - $last if $last;
        $last = main::time();
        $attempts++;
    }
    close $server;
    redis_start();
    my $open = SeckillTest::eventually(sub { main::status_of('after' . int rand 1e9) == 202 }, 1) ? 'works again' : 'stays away';
    # Pauses grow to 200 to 400 ms, none like the other.
    my @late = map { int $_ * 1000 } @pauses[-4 .. -1];
    my %different = map { $_ => 1 } @late;
    my $jitter = (grep { $_ < 150 || $_ > 700 } @late) ? "pauses of @late ms" : keys %different > 1 ? 'different pauses' : 'the same pauses';
    return "$before, " . ($attempts >= 5 && $attempts <= 20 ? 'a few' : $attempts) . " attempts with $jitter, $open\n";
}
--- response_body
202, a few attempts with different pauses, works again



=== TEST 8: who may wait for longer than a second waits for a Redis that stands still
--- only: module
--- sale
1 153 limit=10
--- http_config eval: (my $config = main::http_config()) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=20s}; $config
--- config eval: $::gate . ' location = /metrics { seckill_status; }'
--- error_log: is near the
--- no_error_log
is away
[error]
--- request: GET /metrics
--- response_body_filters eval
sub {
    my (undef, @clicks) = SeckillClick::park_clicks('buyer', 3) or return "not parked\n";
    # Past the second after which a connection is usually given up.
    select undef, undef, undef, 2.5;
    redis_thaw();
    return CORE::join(' ', map { main::answer($_) =~ m{^HTTP/1.1 (\d+)} ? $1 : 0 } @clicks) . "\n";
}
--- response_body
202 202 202
