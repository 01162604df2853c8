use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer status_of);
use Time::HiRes qw(time);

our $gate = gate_location();

# A click, then $away happens, a click, then $back happens: both answers, and
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

=== TEST 1: Redis gone: nobody passes; Redis back: the gate works by itself
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



=== TEST 2: Redis killed in the middle of its work
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



=== TEST 3: Redis stalled: shoppers are told in time, and it works again when Redis does
--- sale
1 153 limit=1000
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { main::away_and_back(sub { kill 'STOP', redis_pid() }, sub { kill 'CONT', redis_pid() }) }
--- response_body
202, 503 unavailable, works within a second



=== TEST 4: Redis stalled for so long that its connection is given up
--- only: module
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $stalled = sub {
        kill 'STOP', redis_pid();
        SeckillTest::eventually(sub { SeckillClick::log_has('error.log', 'no answer for 1000 ms') });
    };
    main::away_and_back($stalled, sub { kill 'CONT', redis_pid() });
}
--- response_body
202, 503 unavailable, works within a second
--- error_log: is away: no answer for 1000 ms



=== TEST 5: times and limits outlive Redis: what needs no permit goes on
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



=== TEST 7: a Redis that cannot be talked to is not knocked at without end
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
    # Somebody who takes every connection and hangs up.
    unlink SeckillRedis::socket_path();
    my $door = IO::Socket::UNIX->new(Local => SeckillRedis::socket_path(), Listen => 64) or die "no socket: $!\n";
    chmod 0777, SeckillRedis::socket_path();
    my ($knocks, $end, $looks) = (0, main::time() + 3, IO::Select->new($door));
    my (@pauses, $last);
    while ((my $left = $end - main::time()) > 0) {
        next unless $looks->can_read($left);
        close $door->accept;
        push @pauses, main::time() - $last if $last;
        $last = main::time();
        $knocks++;
    }
    close $door;
    redis_start();
    my $open = SeckillTest::eventually(sub { main::status_of('after' . int rand 1e9) == 202 }, 1) ? 'works again' : 'stays away';
    # Pauses grow to 200 to 400 ms, none like the other.
    my @late = map { int $_ * 1000 } @pauses[-4 .. -1];
    my %different = map { $_ => 1 } @late;
    my $jitter = (grep { $_ < 150 || $_ > 700 } @late) ? "pauses of @late ms" : keys %different > 1 ? 'different pauses' : 'the same pauses';
    return "$before, " . ($knocks >= 5 && $knocks <= 20 ? 'a few' : $knocks) . " knocks with $jitter, $open\n";
}
--- response_body
202, a few knocks with different pauses, works again
