use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(get metric);

# A catalogue that is larger than the zone's room for it: 2 MiB have room for 1,190
# products, and take somewhat more.

our $config = 'location ~ /state$ { seckill_state; } location = /metrics { seckill_status; }';

# Writes a catalogue of products, each as ROUND, first and last number, and when it
# ends; anew, as approvals and retirements do.
sub list {
    my @entries;
    for (@_) {
        my ($round, $from, $to, $ends_ms) = @$_;
        my $json = sprintf '{"opens_ms":%d,"ends_ms":%d,"limit":5,"per_buyer":1,"segments":1,"price_cents":1}', now_ms() - 10_000_000, now_ms() + $ends_ms;
        push @entries, map { ("${round}::$_", $json) } $from .. $to;
    }
    my $version = 1 + (eval { redis('HGET', 'seckill::catalogue', 'version') } // 0);
    redis('DEL', 'seckill::catalogue');
    redis('HSET', 'seckill::catalogue', @entries, 'version', $version);
}

# How many of these products the edge sells.
sub known {
    my ($round, $from, $to) = @_;
    return scalar grep { get("/api/rounds/$round/products/$_/state") =~ /"state":"open"/ } $from .. $to;
}

run_tests();

__DATA__

=== TEST 1: nothing on sale is left out for what is over
--- http_config eval: http_config() =~ s/test:8m/test:2m/r
--- config eval: $::config
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::list(['over', 1, 3000, -1000], ['on', 1, 300, 3_600_000]);
    SeckillTest::eventually(sub { main::metric('seckill_products_left_out') > 0 });
    return main::known('on', 1, 300) . " on sale\n";
}
--- response_body
300 on sale
--- error_log: the zone has no room for



=== TEST 2: what is no longer listed makes room for what is new
--- http_config eval: http_config() =~ s/test:8m/test:2m/r
--- config eval: $::config
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::list(['old', 1, 1500, 3_600_000]);
    SeckillTest::eventually(sub { main::known('old', 1500, 1500) }) or return "never read\n";
    main::list(['new', 1, 1500, 3_600_000]);
    SeckillTest::eventually(sub { !main::known('old', 1500, 1500) }) or return "never read again\n";
    return main::known('new', 1, 1500) . ' on sale, ' . main::metric('seckill_products_left_out') . " left out\n";
}
--- response_body
1500 on sale, 0 left out



=== TEST 3: what was left out gets the place of what has ended
--- http_config eval: http_config() =~ s/test:8m/test:2m/r
--- config eval: $::config
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::list(['short', 1, 1600, 3_000], ['long', 1, 200, 3_600_000]);
    SeckillTest::eventually(sub { main::metric('seckill_products_left_out') > 0 }) or return "there is room for all\n";
    return SeckillTest::eventually(sub { main::known('long', 1, 200) == 200 }, 30) ? "then the long one\n" : "and never the long one\n";
}
--- response_body
then the long one
--- error_log: the zone has no room for
