use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of metric);

our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# The statuses of $n clicks by different shoppers, counted.
sub clicks {
    my ($prefix, $n) = @_;
    my %count;
    $count{status_of("$prefix$_")}++ for 1 .. $n;
    return join ' ', map {"$_ x $count{$_}"} sort keys %count;
}

sub permits { redis('GET', 'seckill::{1::153}::permits') }

run_tests();

__DATA__

=== TEST 1: far from the limit the edge rarely sends a command to Redis
--- sale
1 153 limit=100000
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $statuses = main::clicks('buyer', 1000);
    my $commands = main::metric('seckill_redis_commands_total');
    return "$statuses, " . ($commands <= 200 ? "few commands\n" : "$commands commands\n");
}
--- response_body
202 x 1000, few commands



=== TEST 2: permits that were granted and not spent are returned by themselves
--- sale
1 153 limit=100000
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $statuses = main::clicks('buyer', 300);
    SeckillTest::eventually(sub { main::permits() == 300 });
    return "$statuses, permits " . main::permits() . "\n";
}
--- response_body
202 x 300, permits 300



=== TEST 3: returned permits reopen a sold-out product within a second
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $first = main::clicks('early', 30);
    redis('DECRBY', 'seckill::{1::153}::permits', 5);
    SeckillTest::eventually(sub { main::status_of('waiting') == 202 }, 1) or return "$first, stays closed\n";
    return "$first, then " . main::clicks('late', 10) . "\n";
}
--- response_body
202 x 20 410 x 10, then 202 x 4 410 x 6



=== TEST 4: a limit lowered below what is granted lets nobody pass
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $first = main::clicks('early', 10);
    SeckillTest::eventually(sub { main::permits() == 10 });
    redis('HSET', 'seckill::{1::153}::info', 'limit', 5);
    return "$first, then " . main::clicks('late', 5) . ', permits ' . main::permits() . "\n";
}
--- response_body
202 x 10, then 410 x 5, permits 10



=== TEST 5: a counter below zero lets nobody pass until it is corrected
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', 'seckill::{1::153}::permits', -1000);
    my $statuses = main::clicks('buyer', 30);
    redis('DEL', 'seckill::{1::153}::permits');
    SeckillTest::eventually(sub { main::status_of('mended') == 202 }, 1) or return "$statuses, stays closed\n";
    return "$statuses, then " . main::clicks('after', 20) . "\n";
}
--- response_body
503 x 30, then 202 x 9 410 x 11
--- error_log: is not a count of permits


=== TEST 6: buyers of two are served from permits on two leases
--- sale
1 153 limit=7 per_buyer=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @statuses = map { main::status_of("buyer$_", 2) } 1 .. 4;
    return "@statuses" . ', then ' . main::clicks('single', 2) . "\n";
}
--- response_body
202 202 202 410, then 202 x 1 410 x 1



=== TEST 7: a key of another type at the reopenings keeps no lease from the edge
--- sale
1 153 limit=3
--- redis
SET seckill::{1::153}::reopening something
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { return CORE::join(' ', map { SeckillClick::status_of("buyer$_") } 1 .. 3) . "\n" }
--- response_body
202 202 202
