use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer status_of metric log_has get);

# Nothing that was granted is stranded: it is used, handed on, or returned. And "sold
# out" is told only when every permit was used; else "busy".
our $metrics = 'location = /metrics { seckill_status; } location ~ /state$ { seckill_state; }';
our $gate    = gate_location() . " $metrics";

# The guarded location before a back end that serves every request by these directives.
sub backed_by {
    my ($directives) = @_;
    (my $config = http_config()) =~ s/add_header X-Seckill-Outcome used always;\s*return 202 [^;]*;/$directives/
        or die "the back end of the suites has changed\n";
    return $config;
}

# Clicks wait for Redis no longer than this, which is less than a stall.
our $impatient = http_config() =~ s/(seckill_redis [^;]+) timeout=\w+/$1 timeout=100ms/r;

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }
sub leases { redis('HLEN', 'seckill::{1::153}::leases') }

# Waits until Redis counts $n permits as granted and no lease is open.
sub settles_at {
    my ($n) = @_;
    return (eventually { permits() == $n && leases() == 0 } 5) ? "settled at $n" : 'permits ' . permits() . ' leases ' . leases();
}

# What a click of this buyer is told: its status and code.
sub told {
    my ($status, $body) = answer(click(@_)) =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)}s or return 'nothing';
    return $status . ($body =~ /"code":"(\w+)"/ ? " $1" : '');
}

run_tests();

__DATA__

=== TEST 1: Redis stalls for longer than clicks wait: what it granted meanwhile is sold afterwards
--- sale
1 153 limit=4
--- http_config eval: $::impatient
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis_freeze();
    my @clicks = map { SeckillClick::click("early$_") } 1 .. 4;
    my @during = map { (SeckillClick::answer($_) =~ /"code":"(\w+)"/)[0] } @clicks;
    redis_thaw();
    my (%told, $sold);
    SeckillTest::eventually(sub {
        my $told = main::told('late' . ++$sold);
        $told{$told}++;
        return $told eq '410 sold_out';
    });
    return "@during, then sold " . ($told{202} // 0) . ', ' . main::settles_at(4) . "\n";
}
--- response_body
unavailable unavailable unavailable unavailable, then sold 4, settled at 4



=== TEST 2: nobody clicks any more: what was granted too late is returned
--- sale
1 153 limit=4
--- http_config eval: $::impatient
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis_freeze();
    my @during = map { main::told("early$_") } 1 .. 2;
    redis_thaw();
    return "@during, " . main::settles_at(0) . ', ' . (SeckillClick::get('/api/rounds/1/products/153/state') =~ /"state":"(\w+)"/)[0] . "\n";
}
--- response_body
503 unavailable 503 unavailable, settled at 0, open



=== TEST 3: also when the edge gave the connection up before Redis went on
--- sale
1 153 limit=4
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis_freeze();
    my @during = map { main::told("early$_") } 1 .. 2;
    SeckillTest::eventually(sub { SeckillClick::log_has('error.log', 'no reply for 1000 ms') });
    redis_thaw();
    return "@during, " . main::settles_at(0) . "\n";
}
--- response_body
503 unavailable 503 unavailable, settled at 0
--- error_log: is away: no reply for 1000 ms



=== TEST 4: the back end says that the permit was not used
--- sale
1 153 limit=2
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 400 "refused";')
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return CORE::join(' ', map { main::told("buyer$_") } 1 .. 5) . ', ' . main::settles_at(0) . "\n" }
--- response_body
400 400 400 400 400, settled at 0



=== TEST 5: the back end's HTTP server refuses the request before anybody sees it
--- sale
1 153 limit=2
--- http_config eval: main::backed_by('return 431 "too many headers";')
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return CORE::join(' ', map { main::told("buyer$_") } 1 .. 5) . ', ' . main::settles_at(0) . "\n" }
--- response_body
431 431 431 431 431, settled at 0



