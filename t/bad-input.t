use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of metric get);

# Wrong values in Redis: whatever they are, nobody passes over the limit, and the
# edge works again once they are corrected.
our $gate = gate_location() . ' location ~ /state$ { seckill_state; } location = /metrics { seckill_status; }';

# The statuses of $n clicks by different shoppers, counted.
sub clicks {
    my ($prefix, $n) = @_;
    my %count;
    $count{status_of("$prefix$_")}++ for 1 .. $n;
    return CORE::join ' ', map {"$_ x $count{$_}"} sort keys %count;
}

# Clicks until one passes; returns whether that took less than a second.
sub reopens {
    my ($buyer) = @_;
    return SeckillTest::eventually(sub { status_of($buyer) == 202 }, 1) ? 'reopens' : 'stays closed';
}

my $permits = 'seckill::{1::153}::permits';
my $info    = 'seckill::{1::153}::info';
sub permits {$permits}
sub info    {$info}

run_tests();

__DATA__

=== TEST 1: the counter is a list
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('LPUSH', main::permits(), 'garbage');
    my $statuses = main::clicks('early', 5);
    redis('DEL', main::permits());
    return "$statuses, " . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
503 x 5, reopens, 202 x 9 410 x 11
--- error_log: permits of 1::153 cannot be taken



=== TEST 2: the counter is a word
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $before = main::clicks('early', 3);
    SeckillTest::eventually(sub { redis('GET', main::permits()) == 3 });
    redis('SET', main::permits(), 'many');
    my $statuses = main::clicks('during', 5);
    redis('SET', main::permits(), 3);
    return "$before, $statuses, " . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
202 x 3, 503 x 5, reopens, 202 x 6 410 x 14
--- error_log: is not a count of permits



=== TEST 3: the counter is larger than any limit
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', main::permits(), '99999999999999999999');
    my $statuses = main::clicks('early', 5);
    redis('DEL', main::permits());
    return ($statuses =~ /202/ ? $statuses : 'nobody') . ', ' . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
nobody, reopens, 202 x 9 410 x 11
--- allow_errors



=== TEST 4: a negative limit lets nobody pass until it is corrected
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('HSET', main::info(), 'limit', -5);
    my $statuses = main::clicks('early', 5);
    redis('HSET', main::info(), 'limit', 10);
    return "$statuses, " . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
503 x 5, reopens, 202 x 9 410 x 11
--- error_log: has no valid limit



=== TEST 5: a limit that is no number lets nobody pass until it is corrected
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('HSET', main::info(), 'limit', 'plenty');
    my $statuses = main::clicks('early', 5);
    redis('HSET', main::info(), 'limit', 10);
    return "$statuses, " . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
503 x 5, reopens, 202 x 9 410 x 11
--- error_log: has no valid limit



=== TEST 6: the hash with the limit is gone
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('DEL', main::info());
    my $statuses = main::clicks('early', 5);
    redis('HSET', main::info(), 'limit', 10);
    return "$statuses, " . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
503 x 5, reopens, 202 x 9 410 x 11
--- error_log: has no valid limit



=== TEST 7: a limit lowered below what is granted, then raised again
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $before = main::clicks('early', 10);
    SeckillTest::eventually(sub { redis('GET', main::permits()) == 10 });
    redis('HSET', main::info(), 'limit', 5);
    my $lowered = main::clicks('during', 5);
    my $counted = redis('GET', main::permits());
    redis('HSET', main::info(), 'limit', 15);
    my $raised = main::reopens('raised');
    return "$before, $lowered with $counted out, $raised, " . main::clicks('late', 10) . "\n";
}
--- response_body
202 x 10, 410 x 5 with 10 out, reopens, 202 x 4 410 x 6



=== TEST 8: the same by approving the round again
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $approve = sub { SeckillRedis::offer('1', '153', opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => shift) };
    my $before = main::clicks('early', 10);
    SeckillTest::eventually(sub { redis('GET', main::permits()) == 10 });
    $approve->(5);
    my $lowered = main::clicks('during', 5);
    $approve->(15);
    my $raised = main::reopens('raised');
    return "$before, $lowered, $raised, " . main::clicks('late', 10) . "\n";
}
--- response_body
202 x 10, 410 x 5, reopens, 202 x 4 410 x 6



=== TEST 9: garbage in the catalogue stops only the product that it names
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('HSET', 'seckill::catalogue', '1::154', '{"limit":-1}', 'no product', '{}', '1::155', "\xff\x00");
    redis('HINCRBY', 'seckill::catalogue', 'version', 1);
    SeckillTest::eventually(sub { SeckillClick::log_has('error.log', '1::154.*does not parse') });
    my ($code) = main::get('/api/rounds/1/products/154/state') =~ /"code":"(\w+)"/;
    return main::clicks('buyer', 12) . ", the other is $code\n";
}
--- response_body
202 x 10 410 x 2, the other is not_found
--- error_log: does not parse; approve its round again



=== TEST 10: a catalogue of another type: the one read last stays in force
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', 'seckill::catalogue', 'garbage');
    SeckillTest::eventually(sub { SeckillClick::log_has('error.log', 'the catalogue cannot be read') });
    my $statuses = main::clicks('early', 5);
    redis('DEL', 'seckill::catalogue');
    SeckillRedis::offer('1', '153', opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => 12);
    SeckillTest::eventually(sub { redis('HGET', main::info(), 'limit') == 12 });
    return "$statuses, " . main::clicks('late', 12) . "\n";
}
--- response_body
202 x 5, 202 x 7 410 x 5
--- error_log: the catalogue cannot be read



=== TEST 11: garbage among the leases
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', 'seckill::{1::153}::leases', 'garbage');
    my $statuses = main::clicks('early', 3);
    redis('DEL', 'seckill::{1::153}::leases', main::permits());
    return ($statuses =~ /202/ ? $statuses : 'nobody') . ', ' . main::reopens('mended') . ', ' . main::clicks('late', 20) . "\n";
}
--- response_body
nobody, reopens, 202 x 9 410 x 11
--- error_log: permits of 1::153 cannot be taken



=== TEST 12: a purchase with 16 KB of cookies of others passes
--- sale
1 153 limit=10
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li') . '; other=' . 'x' x 16_000
--- error_code: 202
