# Also runs under valgrind
use lib 't/lib';
use POSIX ();
use Time::HiRes qw(time);
use SeckillTest 'no_plan';
use SeckillClick qw(answer status_of edge_pid reload metric);
use SeckillEdge;

our $gate = gate_location() . ' location = /metrics { seckill_status; }';
our $patient = do {
    my $patience = $ENV{TEST_NGINX_USE_VALGRIND} ? '60s' : '20s';
    (my $config = http_config()) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=$patience};
    $config;
};

# Clicks while the edge is reloaded again and again, until $limit shoppers were
# let pass, and twenty times more; the statuses, counted. "Sold out" in between is no
# fault: permits that are about to be returned may be bought a moment later.
sub clicks_under_reload {
    my ($limit) = @_;
    my $master = edge_pid();
    pipe my $decided, my $decides or die "pipe: $!";
    my $reloader = fork // die "fork: $!";
    if (!$reloader) {
        close $decides;
        my ($seen, $next) = (0, 0);
        while (sysread $decided, my $some, 1024) {
            # A worker is to do some work before the next one, however long it takes to
            # come up: under valgrind a second, and on a busy machine several.
            $seen += length $some;
            next if $seen < 3 || time < $next;
            kill 'HUP', $master;
            ($seen, $next) = (0, time + ($ENV{TEST_NGINX_USE_VALGRIND} ? 4 : 0.1));
        }
        POSIX::_exit(0);
    }
    close $decided;
    my $click = sub {
        my $status = status_of($_[0]);
        syswrite $decides, '.' if $status == 202 || $status == 410;
        return $status;
    };
    my (%count, $clicks);
    eventually { $count{$click->('buyer' . ++$clicks)}++; ($count{202} // 0) == $limit } 300;
    delete $count{410};
    # "Sold out" is told once every worker that comes knows all winners; until then busy.
    eventually { $click->('soon' . ++$clicks) == 410 } 60;
    my %late;
    for my $buyer (1 .. 20) {
        my $status;
        eventually { ($status = $click->("late$buyer")) != 429 } 30;
        $late{$status}++;
    }
    close $decides;
    waitpid $reloader, 0;
    my $text = sub { my ($of) = @_; join ' ', map {"$_ x $$of{$_}"} sort keys %$of };
    return $text->(\%count) . ', then ' . $text->(\%late);
}

sub worker_pids { split ' ', `pgrep -P @{[ edge_pid() ]}` }

run_tests();

__DATA__

=== TEST 1: reloaded under load, the edge answers every click and grants exactly the limit
--- sale
1 153 limit=150
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
sub { return main::clicks_under_reload(150) . ' permits ' . redis('GET', 'seckill::{1::153}::permits') . "\n" }
--- response_body
202 x 150, then 410 x 20 permits 150



=== TEST 2: requests that wait for Redis at a reload are served by the old worker
--- sale
1 153 limit=100
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
    my ($old) = main::worker_pids();
    my (undef, @clicks) = SeckillClick::park_clicks('buyer', 10) or return "not parked\n";
    main::reload();
    my $is_new = SeckillTest::eventually(sub { my @now = main::worker_pids(); grep { $_ != $old } @now });
    redis_thaw();
    return "not reloaded\n" if !$is_new;
    my @statuses = map { main::answer($_) =~ m{^HTTP/1.1 (\d+)} ? $1 : 0 } @clicks;
    SeckillTest::eventually(sub { !grep { $_ == $old } main::worker_pids() }, 30) or return "the old worker stays\n";
    return "@statuses\n";
}
--- response_body
202 202 202 202 202 202 202 202 202 202



=== TEST 3: counters and permits outlive a reload
--- sale
1 153 limit=3
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @before = map { main::status_of("a$_") } 1 .. 2;
    my ($old) = main::worker_pids();
    main::reload();
    SeckillTest::eventually(sub { !grep { $_ == $old } main::worker_pids() }, 30) or return "not reloaded\n";
    SeckillTest::eventually(sub { main::metric('seckill_admitted_total') == 2 }) or return "forgotten\n";
    my @after = map { main::status_of("b$_") } 1 .. 2;
    return "@before @after\n";
}
--- response_body
202 202 202 410



=== TEST 4: without a master process nginx says that it must not be reloaded, and again when it was
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $edge = SeckillEdge::second_edge(main::http_config(), main::gate_location(), 'master_process off;');
    my $says = sub {
        my ($text) = @_;
        return scalar SeckillTest::eventually(sub {
            open my $in, '<', "$$edge{folder}/logs/error.log" or return;
            return grep { /\[warn\].*$text/ } <$in>;
        }, 20);
    };
    my @said = $says->('must never be reloaded') ? 'at its start' : 'not at its start';
    kill 'HUP', $$edge{pid};
    push @said, $says->('takes no new connections after a reload') ? 'when reloaded' : 'not when reloaded';
    SeckillEdge::end_edge($edge);
    return CORE::join(', ', @said) . "\n";
}
--- response_body
at its start, when reloaded



=== TEST 5: a limit keeps its bucket at a reload, wherever it stands, and a raised one holds at once
--- only: module
--- sale
1 153 limit=500
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $edge = SeckillEdge::second_edge(main::http_config(), main::gate_location('seckill_rate rate=1r/s burst=60;'));
    local $ENV{TEST_NGINX_SERVER_PORT} = $$edge{port};
    my $clicks = 0;
    my $click  = sub { main::status_of('rated' . ++$clicks) };
    SeckillTest::eventually(sub { $click->() == 202 }) or return "nobody passes\n";
    SeckillTest::eventually(sub { $click->() == 429 }) or return "no limit\n";
    my $empty_since = Time::HiRes::time();
    SeckillEdge::reconfigure($edge, sub { s{location /buy/}{location = /other { seckill_rate rate=2r/s burst=100; return 204; }\n$&} });
    my $passed = grep { $click->() == 202 } 1 .. 30;
    my $most   = int(Time::HiRes::time() - $empty_since) + 1;
    SeckillEdge::reconfigure($edge, sub { s{rate=1r/s burst=60}{rate=1000r/s burst=60} });
    my $holds = SeckillTest::eventually(sub { $click->() == 202 }, 10);
    SeckillEdge::end_edge($edge);
    return ($passed <= $most ? 'kept' : "$passed passed, $most at most") . ', ' . ($holds ? 'raised' : 'still busy') . "\n";
}
--- response_body
kept, raised



=== TEST 6: a reload is no loss of Redis, and connections that are lost together are one
--- sale
1 153 limit=3
--- allow_errors
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $connects = sub { main::metric('seckill_redis_connects_total') };
    my $losses   = sub { main::metric('seckill_redis_losses_total') };
    my ($old) = main::worker_pids();
    main::reload();
    SeckillTest::eventually(sub { !grep { $_ == $old } main::worker_pids() }, 30) or return "not reloaded\n";
    SeckillTest::eventually(sub { $connects->() >= 2 }) or return "not connected\n";
    my @seen = $losses->();
    for (1 .. 2) {
        my $before = $connects->();
        redis('CLIENT', 'KILL', 'TYPE', 'normal');
        SeckillTest::eventually(sub { $connects->() > $before }) or return "not connected again\n";
        push @seen, $losses->();
    }
    return "@seen\n";
}
--- response_body
0 1 1