=== TEST 6: the back end cannot be reached
--- sale
1 153 limit=2
--- config eval: $::gate =~ s{proxy_pass .*?;}{proxy_pass http://unix:/nowhere.sock;}r
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub { return CORE::join(' ', map { main::told("buyer$_") } 1 .. 5) . ', ' . main::settles_at(0) . "\n" }
--- response_body
503 unavailable 503 unavailable 503 unavailable 503 unavailable 503 unavailable, settled at 0



=== TEST 7: what became of a purchase is not known: its permit is not returned, and nobody is told that all is sold
--- sale
1 153 limit=1
--- http_config eval: main::backed_by('return 444;')
--- config eval: $::gate
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @told = map { main::told("buyer$_") } 1 .. 3;
    # Long after the lease's two seconds.
    my $ended = SeckillTest::eventually(sub { main::metric('seckill_permits_held') == 0 });
    return CORE::join(', ', @told, 'permits ' . main::permits(), main::told('late'), (SeckillClick::get('/api/rounds/1/products/153/state') =~ /"state":"(\w+)"/)[0]) . "\n";
}
--- response_body
202, 429 busy, 429 busy, permits 1, 429 busy, open



=== TEST 8: while the last purchase is under way the others are busy, and sold out when it is made
--- sale
1 153 limit=1
--- http_config eval
main::backed_by('content_by_lua_block { ngx.sleep(0.4) ngx.header["X-Seckill-Outcome"] = "used" ngx.status = 202 ngx.say("late") }')
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $first = SeckillClick::click('first');
    SeckillTest::eventually(sub { main::permits() == 1 && main::metric('seckill_admitted_total') == 1 });
    my $meanwhile = main::told('second');
    my ($status) = SeckillClick::answer($first) =~ m{^HTTP/1\.1 (\d+)};
    my $after = SeckillTest::eventually(sub { main::told('third') eq '410 sold_out' }) ? 'sold out' : 'never sold out';
    return "$meanwhile, $status, $after, " . main::settles_at(1) . "\n";
}
--- response_body
429 busy, 202, sold out, settled at 1



=== TEST 9: a shopper who leaves while their purchase is under way has bought, and the permit counts
--- sale
1 153 limit=2
--- http_config eval
main::backed_by('content_by_lua_block { ngx.sleep(0.4) ngx.header["X-Seckill-Outcome"] = "used" ngx.status = 202 ngx.say("late") }')
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $first = SeckillClick::click('first');
    SeckillTest::eventually(sub { main::metric('seckill_admitted_total') == 1 });
    close $first;
    return main::settles_at(1) . "\n";
}
--- response_body
settled at 1



=== TEST 10: a shopper is not told what became of the permit
--- sale
1 153 limit=2
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 202
--- response_headers
! X-Seckill-Outcome



=== TEST 11: nobody is told "sold out" by what was read too long ago
--- only: module
--- sale
1 153 limit=1
--- config eval: $::gate
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $n    = 0;
    my $hear = sub {
        my ($told) = @_;
        return (SeckillTest::eventually { main::told('late' . ++$n) eq $told } 30) ? $told : "never $told";
    };
    my @told = (main::told('first'), $hear->('410 sold_out'));
    # Items may come back meanwhile, by another edge's doing.
    redis_freeze();
    push @told, $hear->('429 busy'), (SeckillClick::get('/api/rounds/1/products/153/state') =~ /"state":"(\w+)"/)[0];
    redis_thaw();
    return CORE::join(', ', @told, $hear->('410 sold_out')) . "\n";
}
--- response_body
202, 410 sold_out, 429 busy, open, 410 sold_out



=== TEST 12: while items are about to be for sale again, nobody is told "sold out"
--- only: module
--- sale
1 153 limit=1
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $n    = 0;
    my $hear = sub {
        my ($told) = @_;
        return (SeckillTest::eventually { main::told('late' . ++$n) eq $told } 30) ? $told : "never $told";
    };
    my @told = (main::told('first'), $hear->('410 sold_out'));
    main::redis('HSET', 'seckill::{1::153}::reopening', 'first:r:1', 1);
    push @told, $hear->('429 busy');
    main::redis('HDEL', 'seckill::{1::153}::reopening', 'first:r:1');
    push @told, $hear->('410 sold_out');
    # The limit that counts is that of Redis, also before the catalogue was read again.
    main::redis('HSET', 'seckill::{1::153}::info', 'limit', 2);
    return CORE::join(', ', @told, $hear->('202')) . "\n";
}
--- response_body
202, 410 sold_out, 429 busy, 410 sold_out, 202
