use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of metric get);

# What happens to buyers while Redis is away: `seckill_fallback`.
our $refuse = gate_location() . ' location = /metrics { seckill_status; }';
our $pass   = gate_location('seckill_fallback pass;') . ' location = /metrics { seckill_status; }';

# The statuses of $n clicks by different shoppers, counted.
sub clicks {
    my ($prefix, $n) = @_;
    my %count;
    $count{status_of("$prefix$_")}++ for 1 .. $n;
    return CORE::join ' ', map {"$_ x $count{$_}"} sort keys %count;
}

# The same for clicks that are repeated while the edge is not sure.
sub clicks_in_the_end {
    my ($prefix, $n) = @_;
    my %count;
    for my $buyer (1 .. $n) {
        my $status;
        SeckillTest::eventually(sub { ($status = status_of("$prefix$buyer")) !~ /429|503/ });
        $count{$status}++;
    }
    return CORE::join ' ', map {"$_ x $count{$_}"} sort keys %count;
}

our $leases = 'seckill::{1::153}::leases';

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }

# Waits until this edge keeps $n permits for when Redis is away.
sub keeps {
    my ($n) = @_;
    return SeckillTest::eventually(sub { metric('seckill_permits_kept') == $n }) ? "keeps $n"
        : 'keeps ' . metric('seckill_permits_kept') . " instead of $n";
}

# Permits of a lease on record.
sub on_record { (redis('HGET', $leases, $_[0]) // '') =~ /^(\d+)/ ? $1 : 0 }

# What redis-server has on disk. A command is there before its reply.
sub disk { SeckillRedis::folder() . '/appendonlydir' }

sub keep_disk {
    redis('SET', 'disk', 'older');
    system 'rm', '-rf', disk() . '.old';
    system 'cp', '-r', disk(), disk() . '.old';
    redis('SET', 'disk', 'newer');
    return;
}

# Ends the server and leaves it the disk as it was at keep_disk.
sub lose_disk {
    redis_stop();
    system 'rm', '-rf', disk();
    rename disk() . '.old', disk() or die "the disk of before is not there: $!\n";
}

# Waits until so many permits are out, in hands and shares and spent.
sub out {
    my ($n) = @_;
    return eval {
        SeckillTest::eventually(sub { permits() == $n });
    } ? "$n out" : permits() . " out instead of $n";
}

# Registers another edge as living.
sub neighbour { redis('ZADD', 'seckill::edges', now_ms() + 3_600_000, 'neighbour') }

run_tests();

__DATA__

=== TEST 1: refuse: nobody passes while Redis is away
--- sale
1 153 limit=100
--- config eval: $::refuse
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $before = main::clicks('early', 20);
    # What the leases hold is spent within two seconds, or lapses.
    SeckillTest::eventually(sub { main::permits() == 20 });
    redis_stop();
    my $during = main::clicks('away', 100);
    redis_start();
    return "$before, then $during\n";
}
--- response_body
202 x 20, then 503 x 100



=== TEST 2: pass: exactly what was left is admitted
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $before = main::clicks('early', 20);
    my $kept   = main::keeps(80);
    redis_stop();
    my $during = main::clicks('away', 100);
    my $passed = main::metric('seckill_fallback_admitted_total');
    redis_start();
    SeckillTest::eventually(sub { main::metric('seckill_redis_connects_total') >= 2 });
    return "$before, $kept, then $during ($passed without Redis), then " . main::clicks_in_the_end('late', 20) . "\n";
}
--- response_body
202 x 20, keeps 80, then 202 x 80 503 x 20 (80 without Redis), then 410 x 20



=== TEST 3: permits spent while Redis is away were counted before, and are counted once
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::keeps(100);
    redis_stop();
    my $during = main::clicks('away', 30);
    redis_start();
    my $kept = main::keeps(70);
    my $out  = main::permits();
    return "$during, $kept of $out, then " . main::clicks_in_the_end('late', 80) . "\n";
}
--- response_body
202 x 30, keeps 70 of 100, then 202 x 70 410 x 10



