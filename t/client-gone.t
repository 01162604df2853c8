# Also runs under valgrind
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of metric log_has park_clicks);

our $gate = 'access_log logs/access.log seckill_json;' . gate_location()
    . ' location = /metrics { seckill_status; }';
# Long enough that a slow machine does not run into the deadline first.
our $patient = do {
    (my $config = http_config()) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=20s};
    $config;
};

# Less than Redis is stalled for.
our $hasty = do {
    (my $config = http_config()) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=50ms};
    $config;
};

# How the ten shoppers are called who have left: those of the attempt that succeeded.
our $gone;

# Ten shoppers click while Redis is stalled, and leave before it answers. Returns what was
# not as it should be, or nothing.
sub leave_while_parked {
    my ($attempt, @clicks) = park_clicks('gone', 10) or return 'they were not parked';
    $gone = "gone-$attempt-";
    close $_ for @clicks;
    my $is_noticed = eventually { log_has('access.log', qq("status":499.*"user":"$gone)) == 10 };
    redis_thaw();
    return 'their leaving was not noticed' if !$is_noticed;
    eventually { metric('seckill_parked') == 0 } or return 'they stayed parked';
    return '';
}

# Permits granted and leases open, once all permits were returned.
sub permits_left {
    eventually { redis('GET', 'seckill::{1::153}::permits') == 0 };
    return 'permits: ' . redis('GET', 'seckill::{1::153}::permits')
        . ' leases: ' . redis('HLEN', 'seckill::{1::153}::leases');
}

sub statuses_of { join ' ', map { status_of($_) } @_ }

run_tests();

__DATA__

=== TEST 1: the permits of shoppers who leave while they wait are returned
--- sale
1 153 limit=10
--- http_config eval: $::patient
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return (main::leave_while_parked() || main::permits_left()) . "\n" }
--- response_body
permits: 0 leases: 0



=== TEST 2: the returned permits are for others
--- sale
1 153 limit=10
--- http_config eval: $::patient
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    if (my $fault = main::leave_while_parked()) { return "$fault\n" }
    main::permits_left();
    # The edge learns of permits that came back within a second.
    SeckillTest::eventually(sub { main::status_of('first') == 202 }, 1) or return "still sold out\n";
    return main::statuses_of(map {"buyer$_"} 1 .. 10) . "\n";
}
--- response_body
202 202 202 202 202 202 202 202 202 410



=== TEST 3: a shopper whose connection breaks is logged with what was known of them
--- sale
1 153 limit=10
--- http_config eval: $::patient
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    if (my $fault = main::leave_while_parked()) { return "$fault\n" }
    return main::log_has('access.log', qq("status":499.*"user":"$main::gone\\d+","round":"1","product":"153")) . "\n";
}
--- response_body
10



=== TEST 4: the deadline passes, and Redis replies afterwards
--- sale
1 153 limit=10
--- http_config eval: $::hasty
--- config eval: $::gate
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis_freeze();
    my $status = main::status_of('patient');
    redis_thaw();
    SeckillTest::eventually(sub { main::status_of('next' . int rand 1e9) == 202 });
    return "$status\n";
}
--- response_body
503
