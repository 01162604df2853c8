use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillEdge qw(second_edge end_edge launch);

# An edge does its part from the start, and not from its first request: nginx with one
# worker waits for sockets and timers, and hears of nothing else.
our $server = gate_location();

# The living edges by the moment until which they count as alive.
sub edges { my %edges = @{ redis('ZRANGE', 'seckill::edges', 0, -1, 'WITHSCORES') }; return \%edges }

# The line of the edge that begins with no other's identity than those of before.
sub newcomer {
    my ($before) = @_;
    my $line;
    eventually { ($line) = grep { !exists $$before{$_} } keys %{ edges() } } 10;
    return $line;
}

run_tests();

__DATA__

=== TEST 1: an edge that gets no request is heard of
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = SeckillEdge::second_edge(main::http_config(), $::server);
    SeckillEdge::end_edge($edge);
    my $before = main::edges();
    SeckillEdge::launch($edge);
    my $line = main::newcomer($before);
    SeckillEdge::end_edge($edge);
    die "no heartbeat without a request\n" unless $line;
    return $_[0];
}



=== TEST 2: so is one whose worker was killed
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $before = main::edges();
    my $edge = SeckillEdge::second_edge(main::http_config(), $::server);
    my $line = main::newcomer($before) or die "no heartbeat at all\n";
    my ($worker) = `pgrep -P $$edge{pid}` =~ /(\d+)/;
    kill 'KILL', $worker;
    die "the worker is still there\n" unless SeckillTest::eventually(sub { `pgrep -P $$edge{pid}` !~ /\b$worker\b/ });
    my $last = ${ main::edges() }{$line};
    my $goes_on = SeckillTest::eventually(sub { (${ main::edges() }{$line} // 0) > $last }, 10);
    SeckillEdge::end_edge($edge);
    die "no heartbeat of the next worker without a request\n" unless $goes_on;
    return $_[0];
}



=== TEST 3: a Redis that cannot be reached is logged at once
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    (my $http = main::http_config()) =~ s/seckill_redis \S+/seckill_redis 127.0.0.1:1/ or die "no seckill_redis\n";
    my $edge = SeckillEdge::second_edge($http, $::server);
    SeckillEdge::end_edge($edge);
    truncate "$$edge{folder}/logs/error.log", 0;
    SeckillEdge::launch($edge);
    my $is_logged = SeckillTest::eventually(sub {
        open my $in, '<', "$$edge{folder}/logs/error.log" or return;
        return grep { /cannot be reached/ } <$in>;
    }, 10);
    SeckillEdge::end_edge($edge);
    die "nothing is logged without a request\n" unless $is_logged;
    return $_[0];
}
