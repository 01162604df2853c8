# Needs Debian's nginx: its Lua module.
# What holds for the Lua edge alone. What it shares with the module is in the other
# suites, which run against it with SECKILL_EDGE=lua.
BEGIN { $ENV{SECKILL_EDGE} = 'lua' }
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer status_of);

# Many clicks come at once here, and the machine may be busy.
$SeckillTest::redis_timeout = '2s';
our $gate    = gate_location();
our $permits = 'seckill::{1::153}::permits';

# How often each status came when these buyers clicked at the same moment.
sub race {
    my @answers = map { answer($_) } map { click($_) } @_;
    my %times;
    m{^HTTP/1\.1 (\d+)} && $times{$1}++ for @answers;
    return join(', ', map {"$times{$_} x $_"} sort keys %times) . "\n";
}

# How often Redis ran this command.
sub commands {
    my ($command) = @_;
    return redis('INFO', 'commandstats') =~ /^cmdstat_\Q$command\E:calls=(\d+)/m ? $1 : 0;
}

worker_connections(1024);
run_tests();

__DATA__

=== TEST 1: sixty buyers at once, exactly as many pass as the limit says
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { main::race(1 .. 60) . redis('GET', $::permits) . "\n" }
--- response_body
10 x 202, 50 x 410
10



=== TEST 2: an increment over the limit is reverted, and a smaller purchase passes
--- sale
1 153 limit=3 per_buyer=2
--- config eval: $::gate
--- pipelined_requests eval
[map {'POST ' . hidden_path(@$_[0], '1', '153') . "?quantity=@$_[1]"} ['a', 2], ['b', 2], ['c', 1], ['d', 1]]
--- more_headers eval: [map { cookie($_) } qw(a b c d)]
--- error_code eval: [202, 410, 202, 410]
--- response_body_filters eval
[(sub { redis('GET', $::permits) . "\n" }) x 4]
--- response_body eval: [("3\n") x 4]



=== TEST 3: once a product is known to be sold out, Redis gets hardly any command
--- sale
1 153 limit=1
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $first = main::status_of('first');
    redis('CONFIG', 'RESETSTAT');
    my $statuses = main::race(1 .. 100);
    return "$first, then $statuses" . (main::commands('incrby') <= 5 ? "hardly\n" : main::commands('incrby') . " times\n");
}
--- response_body
202, then 100 x 410
hardly



=== TEST 4: a returned permit reopens the product
--- sale
1 153 limit=1
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @statuses = map { main::status_of($_) } qw(a b);
    redis('DECRBY', $::permits, 1);
    my $reopened = eventually { main::status_of('c' . rand) == 202 } 5;
    return "@statuses " . ($reopened ? "reopened\n" : "never again\n");
}
--- response_body
202 410 reopened



=== TEST 5: each second has as many tokens as the rate says
--- sale
1 153 limit=1000
--- config eval: gate_location('seckill_rate rate=5r/s;')
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $began = int Time::HiRes::time();
    my $statuses = main::race(1 .. 40);
    my ($passed) = $statuses =~ /^(\d+) x 202, \d+ x 429$/ or return $statuses;
    # The forty clicks may fall into several seconds, and few of them into the last one.
    my $seconds = int(Time::HiRes::time()) - $began + 1;
    return $passed >= 5 && $passed <= 5 * $seconds ? "the rate\n" : "$statuses in $seconds s\n";
}
--- response_body
the rate



=== TEST 6: over the rate the gate is busy, and says when to retry
--- sale
1 153 limit=1000
--- config eval: gate_location('seckill_rate rate=1r/s;')
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { (grep {/^HTTP\/1\.1 429.*^Retry-After: 1\r.*"code":"busy"/ms} map { main::answer($_) } map { main::click($_) } 1 .. 3) ? "busy\n" : "none\n" }
--- response_body
busy



=== TEST 7: a counter that is no number grants nothing
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    redis('SET', $::permits, 'many');
    my $statuses = main::race(1 .. 10);
    return $statuses =~ /202/ ? $statuses : "nothing\n";
}
--- response_body
nothing



=== TEST 8: nobody passes while Redis is away, and the gate recovers by itself
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my $before = main::status_of('before');
    redis_stop('KILL');
    my $during = main::status_of('during');
    redis_start();
    my $after = eventually { main::status_of('after' . rand) == 202 };
    return "$before $during " . ($after ? "works\n" : "never again\n");
}
--- response_body
202 503 works



=== TEST 9: a key ring that others can read
--- http_config
    init_by_lua_block {
        os.execute("umask 022; cp -- " .. ngx.config.prefix() .. "conf/nginx.conf " .. ngx.config.prefix() .. "logs/open")
        require("edge.settings").open{ redis = "127.0.0.1:6379", keys = ngx.config.prefix() .. "logs/open" }
    }
--- must_die
--- error_log eval: [qr/seckill Lua edge: .*logs\/open can be read by others; run: chmod o= /]



=== TEST 10: a malformed address of Redis
--- http_config
    init_by_lua_block { require("edge.settings").open{ redis = "nowhere", keys = "/nowhere" } }
--- must_die
--- error_log eval: [qr/seckill Lua edge: .*"nowhere" must be host:port or unix:/]



=== TEST 11: an unknown option
--- http_config
    init_by_lua_block { require("edge.settings").open{ redis = "127.0.0.1:1", keys = "/nowhere", options = "rate=fast" } }
--- must_die
--- error_log eval: [qr/seckill Lua edge: option "rate=fast" is wrong; known are .*rate=25000/]
