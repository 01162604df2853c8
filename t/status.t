use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of get metric);

our $gate = gate_location('seckill_rate rate=1000r/s burst=100;') . ' location = /metrics { seckill_status; }';

# Reads a page as Prometheus does and more strictly: each family once, HELP, TYPE
# and samples in that order; no sample twice; counters end in _total; histograms
# rise up to +Inf, which is the count. Returns the samples, or a sentence about the fault.
sub read_page {
    my ($page) = @_;
    my (%type, %sample, $family, $stage);
    return 'does not end in a line break' unless $page =~ /\n\z/;
    for my $line (split /\n/, $page) {
        if ($line =~ /^# HELP (\w+) (\S.*)$/) {
            return "$1 comes twice" if exists $type{$1};
            ($family, $stage) = ($1, 'help');
            $type{$family} = '';
        } elsif ($line =~ /^# TYPE (\w+) (counter|gauge|histogram)$/) {
            my ($name, $type) = ($1, $2);
            return "$line follows no HELP" unless $stage eq 'help' && $name eq $family;
            return "$family has the wrong ending" if ($type eq 'counter') != ($family =~ /_total$/ ? 1 : 0);
            ($type{$family}, $stage) = ($type, 'samples');
        } elsif ($line =~ /^((\w+?)(_bucket|_sum|_count)?)(\{\w+="[^"\\\n]*"\})? (\d+(?:\.\d+)?(?:e-?\d+)?)$/) {
            my ($name, $base, $value) = ($1, $2, $5);
            my $key = $name . ($4 // '');
            $base = $name if ($type{$family} // '') ne 'histogram';
            return "$line stands outside of its family" unless $stage eq 'samples' && $base eq $family;
            return "$key comes twice" if exists $sample{$key};
            $sample{$key} = $value;
            if ($name =~ /_bucket$/) {
                my $last = $sample{"$family last"} // 0;
                return "$line falls" if $value < $last;
                $sample{"$family last"} = $value;
            }
        } else {
            return "cannot read: $line";
        }
    }
    for my $histogram (grep { $type{$_} eq 'histogram' } keys %type) {
        return "$histogram does not add up"
            unless $sample{"${histogram}_bucket{le=\"+Inf\"}"} == $sample{"${histogram}_count"};
    }
    return \%sample;
}

run_tests();

__DATA__

=== TEST 1: the page is well formed and counts what has happened
--- sale
1 153 limit=3
1 154 limit=3
--- config eval: $::gate
--- request: GET /metrics
--- response_headers
Content-Type: text/plain; version=0.0.4
--- response_body_filters eval
sub {
    my @statuses = map { main::status_of($_) } qw(a b c d a);
    # The last connection of this one comes after those clicks.
    my $read = main::read_page(main::get('/metrics'));
    return "$read\n" unless ref $read;
    my $n = sub { my ($name) = @_; $read->{"seckill_$name"} // "no $name" };
    return CORE::join ', ', "@statuses", map { "$_ " . $n->($_) } (
        'admitted_total', 'refused_total{code="sold_out"}', 'refused_total{code="duplicate"}', 'edges',
        'table_entries{table="products"}', 'table_entries{table="seen"}', 'table_evicted_total{table="seen"}',
        'products_left_out', 'parked', 'permits_granted_total', 'permits_kept', 'permits_held',
        'fallback_admitted_total', "redis_connects_total\n",
    );
}
--- response_body_like
^202 202 202 410 409, admitted_total 3, refused_total\{code="sold_out"\} 1, refused_total\{code="duplicate"\} 1, edges 1, table_entries\{table="products"\} 2, table_entries\{table="seen"\} 3, table_evicted_total\{table="seen"\} 0, products_left_out 0, parked 0, permits_granted_total 3, permits_kept 0, permits_held 0, fallback_admitted_total 0, redis_connects_total



=== TEST 2: round trips to Redis are counted by duration
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::status_of("buyer$_") for 1 .. 5;
    my $read = main::read_page(main::get('/metrics'));
    return "$read\n" unless ref $read;
    my ($count, $commands) = map { $read->{"seckill_redis_$_"} } qw(command_seconds_count commands_total);
    my $sum = $read->{seckill_redis_command_seconds_sum};
    return $count == $commands && $count > 0 && $sum > 0 && $sum < 5 ? "all\n" : "$count of $commands in $sum s\n";
}
--- response_body
all



=== TEST 3: the bucket's level falls with each request
--- sale
1 153 limit=100
--- config eval: gate_location('seckill_rate rate=1r/s burst=100;') . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::status_of("buyer$_") for 1 .. 10;
    my $level = main::read_page(main::get('/metrics'))->{'seckill_bucket_level{bucket="0"}'};
    return $level >= 90 && $level <= 95 ? "ten fewer\n" : "$level\n";
}
--- response_body
ten fewer



=== TEST 4: permits that the back end reclaimed are reported
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', 'seckill::reclaimed', 42);
    return SeckillTest::eventually(sub { main::metric('seckill_site_permits_reclaimed_total') == 42 }) ? "reported\n" : "not reported\n";
}
--- response_body
reported



=== TEST 5: HEAD is answered without a body
--- config eval: $::gate
--- request
HEAD /metrics
--- response_body:



=== TEST 6: POST is a bad request
--- config eval: $::gate
--- request
POST /metrics
--- error_code: 400
--- response_body_like: "code":"bad_request"