=== TEST 4: another edge's share is not spent
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::neighbour();
    # Half of what is left, since the other edge has taken nothing yet.
    SeckillTest::eventually(sub { main::metric('seckill_edges') == 2 });
    my $kept = main::keeps(50);
    redis_stop();
    my $during = main::clicks('away', 60);
    redis_start();
    # Whether the rest is refused as sold out depends on the last reply from Redis.
    return "$kept, then " . $during =~ s/(?:410|503) x/others x/r . "\n";
}
--- response_body
keeps 50, then 202 x 50 others x 10



=== TEST 5: an edge sells its share when nothing else is free
--- sale
1 153 limit=100
--- config eval: $::pass
--- request: GET /metrics
--- response_body_filters eval
sub { main::keeps(100) . ' of ' . main::permits() . ', then ' . main::clicks('buyer', 110) . "\n" }
--- response_body
keeps 100 of 100, then 202 x 100 410 x 10



=== TEST 6: a share that is no longer on record is not spent
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::keeps(100);
    redis('DEL', 'seckill::{1::153}::leases');
    # Connecting anew renews every lease.
    redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    my $kept = main::keeps(0);
    redis_stop();
    my $during = main::clicks('away', 5);
    redis_start();
    return "$kept, then $during\n";
}
--- response_body
keeps 0, then 410 x 5



=== TEST 7: Redis stalled: parked requests are admitted from the share
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::keeps(100);
    redis_freeze();
    my $during = main::clicks('away', 10);
    redis_thaw();
    return "$during\n";
}
--- response_body
202 x 10



=== TEST 8: a limit lowered below the share: the excess is returned
--- sale
1 153 limit=100
--- config eval: $::pass
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::keeps(100);
    SeckillRedis::offer('1', '153', opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => 10);
    my $kept = main::keeps(10);
    return "$kept of " . main::permits() . ', then ' . main::clicks('buyer', 20) . "\n";
}
--- response_body
keeps 10 of 10, then 202 x 10 410 x 10



=== TEST 9: an unknown fallback
--- config
location /buy/ { seckill_gate on; seckill_fallback queue; return 204; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_fallback: "queue" must be refuse or pass/]



=== TEST 10: Redis comes back older: what it forgot to have got back, it gets back
--- sale
1 153 limit=100
--- config eval: $::pass
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::keeps(100);
    my ($share) = @{redis('HKEYS', $::leases)};
    main::keep_disk();
    my $before = main::clicks('early', 30);
    my $kept = main::keeps(70);
    my $left = main::on_record($share);
    # Redis has all of that share on record again, for a minute; this edge has less of it.
    main::lose_disk();
    redis_start();
    my $disk = redis('GET', 'disk');
    SeckillTest::eventually(sub { main::on_record($share) <= $left });
    my $less = $left < 100 ? 'less' : 'as much';
    return "$before, $kept, $less on record, on an $disk disk too in the end\n";
}
--- response_body
202 x 30, keeps 70, less on record, on an older disk too in the end



=== TEST 11: a share shrinks after more leases than an edge remembers
--- http_config eval: http_config() =~ s/test:8m/test:16m/r
--- sale
1 153 limit=100
--- config eval: $::pass
--- timeout: 60
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $kept = main::keeps(100);
    my %sale = (opens => now_ms() - 10_000, ends => now_ms() + 3_600_000);
    SeckillRedis::offer('2', $_, %sale, limit => 1) for 1 .. 4_200;
    SeckillTest::eventually(sub { main::metric('seckill_permits_kept') == 4_300 });
    SeckillRedis::offer('1', '153', %sale, limit => 10);
    return "$kept, then " . main::out(10) . "\n";
}
--- response_body
keeps 100, then 10 out
